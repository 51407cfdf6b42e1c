//! The folder of runs: `target/wsgibench/runs/<id>/`.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

use super::{
    ConformanceRecord,
    error::{StoreError, io_error},
    files::{Recovered, Remains, lock_file, read_run, recover_one, remains, whole_lines, write_record, write_run},
    journal::{Entry, apply},
    record::RunRecord,
};

/// Everything of ours under the target folder.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// The store under `<target>/wsgibench`.
    #[must_use]
    pub fn new(target: &Path) -> Self {
        Self {
            root: target.join("wsgibench"),
        }
    }

    /// `target/wsgibench`.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `conformance.json`: the last examination of servers.
    #[must_use]
    pub fn conformance_path(&self) -> PathBuf {
        self.root.join("conformance.json")
    }

    /// Reads the last examination; `None` where nobody was examined yet.
    ///
    /// # Errors
    /// When the disk says no, or the file is damaged or of a later version.
    pub fn read_conformance(&self) -> Result<Option<ConformanceRecord>, StoreError> {
        ConformanceRecord::read(&self.conformance_path())
    }

    /// The folder of a run.
    #[must_use]
    pub fn run_dir(&self, id: &str) -> PathBuf {
        self.root.join("runs").join(id)
    }

    /// Starts a run: its folder, its lock, its journal with the first line.
    ///
    /// # Errors
    /// When the disk says no.
    pub fn begin(&self, run: RunRecord) -> Result<RunWriter, StoreError> {
        let dir = self.run_dir(&run.id);
        let logs = dir.join("logs");
        fs::create_dir_all(&logs).map_err(io_error("make", &logs))?;
        let lock = lock_file(&dir)?;
        let path = dir.join("journal.jsonl");
        let journal = File::create(&path).map_err(io_error("make", &path))?;
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

    /// Goes on with a run that was interrupted: its folder, its lock, and the record as it is given, behind what the journal
    /// has. Until it is finished again there is no `run.json`, as of any run under way.
    ///
    /// # Errors
    /// When the disk says no, or when another process is at the run.
    pub fn resume(&self, run: RunRecord) -> Result<RunWriter, StoreError> {
        let dir = self.run_dir(&run.id);
        let lock = lock_file(&dir)?;
        let path = dir.join("journal.jsonl");
        whole_lines(&path).map_err(io_error("mend", &path))?;
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

    /// Writes a finished run's record again, after something was concluded from it.
    ///
    /// # Errors
    /// When the disk says no; the old record is untouched then.
    pub fn rewrite(&self, run: &RunRecord) -> Result<(), StoreError> {
        write_record(&self.run_dir(&run.id), run)
    }

    /// Ids of the finished runs, oldest first.
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
    /// Unknown, damaged or too new.
    pub fn read(&self, name: &str) -> Result<RunRecord, StoreError> {
        read_run(&self.find(name)?)
    }

    /// Reads a run as far as it goes: where its `run.json` is damaged its journal stands in, and without one the cases that
    /// are whole.
    ///
    /// # Errors
    /// Unknown, too new, or damaged beyond that.
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

    /// Makes whole what killed runs left. Runs that are alive hold their lock and are not touched.
    #[must_use]
    pub fn recover(&self) -> Vec<Result<Recovered, StoreError>> {
        self.run_dirs()
            .into_iter()
            .filter(|dir| dir.join("journal.jsonl").is_file() && !dir.join("run.json").exists())
            .filter_map(|dir| {
                let lock = File::open(dir.join("lock")).ok()?;
                // A live owner holds the lock, a dead one cannot.
                flock(&lock, FlockOperation::NonBlockingLockExclusive).ok()?;
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

/// A run while it is measured. Every change goes to the journal first.
#[derive(Debug)]
pub struct RunWriter {
    dir: PathBuf,
    journal: File,
    run: RunRecord,
    _lock: File,
}

impl RunWriter {
    /// The record as it stands.
    #[must_use]
    pub fn run(&self) -> &RunRecord {
        &self.run
    }

    /// The run's folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes an entry to the journal, down to the disk, and then applies it.
    ///
    /// # Errors
    /// When the disk says no; the record in memory is unchanged then.
    pub fn note(&mut self, entry: Entry) -> Result<(), StoreError> {
        self.append(&entry)?;
        apply(&mut self.run, entry);
        Ok(())
    }

    /// Writes the record as it stands to the journal again: what [`amend`](Self::amend) changed is in it then.
    ///
    /// # Errors
    /// When the disk says no.
    pub fn restate(&mut self) -> Result<(), StoreError> {
        let entry = Entry::Run(Box::new(self.run.clone()));
        self.append(&entry)
    }

    /// Changes what only the end of a run knows (validity of cases, the comparison).
    pub fn amend(&mut self, change: impl FnOnce(&mut RunRecord)) {
        change(&mut self.run);
    }

    /// Ends the run: `run.json` and the histograms.
    ///
    /// # Errors
    /// When the disk says no; the journal still has everything then.
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
    fn a_killed_run_is_recovered_up_to_its_last_whole_line() {
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
        assert!(store.recover().is_empty(), "once is enough");
    }

    #[test]
    fn of_a_truncated_record_the_journal_or_what_is_whole_is_read() {
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
        assert!(remains.missing.unwrap().contains("1 whole cases"));
        fs::write(&path, &text[..20]).unwrap();
        assert!(matches!(store.read_remains("r4"), Err(StoreError::Damaged { .. })));
    }

    #[test]
    fn a_finished_run_reads_back() {
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
    fn a_run_of_a_later_version_is_named_as_such() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.json");
        fs::write(&path, r#"{"schema_version": 4000}"#).unwrap();
        assert!(matches!(read_run(&path), Err(StoreError::TooNew { found: 4000, .. })));
        fs::write(&path, r#"{"schema_ver"#).unwrap();
        assert!(matches!(read_run(&path), Err(StoreError::Damaged { .. })));
    }
}
