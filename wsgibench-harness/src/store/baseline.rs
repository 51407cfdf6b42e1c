//! Baselines: launches of several runs under a name, `target/wsgibench/baselines/<name>/<run>.json`.
//!
//! A baseline grows with each run saved to it, up to a limit, so that it covers the variation between days as well as
//! between launches.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::counts::CountEnvironment;

use super::{
    Store, StoreError,
    atomic::write_json,
    record::{CaseOutcome, RunRecord, ValidityLevel},
    versioned::{self, Versioned},
};

/// Maximum number of runs in a baseline.
pub const KEPT_RUNS: usize = 20;

/// Schema version of a baseline's files.
pub const BASELINE_VERSION: u32 = 1;

/// The figures of one run in a baseline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct BaselineRun {
    /// [`BASELINE_VERSION`] of the writer.
    pub version: u32,
    /// Run id.
    pub run: String,
    /// Start, UTC.
    pub started: String,
    /// Environment of the measurement.
    pub fingerprint: Fingerprint,
    /// Figures of the launches by case and metric id, in the metric's unit.
    pub cases: BTreeMap<String, BTreeMap<String, Vec<f64>>>,
    /// Environment of the counts of a counted run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<CountEnvironment>,
    /// Hash of what the counts of a case depend on besides environment and image, by case.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub definitions: BTreeMap<String, String>,
    /// Versions of the packages in the servers' images of a counted run, by server.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub packages: BTreeMap<String, BTreeMap<String, String>>,
}

/// Properties that must match for figures of two days to be comparable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Fingerprint {
    /// CPU model.
    pub cpu_model: String,
    /// Number of CPUs.
    pub cpu_count: usize,
    /// Kernel release.
    pub kernel: String,
    /// Sandbox.
    pub sandbox: String,
    /// Container engine and version.
    pub engine: Option<String>,
    /// CPUs of the servers and of the load engine.
    pub cpus: (Vec<usize>, Vec<usize>),
    /// Version of the harness.
    pub harness: String,
    /// Image digests by server.
    pub images: BTreeMap<String, String>,
}

impl Fingerprint {
    /// Returns the environment of a run.
    #[must_use]
    pub fn of(run: &RunRecord) -> Self {
        let environment = &run.environment;
        Self {
            cpu_model: environment.cpu_model.clone(),
            cpu_count: environment.cpu_count,
            kernel: environment.kernel.clone(),
            sandbox: environment.sandbox.clone(),
            engine: environment.engine.clone(),
            cpus: (environment.server_cpus.clone(), environment.load_cpus.clone()),
            harness: run.harness_version.clone(),
            images: run
                .servers
                .iter()
                .filter_map(|s| Some((s.spec.name.clone(), s.image_digest.clone()?)))
                .collect(),
        }
    }

    /// Describes differences of the machine; image digests are expected to differ and are ignored.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        let mut compare = |what: &str, a: String, b: String| {
            if a != b {
                found.push(format!("{what}: {a} then, {b} now"));
            }
        };
        compare("CPU", self.cpu_model.clone(), other.cpu_model.clone());
        compare(
            "number of CPUs",
            self.cpu_count.to_string(),
            other.cpu_count.to_string(),
        );
        compare("kernel", self.kernel.clone(), other.kernel.clone());
        compare("sandbox", self.sandbox.clone(), other.sandbox.clone());
        compare(
            "engine",
            self.engine.clone().unwrap_or_default(),
            other.engine.clone().unwrap_or_default(),
        );
        compare("CPU sets", format!("{:?}", self.cpus), format!("{:?}", other.cpus));
        compare("wsgibench", self.harness.clone(), other.harness.clone());
        found
    }
}

impl BaselineRun {
    /// Extracts the valid measured cases of a run.
    #[must_use]
    pub fn of(run: &RunRecord, figures: impl Fn(&RunRecord, &str) -> BTreeMap<String, Vec<f64>>) -> Self {
        let cases = run
            .cases
            .iter()
            .filter(|c| c.outcome == CaseOutcome::Measured && c.validity.level < ValidityLevel::Invalid)
            .map(|c| (c.id.clone(), figures(run, &c.id)))
            .filter(|(_, figures)| !figures.is_empty())
            .collect();
        Self {
            version: BASELINE_VERSION,
            run: run.id.clone(),
            started: run.started.to_string(),
            fingerprint: Fingerprint::of(run),
            counted: run.counted.clone(),
            definitions: run
                .cases
                .iter()
                .filter_map(|case| Some((case.id.clone(), case.definition()?.to_owned())))
                .collect(),
            packages: if run.counted.is_some() {
                run.packages()
            } else {
                BTreeMap::new()
            },
            cases,
        }
    }
}

impl Versioned for BaselineRun {
    const KNOWN: u32 = BASELINE_VERSION;
    const WHAT: &'static str = "a run in a baseline";
    const REMEDY: &'static str = "; delete it, or save the baseline again";
}

impl Store {
    fn baseline_dir(&self, name: &str) -> PathBuf {
        self.root().join("baselines").join(name)
    }

    /// Adds a run to a baseline and deletes the oldest beyond [`KEPT_RUNS`].
    ///
    /// # Errors
    /// If a file cannot be written, or the name is not a valid file name.
    pub fn save_baseline(&self, name: &str, run: &BaselineRun) -> Result<(), StoreError> {
        let dir = self.named(name)?;
        let path = dir.join(format!("{}.json", run.run));
        write_json(&path, run)?;
        let mut files = json_files(&dir);
        let surplus = files.len().saturating_sub(KEPT_RUNS);
        for old in files.drain(..surplus) {
            let _ = fs::remove_file(old);
        }
        Ok(())
    }

    /// Reads a baseline, oldest run first.
    ///
    /// # Errors
    /// If the baseline is missing, damaged or of a later version.
    pub fn read_baseline(&self, name: &str) -> Result<Vec<BaselineRun>, StoreError> {
        let dir = self.named(name)?;
        let files = json_files(&dir);
        if files.is_empty() {
            let names = self.baselines();
            let hint = if names.is_empty() {
                format!("none is saved; create it with `cargo bench -- --save-baseline {name}`")
            } else {
                format!("saved are {}", names.join(", "))
            };
            return Err(StoreError::UnknownBaseline {
                name: name.to_owned(),
                hint,
            });
        }
        files.iter().map(|path| versioned::read(path)).collect()
    }

    /// Returns the names of the saved baselines.
    #[must_use]
    pub fn baselines(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.root().join("baselines")) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .flatten()
            .filter(|e| e.path().is_dir())
            .filter_map(|e| e.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }

    fn named(&self, name: &str) -> Result<PathBuf, StoreError> {
        let sane = !name.is_empty()
            && name.len() <= 100
            && !name.starts_with('.')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if sane {
            Ok(self.baseline_dir(name))
        } else {
            Err(StoreError::BaselineName(name.to_owned()))
        }
    }
}

fn json_files(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == "json"))
        .collect();
    // Run ids sort by time.
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(id: &str) -> BaselineRun {
        BaselineRun {
            version: BASELINE_VERSION,
            run: id.to_owned(),
            started: "2026-01-01T00:00:00Z".to_owned(),
            fingerprint: Fingerprint::default(),
            counted: None,
            definitions: BTreeMap::new(),
            packages: BTreeMap::new(),
            cases: BTreeMap::from([(
                "ping/a/c1".to_owned(),
                BTreeMap::from([("throughput".to_owned(), vec![1.0, 2.0])]),
            )]),
        }
    }

    #[test]
    fn baseline_grows_up_to_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        for i in 0..KEPT_RUNS + 3 {
            store.save_baseline("main", &run(&format!("run{i:03}"))).unwrap();
        }
        let runs = store.read_baseline("main").unwrap();
        assert_eq!(runs.len(), KEPT_RUNS);
        assert_eq!(runs[0].run, "run003");
        assert_eq!(store.baselines(), ["main"]);
    }

    #[test]
    fn missing_damaged_and_newer_baselines_are_reported() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let error = store.read_baseline("main").unwrap_err().to_string();
        assert!(error.contains("--save-baseline main"), "{error}");
        store.save_baseline("main", &run("r1")).unwrap();
        let error = store.read_baseline("mian").unwrap_err().to_string();
        assert!(error.contains("saved are main"), "{error}");
        let path = folder.path().join("wsgibench/baselines/main/r1.json");
        for (content, expected) in [
            ("{", "r1.json is not a run in a baseline"),
            ("{}", "no schema version"),
            (r#"{"version": 99}"#, "later wsgibench"),
            (r#"{"version": 1}"#, "missing field"),
        ] {
            fs::write(&path, content).unwrap();
            let error = store.read_baseline("main").unwrap_err().to_string();
            assert!(error.contains(expected), "{content}: {error}");
        }
        assert!(store.read_baseline("../etc").is_err());
    }
}
