//! Builds the base commit's bench with cargo, isolated from the working tree.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{AgainstError, Checkout};
use crate::subprocess::{self, Invocation, Metadata, Toolchain, last_lines};

/// Builds the bench of the crate `name`. Returns the executable.
pub(super) fn build(
    checkout: &Checkout,
    name: &str,
    target: &Path,
    notes: &mut Vec<String>,
) -> Result<PathBuf, AgainstError> {
    let failed = |output: String| AgainstError::Build {
        reference: checkout.reference.clone(),
        output,
    };
    let manifest = checkout.manifest_dir.join("Cargo.toml");
    let toolchain = toolchain(checkout, notes);
    let metadata = Metadata::read(&checkout.manifest_dir, toolchain).map_err(&failed)?;
    if !real(&metadata.workspace_root).starts_with(real(&checkout.root)) {
        return Err(AgainstError::SameTree {
            what: format!(
                "the crate of {} belongs to the workspace {}, outside of the commit",
                checkout.reference,
                metadata.workspace_root.display()
            ),
            remedy: "add a `[workspace]` table to the manifest of that commit",
        });
    }
    lend_lock(checkout, &metadata.workspace_root, notes).map_err(|source| AgainstError::Io {
        path: metadata.workspace_root.clone(),
        source,
    })?;
    let options = options(checkout, &metadata, notes);
    let run = |options: &[String]| {
        let mut command = subprocess::cargo(&checkout.manifest_dir, toolchain);
        for file in configuration_above(&checkout.top) {
            command.arg("--config").arg(file);
        }
        command
            .args([
                "bench",
                "--no-run",
                "--message-format=json-render-diagnostics",
                "--manifest-path",
            ])
            .arg(&manifest)
            // The crate's name has underscores where the target's may have hyphens.
            .args(["--bench", &name.replace('_', "[-_]")])
            .arg("--target-dir")
            .arg(target)
            .args(options);
        command.output()
    };
    let mut output = run(&options).map_err(|e| failed(e.to_string()))?;
    let own = without_features_of_dependencies(&options);
    if !output.status.success() && own != options {
        // The commit may use an older dependency without the feature.
        let again = run(&own).map_err(|e| failed(e.to_string()))?;
        if again.status.success() {
            notes.push(format!(
                "the bench of {} does not build with features of dependencies; it is built without them",
                checkout.reference
            ));
            output = again;
        }
    }
    if !output.status.success() {
        return Err(failed(last_lines(&String::from_utf8_lossy(&output.stderr), 20)));
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let artifact = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact" && is_target(message, name))
        .find(|message| message["executable"].is_string())
        .ok_or_else(|| failed(format!("there is no bench target `{name}` at that commit")))?;
    let source = artifact["target"]["src_path"].as_str().unwrap_or_default();
    if !real(Path::new(source)).starts_with(real(&checkout.root)) {
        return Err(AgainstError::SameTree {
            what: format!("cargo built {source} for {}", checkout.reference),
            remedy: "keep the sources of the bench in the repository",
        });
    }
    Ok(artifact["executable"].as_str().map(PathBuf::from).unwrap_or_default())
}

fn is_target(message: &serde_json::Value, crate_name: &str) -> bool {
    let target = message["target"]["name"].as_str();
    target.is_some_and(|target| target.replace('-', "_") == crate_name)
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Returns the commit's own toolchain if its toolchain files differ from the working tree's. Otherwise the running toolchain is used, which
/// may have been chosen on the command line.
fn toolchain(checkout: &Checkout, notes: &mut Vec<String>) -> Toolchain {
    let inside = checkout
        .manifest_dir
        .strip_prefix(&checkout.root)
        .unwrap_or(Path::new(""));
    let differs = inside.ancestors().any(|folder| {
        ["rust-toolchain.toml", "rust-toolchain"].iter().any(|name| {
            let file = folder.join(name);
            fs::read(checkout.root.join(&file)).ok() != fs::read(checkout.top.join(&file)).ok()
        })
    });
    if !differs {
        return Toolchain::Current;
    }
    notes.push(format!(
        "the toolchain file of {} differs from the working tree's: its bench is built with its own toolchain",
        checkout.reference
    ));
    Toolchain::OfFolder
}

/// Copies the working tree's `Cargo.lock` if the commit has none (git ignores it), so that both benches have the same
/// dependencies.
fn lend_lock(checkout: &Checkout, workspace: &Path, notes: &mut Vec<String>) -> std::io::Result<()> {
    let lock = workspace.join("Cargo.lock");
    let tracked = real(&lock)
        .strip_prefix(real(&checkout.root))
        .is_ok_and(|lock| checkout.has(lock));
    if lock.exists() && tracked {
        return Ok(());
    }
    let inside = checkout
        .manifest_dir
        .strip_prefix(&checkout.root)
        .unwrap_or(Path::new(""));
    let lent = inside
        .ancestors()
        .map(|folder| checkout.top.join(folder).join("Cargo.lock"))
        .find(|file| file.is_file());
    if let Some(lent) = lent {
        // A file with equal content keeps its time, or cargo would resolve again.
        if fs::read(&lent)? != fs::read(&lock).unwrap_or_default() {
            fs::copy(lent, lock)?;
        }
        notes.push(format!(
            "{} has no Cargo.lock: its bench is built with the working tree's",
            checkout.reference
        ));
    }
    Ok(())
}

/// Returns cargo's configuration files above the repository, outermost first: they apply to the working tree, and the checkout is elsewhere.
fn configuration_above(top: &Path) -> Vec<PathBuf> {
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".cargo")));
    let mut files: Vec<PathBuf> = top
        .ancestors()
        .skip(1)
        .filter_map(|folder| {
            let folder = folder.join(".cargo");
            let names = ["config", "config.toml"];
            names.iter().map(|name| folder.join(name)).find(|file| file.is_file())
        })
        .filter(|file| home.as_deref().is_none_or(|home| !file.starts_with(home)))
        .collect();
    files.reverse();
    files
}

/// Returns the features and other options with which the running bench was built, without features that the commit lacks.
fn options(checkout: &Checkout, base: &Metadata, notes: &mut Vec<String>) -> Vec<String> {
    let given = Invocation::of_parent().and_then(|invocation| invocation.options);
    let given = given.unwrap_or_else(|| of_running_bench(checkout));
    let inside = checkout
        .manifest_dir
        .strip_prefix(&checkout.root)
        .unwrap_or(Path::new(""));
    let manifest = checkout.root.join(inside).join("Cargo.toml");
    let package = base
        .packages
        .iter()
        .find(|package| real(&package.manifest_path) == real(&manifest));
    let (options, missing) = existing(given, package.map(|package| &package.features));
    if !missing.is_empty() {
        notes.push(format!(
            "{} has no feature {}: its bench is built without",
            checkout.reference,
            missing.join(", ")
        ));
    }
    options
}

/// Splits features that a package does not have from the options. Returns the remaining options and the missing features.
fn existing(options: Vec<String>, features: Option<&BTreeMap<String, Vec<String>>>) -> (Vec<String>, Vec<String>) {
    let Some(features) = features else {
        return (options, Vec::new());
    };
    let mut missing = Vec::new();
    let options = options
        .into_iter()
        .filter_map(|option| {
            let Some(list) = option.strip_prefix("--features=") else {
                return Some(option);
            };
            let (known, unknown): (Vec<&str>, Vec<&str>) = list
                .split([',', ' '])
                .filter(|name| !name.is_empty())
                // cargo validates `dependency/feature` and `package/feature`.
                .partition(|name| name.contains('/') || features.contains_key(*name));
            missing.extend(unknown.into_iter().map(str::to_owned));
            (!known.is_empty()).then(|| format!("--features={}", known.join(",")))
        })
        .collect();
    (options, missing)
}

/// Leaves out features of the form `dependency/feature`.
fn without_features_of_dependencies(options: &[String]) -> Vec<String> {
    let own = |option: &String| {
        let Some(list) = option.strip_prefix("--features=") else {
            return Some(option.clone());
        };
        let own: Vec<&str> = list.split([',', ' ']).filter(|name| !name.contains('/')).collect();
        (!own.is_empty()).then(|| format!("--features={}", own.join(",")))
    };
    options.iter().filter_map(own).collect()
}

/// Returns the features of the running bench from cargo's fingerprint, for command lines that do not show them (an alias).
fn of_running_bench(checkout: &Checkout) -> Vec<String> {
    let inside = checkout
        .manifest_dir
        .strip_prefix(&checkout.root)
        .unwrap_or(Path::new(""));
    let manifest = checkout.top.join(inside).join("Cargo.toml");
    let found = || {
        let enabled = noted_features(&env::current_exe().ok()?)?;
        let metadata = Metadata::read(manifest.parent()?, Toolchain::Current).ok()?;
        let mut packages = metadata.packages.into_iter();
        let package = packages.find(|package| real(&package.manifest_path) == real(&manifest))?;
        Some(as_options(&enabled, &package.features))
    };
    found().unwrap_or_default()
}

/// Reads the features of an executable `<profile>/deps/<name>-<hash>` from cargo's fingerprint.
fn noted_features(executable: &Path) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Fingerprint {
        features: String,
    }
    let hash = executable.file_name()?.to_str()?.rsplit_once('-')?.1.to_owned();
    let fingerprints = fs::read_dir(executable.parent()?.parent()?.join(".fingerprint")).ok()?;
    let folder = fingerprints.flatten().find(|entry| {
        entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.ends_with(&format!("-{hash}")))
    })?;
    let mut files = fs::read_dir(folder.path()).ok()?.flatten().map(|entry| entry.path());
    let file = files.find(|file| file.extension().is_some_and(|extension| extension == "json"))?;
    let fingerprint: Fingerprint = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    // A list in the format of Rust's `Debug`, which is valid JSON.
    serde_json::from_str(&fingerprint.features).ok()
}

/// Returns the options that enable these features of a package. Default features are those of each commit's own manifest.
fn as_options(enabled: &[String], features: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let mut by_default: BTreeSet<&str> = BTreeSet::new();
    let mut options = Vec::new();
    if enabled.iter().any(|name| name == "default") {
        let mut open = vec!["default"];
        while let Some(name) = open.pop() {
            if by_default.insert(name) {
                open.extend(features.get(name).into_iter().flatten().map(String::as_str));
            }
        }
    } else if features.contains_key("default") {
        options.push("--no-default-features".to_owned());
    }
    let chosen: Vec<&str> = enabled
        .iter()
        .map(String::as_str)
        .filter(|name| !by_default.contains(name))
        .collect();
    if !chosen.is_empty() {
        options.push(format!("--features={}", chosen.join(",")));
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(entries: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
        let entry = |(name, enables): &(&str, &[&str])| {
            (
                (*name).to_owned(),
                enables.iter().map(|name| (*name).to_owned()).collect(),
            )
        };
        entries.iter().map(entry).collect()
    }

    fn strings(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn missing_features_are_removed_and_reported() {
        let known = features(&[("a", &[]), ("b", &[])]);
        let given = strings(&["--features=a,new dep/x", "--all-features", "--features=new"]);
        let (options, missing) = existing(given.clone(), Some(&known));
        assert_eq!(options, ["--features=a,dep/x", "--all-features"]);
        assert_eq!(missing, ["new", "new"]);
        assert_eq!(existing(given.clone(), None), (given, vec![]));
        let own = without_features_of_dependencies(&strings(&["--features=a,dep/x", "--features=dep/y", "--offline"]));
        assert_eq!(own, ["--features=a", "--offline"]);
    }

    #[test]
    fn default_features_are_left_to_each_commit() {
        let known = features(&[("default", &["a", "dep:x"]), ("a", &["b"]), ("b", &[]), ("c", &[])]);
        assert_eq!(as_options(&strings(&["a", "b", "default"]), &known), [] as [&str; 0]);
        assert_eq!(
            as_options(&strings(&["a", "b", "c", "default"]), &known),
            ["--features=c"]
        );
        assert_eq!(
            as_options(&strings(&["c"]), &known),
            ["--no-default-features", "--features=c"]
        );
        assert_eq!(as_options(&strings(&["c"]), &features(&[("c", &[])])), ["--features=c"]);
    }

    #[test]
    fn features_of_this_test_are_read_from_its_fingerprint() {
        let noted = noted_features(&env::current_exe().unwrap()).unwrap();
        assert_eq!(noted.iter().any(|name| name == "docker"), cfg!(feature = "docker"));
        assert_eq!(noted.iter().any(|name| name == "html"), cfg!(feature = "html"));
    }

    #[test]
    fn configuration_above_the_repository_is_found_outermost_first() {
        let outer = tempfile::tempdir().unwrap();
        let top = outer.path().join("a/repo");
        for folder in [outer.path(), &outer.path().join("a"), &top] {
            fs::create_dir_all(folder.join(".cargo")).unwrap();
            fs::write(folder.join(".cargo/config.toml"), "").unwrap();
        }
        let found = configuration_above(&top);
        let expected = [
            outer.path().join(".cargo/config.toml"),
            outer.path().join("a/.cargo/config.toml"),
        ];
        assert!(
            found.ends_with(&expected) && !found.iter().any(|file| file.starts_with(&top)),
            "{found:?}"
        );
    }
}
