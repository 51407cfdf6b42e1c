//! Files ignored by git that a server needs: the base's checkout lacks them.

use std::path::{Path, PathBuf};

use super::{Failure, plan::Plan};
use crate::{
    against::{Checkout, bench::folders},
    store::{
        arms::{BASE, CANDIDATE},
        record::{CaseOutcome, CaseRecord, RunRecord},
    },
};

/// Names of generated files and folders that no server needs.
const LEFTOVERS: &[&str] = &[
    "__pycache__",
    ".git",
    ".venv",
    "venv",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".tox",
    "node_modules",
    "target",
    ".DS_Store",
    ".idea",
    ".vscode",
];

/// Adds the git-ignored files of the server's folders to the error of each case whose base failed.
pub(super) fn explain_failures(record: &mut RunRecord, plan: &Plan, checkout: &Checkout) -> Result<(), Failure> {
    for case in record.cases.iter_mut().filter(|case| base_failed(case)) {
        let job = plan
            .order
            .jobs
            .iter()
            .find(|job| job.arm == CANDIDATE && job.case.id == case.id);
        let Some(job) = job else { continue };
        let missing = missing_in_base(checkout, &folders(&job.spec))?;
        let CaseOutcome::Failed(reason) = &mut case.outcome else {
            continue;
        };
        if let Some(hint) = hint(&missing, &checkout.reference) {
            *reason = format!("{}\n{hint}", reason.trim_end());
        }
    }
    Ok(())
}

/// Returns whether a case failed without a failed candidate launch. A failed start leaves no launch.
fn base_failed(case: &CaseRecord) -> bool {
    let candidate_failed = case.candidate().any(|launch| launch.error.is_some());
    let base_ran = case.of_arm(BASE).any(|launch| launch.error.is_none());
    matches!(case.outcome, CaseOutcome::Failed(_)) && !candidate_failed && !base_ran
}

fn missing_in_base(checkout: &Checkout, folders: &[&Path]) -> Result<Vec<PathBuf>, Failure> {
    let inside = folders
        .iter()
        .filter_map(|folder| folder.strip_prefix(&checkout.top).ok());
    let inside: Vec<PathBuf> = inside.map(Path::to_owned).collect();
    if inside.is_empty() {
        return Ok(Vec::new());
    }
    let mut missing = checkout.ignored_files(&inside)?;
    missing.retain(|file| {
        let leftover = file
            .components()
            .any(|part| LEFTOVERS.iter().any(|name| part.as_os_str() == *name));
        let compiled = file.extension().is_some_and(|extension| extension == "pyc");
        !leftover && !compiled && !checkout.root.join(file).exists()
    });
    missing.sort();
    missing.dedup();
    Ok(missing)
}

fn hint(missing: &[PathBuf], reference: &str) -> Option<String> {
    const SHOWN: usize = 5;
    let names: Vec<String> = missing
        .iter()
        .take(SHOWN)
        .map(|file| file.display().to_string())
        .collect();
    let more = match missing.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!names.is_empty()).then(|| {
        format!(
            "the checkout of {reference} lacks files that git ignores: {}{more}; commit them, or generate them in the Dockerfile",
            names.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{
        against::{Base, check_out},
        store::samples as records,
        subprocess,
    };

    #[test]
    fn generated_files_that_git_ignores_are_named() {
        let repo = tempfile::tempdir().unwrap();
        let root = repo.path().canonicalize().unwrap();
        let write = |file: &str, content: &str| {
            fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            fs::write(root.join(file), content).unwrap();
        };
        write("Cargo.toml", "");
        write("app/.gitignore", "_version.py\n__pycache__\nstatic/\n");
        let git = |arguments: &[&str]| {
            let identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
            assert!(
                subprocess::git(&root)
                    .args(identity)
                    .args(arguments)
                    .status()
                    .unwrap()
                    .success()
            );
        };
        git(&["init", "-q"]);
        git(&["add", "-A"]);
        git(&["commit", "-qm", "first"]);
        for file in [
            "app/_version.py",
            "app/__pycache__/a.pyc",
            "app/static/site.css",
            "other/_version.py",
        ] {
            write(file, "");
        }
        let folder = tempfile::tempdir().unwrap();
        let checkout = check_out(Base::Tip("HEAD"), &root, folder.path()).unwrap();
        let missing = missing_in_base(&checkout, &[&root.join("app"), Path::new("/elsewhere")]).unwrap();
        assert_eq!(
            missing,
            [Path::new("app/_version.py"), Path::new("app/static/site.css")]
        );
        let hint = hint(&missing, "main").unwrap();
        assert!(
            hint.contains("git ignores: app/_version.py, app/static/site.css; commit them"),
            "{hint}"
        );
    }

    #[test]
    fn only_a_failed_base_is_explained() {
        let launch = |arm: &'static str, error: Option<&str>| {
            let mut launch = records::launch(0, arm, 0.1, [1.0, 1.0]);
            launch["error"] = error.into();
            launch
        };
        let failed_alone = |case| base_failed(&serde_json::from_value(case).unwrap());
        let failed = CaseOutcome::Failed("it died".into());
        let of = |launches: &[_]| failed_alone(records::case("a", &failed, launches));
        assert!(of(&[launch(CANDIDATE, None), launch(BASE, Some("no module"))]));
        assert!(!of(&[
            launch(CANDIDATE, Some("no module")),
            launch(BASE, Some("no module"))
        ]));
        assert!(!of(&[launch(CANDIDATE, Some("no module"))]));
        assert!(of(&[launch(CANDIDATE, None)]), "a start that failed");
        assert!(!of(&[launch(BASE, None), launch(CANDIDATE, Some("no module"))]));
        assert!(of(&[]), "an image that did not build");
        assert!(!failed_alone(records::case("a", &CaseOutcome::Measured, &[])));
    }
}
