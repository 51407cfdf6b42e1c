//! The folder of runs: `target/wsgibench/runs/<id>/`.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::{
    ConformanceRecord,
    error::{StoreError, io_error},
    files::{Recovered, Remains, lock_file, read_run, recover_one, remains, whole_lines, write_record, write_run},
    journal::{Entry, apply},
    record::RunRecord,
};

/// Storage of wsgibench under the target folder.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// Opens the storage at `<target>/wsgibench`.
    #[must_use]
    pub fn new(target: &Path) -> Self {
        Self {
            root: target.join("wsgibench"),
        }
    }

    /// Returns the storage of profiled runs, `target/wsgibench/explain`, apart from the runs that have figures.
    #[must_use]
    pub fn of_profiles(&self) -> Self {
        Self {
            root: self.root.join("explain"),
        }
    }

    /// Returns `target/wsgibench`.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the path of `conformance.json`, the last conformance results.
    #[must_use]
    pub fn conformance_path(&self) -> PathBuf {
        self.root.join("conformance.json")
    }

    /// Reads the last conformance results; `None` if there are none.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged or of a later version.
    pub fn read_conformance(&self) -> Result<Option<ConformanceRecord>, StoreError> {
        ConformanceRecord::read(&self.conformance_path())
    }

    /// Returns the folder of a run.
    #[must_use]
    pub fn run_dir(&self, id: &str) -> PathBuf {
        self.root.join("runs").join(id)
    }

    /// Starts a run: creates its folder, its lock and its journal with the first line.
    ///
    /// # Errors
    /// If the folder or files cannot be created.
    pub fn begin(&self, run: RunRecord) -> Result<RunWriter, StoreError> {
        let dir = self.run_dir(&run.id);
        let logs = dir.join("logs");
        fs::create_dir_all(&logs).map_err(io_error("create", &logs))?;
        let lock = lock_file(&dir)?;
        let path = dir.join("journal.jsonl");
        let journal = File::create(&path).map_err(io_error("create", &path))?;
        let mut writer = RunWriter {
            dir,
            journal,
            run,
            _lock: lock,
        };
        let first = Entry::Run(Box::new(writer.run.clone()));
        writer.append(&first)?;
        Ok(writer)
    }

    /// Resumes an interrupted run: locks its folder and appends the given record to its journal. As for any active run,
    /// `run.json` is absent until it is finished.
    ///
    /// # Errors
    /// If the files cannot be written, or another process holds the run.
    pub fn resume(&self, run: RunRecord) -> Result<RunWriter, StoreError> {
        let dir = self.run_dir(&run.id);
        let lock = lock_file(&dir)?;
        let path = dir.join("journal.jsonl");
        whole_lines(&path).map_err(io_error("repair", &path))?;
        let journal = File::options()
            .append(true)
            .open(&path)
            .map_err(io_error("open", &path))?;
        let mut writer = RunWriter {
            dir,
            journal,
            run,
            _lock: lock,
        };
        writer.restate()?;
        let record = writer.dir.join("run.json");
        match fs::remove_file(&record) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("remove", &record)(error)),
            _ => Ok(writer),
        }
    }

    /// Rewrites the record of a finished run after further analysis.
    ///
    /// # Errors
    /// If the file cannot be written; the old record is then unchanged.
    pub fn rewrite(&self, run: &RunRecord) -> Result<(), StoreError> {
        write_record(&self.run_dir(&run.id), run)
    }

    /// Returns the ids of the finished runs, oldest first.
    #[must_use]
    pub fn finished(&self) -> Vec<String> {
        let mut ids: Vec<String> = self
            .run_dirs()
            .into_iter()
            .filter(|dir| dir.join("run.json").is_file())
            .filter_map(|dir| Some(dir.file_name()?.to_str()?.to_owned()))
            .collect();
        ids.sort();
        ids
    }

    /// Reads a run: by id, `latest`, or the path of a `run.json` or of a run's folder.
    ///
    /// # Errors
    /// If the run is unknown, damaged or of a later version.
    pub fn read(&self, name: &str) -> Result<RunRecord, StoreError> {
        read_run(&self.find(name)?)
    }

    /// Reads as much of a run as possible: if its `run.json` is damaged, from its journal, or else its complete cases.
    ///
    /// # Errors
    /// If the run is unknown, of a later version, or unreadable.
    pub fn read_remains(&self, name: &str) -> Result<Remains, StoreError> {
        let path = self.find(name)?;
        match read_run(&path) {
            Ok(run) => Ok(Remains { run, missing: None }),
            Err(damaged @ StoreError::Damaged { .. }) => remains(&path).ok_or(damaged),
            Err(error) => Err(error),
        }
    }

    fn find(&self, name: &str) -> Result<PathBuf, StoreError> {
        let as_path = Path::new(name);
        if as_path.is_file() {
            Ok(as_path.to_owned())
        } else if as_path.join("run.json").is_file() {
            Ok(as_path.join("run.json"))
        } else {
            let finished = self.finished();
            let id = if name == "latest" {
                finished.last().cloned()
            } else {
                finished.iter().find(|id| *id == name).cloned()
            };
            let Some(id) = id else {
                let hint = if finished.is_empty() {
                    "nothing has been measured yet: run `cargo bench` first".to_owned()
                } else {
                    format!(
                        "the newest are {}",
                        finished.iter().rev().take(5).cloned().collect::<Vec<_>>().join(", ")
                    )
                };
                return Err(StoreError::Unknown {
                    name: name.to_owned(),
                    folder: self.root.join("runs"),
                    hint,
                });
            };
            Ok(self.run_dir(&id).join("run.json"))
        }
    }

    /// Recovers killed runs. Active runs hold their lock and are skipped.
    #[must_use]
    pub fn recover(&self) -> Vec<Result<Recovered, StoreError>> {
        self.run_dirs()
            .into_iter()
            .filter(|dir| dir.join("journal.jsonl").is_file() && !dir.join("run.json").exists())
            .filter_map(|dir| {
                let lock = File::open(dir.join("lock")).ok()?;
                // An active owner holds the lock; a killed one has released it.
                lock.try_lock().ok()?;
                recover_one(&dir).transpose()
            })
            .collect()
    }

    fn run_dirs(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.root.join("runs")) else {
            return Vec::new();
        };
        entries.flatten().map(|e| e.path()).filter(|p| p.is_dir()).collect()
    }
}

/// A run during measurement. Every change is written to the journal first.
#[derive(Debug)]
pub struct RunWriter {
    dir: PathBuf,
    journal: File,
    run: RunRecord,
    _lock: File,
}

impl RunWriter {
    /// Returns the current record.
    #[must_use]
    pub fn run(&self) -> &RunRecord {
        &self.run
    }

    /// Returns the run's folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes an entry to the journal, syncs it, and then applies it.
    ///
    /// # Errors
    /// If the journal cannot be written; the record in memory is then unchanged.
    pub fn note(&mut self, entry: Entry) -> Result<(), StoreError> {
        self.append(&entry)?;
        apply(&mut self.run, entry);
        Ok(())
    }

    /// Writes the current record to the journal again, with the changes of [`amend`](Self::amend).
    ///
    /// # Errors
    /// If the journal cannot be written.
    pub fn restate(&mut self) -> Result<(), StoreError> {
        let entry = Entry::Run(Box::new(self.run.clone()));
        self.append(&entry)
    }

    /// Changes fields that are known only at the end of the run (validity of cases, the comparison).
    pub fn amend(&mut self, change: impl FnOnce(&mut RunRecord)) {
        change(&mut self.run);
    }

    /// Finishes the run: writes `run.json` and the histograms.
    ///
    /// # Errors
    /// If the files cannot be written; the journal is then still complete.
    pub fn finish(mut self, interrupted: bool) -> Result<RunRecord, StoreError> {
        self.run.finished = Some(jiff::Timestamp::now());
        self.run.interrupted = interrupted;
        write_run(&self.dir, &self.run)?;
        Ok(self.run)
    }

    fn append(&mut self, entry: &Entry) -> Result<(), StoreError> {
        let path = self.dir.join("journal.jsonl");
        let mut line = serde_json::to_vec(entry).map_err(|error| io_error("write", &path)(error.into()))?;
        line.push(b'\n');
        self.journal.write_all(&line).map_err(io_error("write", &path))?;
        self.journal.sync_data().map_err(io_error("write", &path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{
        arms::CANDIDATE,
        record::{CaseOutcome, LaunchRecord, Notice},
        samples,
    };

    fn record(id: &str) -> RunRecord {
        samples::run(id, &[samples::case("a", &CaseOutcome::Planned, &[])])
    }

    fn launch() -> LaunchRecord {
        serde_json::from_value(samples::launch(0, CANDIDATE, 0.1, [1.0, 1.0])).unwrap()
    }

    #[test]
    fn killed_run_is_recovered_up_to_its_last_complete_line() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let mut writer = store.begin(record("r1")).unwrap();
        writer
            .note(Entry::LaunchBegun {
                case: "ping/a/c1".into(),
                launch: Box::new(launch()),
            })
            .unwrap();
        writer.journal.write_all(b"{\"entry\": \"round\", \"ca").unwrap();
        assert!(
            store.recover().is_empty(),
            "a run whose owner lives must not be touched"
        );
        drop(writer);
        let recovered = store.recover();
        assert_eq!(recovered.len(), 1);
        let run = store.read("latest").unwrap();
        assert!(run.interrupted);
        assert_eq!(run.cases[0].launches.len(), 1);
        assert!(store.recover().is_empty(), "a run is recovered only once");
    }

    #[test]
    fn truncated_record_is_read_from_journal_or_complete_cases() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let mut writer = store.begin(record("r4")).unwrap();
        writer
            .note(Entry::LaunchBegun {
                case: "ping/a/c1".into(),
                launch: Box::new(launch()),
            })
            .unwrap();
        writer.finish(false).unwrap();
        assert!(store.read_remains("r4").unwrap().missing.is_none());
        let path = store.run_dir("r4").join("run.json");
        let text = fs::read(&path).unwrap();
        fs::write(&path, &text[..text.len() / 2]).unwrap();
        let remains = store.read_remains("r4").unwrap();
        assert!(remains.missing.unwrap().contains("journal"));
        assert_eq!(remains.run.cases[0].launches.len(), 1);
        fs::remove_file(store.run_dir("r4").join("journal.jsonl")).unwrap();
        fs::write(&path, &text[..text.len() - 30]).unwrap();
        let remains = store.read_remains("r4").unwrap();
        assert!(remains.missing.unwrap().contains("1 complete cases"));
        fs::write(&path, &text[..20]).unwrap();
        assert!(matches!(store.read_remains("r4"), Err(StoreError::Damaged { .. })));
    }

    #[test]
    fn finished_run_round_trips() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let mut writer = store.begin(record("r2")).unwrap();
        writer
            .note(Entry::Notice(Notice {
                about: String::new(),
                text: "said".into(),
            }))
            .unwrap();
        writer.finish(false).unwrap();
        let run = store.read("r2").unwrap();
        assert_eq!(run.notices[0].text, "said");
        assert!(run.finished.is_some());
        assert!(matches!(store.read("r3"), Err(StoreError::Unknown { .. })));
    }

    #[test]
    fn run_of_a_later_version_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.json");
        fs::write(&path, r#"{"schema_version": 4000}"#).unwrap();
        assert!(matches!(read_run(&path), Err(StoreError::TooNew { found: 4000, .. })));
        fs::write(&path, r#"{"schema_ver"#).unwrap();
        assert!(matches!(read_run(&path), Err(StoreError::Damaged { .. })));
    }
}
