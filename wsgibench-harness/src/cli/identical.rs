//! Detection of identical arms, for example in a comparison of a commit with itself.

use std::path::{Path, PathBuf};

use super::{Failure, plan::Plan};
use crate::{
    against::{Checkout, bench::folders},
    declare::{ServerSpec, relocate::in_text},
    measure::Job,
    store::{
        arms::{BASE, CANDIDATE},
        record::{RunRecord, ServerRecord},
    },
};

/// The servers that are the same in both arms.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Identical {
    /// Server names.
    pub(super) servers: Vec<String>,
    /// Files of their folders that nevertheless differ between the commit and the working tree.
    pub(super) differing: Vec<PathBuf>,
}

impl Identical {
    /// Finds the servers whose image, command, limits and loads are the same in both arms of a run.
    pub(super) fn find(record: &RunRecord, plan: &Plan, checkout: &Checkout) -> Result<Self, Failure> {
        let mut found = Self::default();
        for job in plan.order.jobs.iter().filter(|job| job.arm == CANDIDATE) {
            let name = &job.spec.name;
            if found.servers.contains(name) || !same_in_all_cases(record, plan, checkout, name) {
                continue;
            }
            found.servers.push(name.clone());
            let inside = folders(&job.spec)
                .into_iter()
                .filter_map(|folder| folder.strip_prefix(&checkout.top).ok());
            let inside: Vec<PathBuf> = inside.map(Path::to_owned).collect();
            if !inside.is_empty() {
                found.differing.extend(checkout.changed_files(&inside)?);
            }
        }
        found.differing.sort();
        found.differing.dedup();
        Ok(found)
    }

    /// Reports that the arms are identical, if any are.
    pub(super) fn note(&self, reference: &str) -> Option<String> {
        let servers = (!self.servers.is_empty()).then(|| self.servers.join(", "))?;
        let note = format!("the arms are identical: {servers}: same image, command, limits and load in both");
        Some(match self.differing.as_slice() {
            [] => note,
            [first, rest @ ..] => {
                let more = if rest.is_empty() {
                    String::new()
                } else {
                    format!(" and {} more", rest.len())
                };
                format!(
                    "{note}, although {}{more} differs between {reference} and the working tree; does the image contain it (`COPY`, \
                     `.dockerignore`)?",
                    first.display()
                )
            }
        })
    }
}

fn same_in_all_cases(record: &RunRecord, plan: &Plan, checkout: &Checkout, server: &str) -> bool {
    let jobs = |arm: &'static str| {
        plan.order
            .jobs
            .iter()
            .filter(move |job| job.arm == arm && job.spec.name == server)
    };
    jobs(CANDIDATE).all(|job| {
        let base = jobs(BASE).find(|base| base.case.id == job.case.id);
        base.is_some_and(|base| same(record, checkout, job, base))
    })
}

fn same(record: &RunRecord, checkout: &Checkout, candidate: &Job, base: &Job) -> bool {
    let server = |spec: &ServerSpec| record.servers.iter().find(|server| server.spec == *spec);
    let images = server(&candidate.spec).zip(server(&base.spec));
    images.is_some_and(|(one, other)| same_image(one, other))
        && same_spec(&candidate.spec, &base.spec, checkout)
        && candidate.case.work.load() == base.case.work.load()
        // Local processes run from the folders themselves.
        && (record.environment.sandbox != "process" || same_folders(&candidate.spec, &base.spec))
}

fn same_image(one: &ServerRecord, other: &ServerRecord) -> bool {
    let image = match (&one.image_digest, &other.image_digest) {
        (Some(one), Some(other)) => one == other,
        _ => one.image == other.image,
    };
    image && one.companions == other.companions
}

/// Returns whether two servers are declared identically, each in its checkout.
fn same_spec(candidate: &ServerSpec, base: &ServerSpec, checkout: &Checkout) -> bool {
    let written = |spec: &ServerSpec| serde_json::to_string(spec).unwrap_or_default();
    written(candidate) == in_text(&written(base), &checkout.root, &checkout.top)
}

fn same_folders(candidate: &ServerSpec, base: &ServerSpec) -> bool {
    let (ours, theirs) = (folders(candidate), folders(base));
    ours.len() == theirs.len()
        && ours
            .iter()
            .zip(&theirs)
            .all(|(one, other)| content(one) == content(other))
}

/// Returns the files below a folder with their content, without Python's caches.
fn content(folder: &Path) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    let entries = walkdir::WalkDir::new(folder)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| entry.file_name() != "__pycache__")
        .flatten();
    entries
        .filter(|entry| !entry.file_type().is_dir())
        .map(|entry| {
            let inside = entry.path().strip_prefix(folder).unwrap_or(entry.path()).to_owned();
            (inside, std::fs::read(entry.path()).ok())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::Arc};

    use super::*;
    use crate::{
        against::{Base, check_out},
        cli::samples,
        declare::{Source, Work},
        load::{Load, get},
        store::{record::CaseOutcome, samples as records},
        subprocess,
    };

    fn git(repo: &Path, arguments: &[&str]) {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
        assert!(
            subprocess::git(repo)
                .args(identity)
                .args(arguments)
                .status()
                .unwrap()
                .success()
        );
    }

    /// A repository with an application, its checkout, and a run of both arms.
    struct Compared {
        repo: tempfile::TempDir,
        _folder: tempfile::TempDir,
        checkout: Checkout,
        plan: Plan,
        record: RunRecord,
    }

    impl Compared {
        fn new() -> Self {
            let repo = tempfile::tempdir().unwrap();
            let root = repo.path().canonicalize().unwrap();
            fs::create_dir(root.join("app")).unwrap();
            fs::write(root.join("Cargo.toml"), "").unwrap();
            fs::write(root.join("app/application.py"), "").unwrap();
            git(&root, &["init", "-q"]);
            git(&root, &["add", "-A"]);
            git(&root, &["commit", "-qm", "first"]);
            let folder = tempfile::tempdir().unwrap();
            let checkout = check_out(Base::Tip("HEAD"), &root, folder.path()).unwrap();
            let mut plan = samples::plan(&[("ping/one/c1", Work::Load(Load::closed(1).request(get("/"))))]);
            let mut record = records::run("r", &[records::case("one", &CaseOutcome::Measured, &[])]);
            record.environment.sandbox = "docker".into();
            record.servers.clear();
            let mut jobs = Vec::new();
            for (arm, root) in [(CANDIDATE, &checkout.top), (BASE, &checkout.root)] {
                let mut spec = (*plan.order.jobs[0].spec).clone();
                spec.source = Source::Folder(root.join("app"));
                spec.app = Some(root.join("app"));
                spec.env = vec![("CONFIG".into(), root.join("config").display().to_string())];
                jobs.push(Job {
                    arm,
                    spec: Arc::new(spec.clone()),
                    ..plan.order.jobs[0].clone()
                });
                record.servers.push(ServerRecord {
                    spec,
                    image: "wsgibench/one:abc".into(),
                    image_digest: None,
                    image_bytes: None,
                    versions: std::collections::BTreeMap::new(),
                    companions: std::collections::BTreeMap::new(),
                });
            }
            plan.order.jobs = jobs;
            Self {
                repo,
                _folder: folder,
                checkout,
                plan,
                record,
            }
        }

        fn find(&self) -> Identical {
            Identical::find(&self.record, &self.plan, &self.checkout).unwrap()
        }

        fn change_base(&mut self, change: impl Fn(&mut ServerSpec)) {
            change(Arc::make_mut(&mut self.plan.order.jobs[1].spec));
            change(&mut self.record.servers[1].spec);
        }
    }

    #[test]
    fn same_image_command_limits_and_load_are_identical_arms() {
        let mut compared = Compared::new();
        assert_eq!(compared.find().servers, ["one"]);
        assert_eq!(compared.find().differing, [] as [PathBuf; 0]);
        assert!(
            compared
                .find()
                .note("HEAD")
                .unwrap()
                .starts_with("the arms are identical: one: same image")
        );
        // Another image, whatever its name; the same under another name.
        compared.record.servers[1].image = "wsgibench/one:def".into();
        assert_eq!(compared.find(), Identical::default());
        for server in &mut compared.record.servers {
            server.image_digest = Some("sha256:1".into());
        }
        assert_eq!(compared.find().servers, ["one"]);
        compared.record.servers[1].image_digest = Some("sha256:2".into());
        assert_eq!(compared.find().note("HEAD"), None);
    }

    #[test]
    fn changed_declaration_is_not_identical() {
        let changes: [fn(&mut ServerSpec); 3] = [
            |spec| spec.command.push("--workers=2".into()),
            |spec| spec.limits.memory += 1,
            |spec| spec.env.push(("A".into(), "b".into())),
        ];
        for change in changes {
            let mut compared = Compared::new();
            compared.change_base(change);
            assert_eq!(compared.find(), Identical::default());
        }
        let mut compared = Compared::new();
        compared.plan.order.jobs[1].case.work = Work::Load(Load::closed(2).request(get("/")));
        assert_eq!(compared.find(), Identical::default());
    }

    #[test]
    fn differing_files_outside_the_image_are_named() {
        let compared = Compared::new();
        fs::write(compared.repo.path().join("app/application.py"), "changed").unwrap();
        fs::write(compared.repo.path().join("elsewhere"), "").unwrap();
        let found = compared.find();
        assert_eq!(found.differing, [Path::new("app/application.py")]);
        let note = found.note("HEAD").unwrap();
        assert!(
            note.contains("although app/application.py differs between HEAD and the working tree"),
            "{note}"
        );
    }

    #[test]
    fn local_processes_are_identical_only_with_the_same_files() {
        let mut compared = Compared::new();
        compared.record.environment.sandbox = "process".into();
        assert_eq!(compared.find().servers, ["one"]);
        fs::write(compared.repo.path().join("app/application.py"), "changed").unwrap();
        assert_eq!(compared.find(), Identical::default());
    }
}
