//! The files of one run: record, histograms, journal and lock.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};

use super::{
    atomic::{write_atomically, write_json},
    error::{StoreError, io_error},
    journal::{Entry, fold},
    record::{RunRecord, SCHEMA_VERSION},
    recovery,
    versioned::{self, Versioned},
};
use crate::lock_file;

/// A recovered run of a killed process.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// Run id.
    pub id: String,
    /// Number of recovered rounds.
    pub rounds: usize,
    /// Path of its `run.json`.
    pub path: PathBuf,
}

/// A run that may be incomplete.
#[derive(Clone, Debug)]
pub struct Remains {
    /// The run.
    pub run: RunRecord,
    /// A description of missing data; `None` if the run is complete.
    pub missing: Option<String>,
}

/// Recovers the run of a killed process; `None` if there is nothing to recover.
pub(super) fn recover_one(dir: &Path) -> Result<Option<Recovered>, StoreError> {
    let Some(mut run) = read_journal(&dir.join("journal.jsonl"))? else {
        return Ok(None);
    };
    run.interrupted = true;
    let rounds = run.cases.iter().flat_map(|c| &c.launches).map(|l| l.rounds.len()).sum();
    let id = run.id.clone();
    write_run(dir, &run)?;
    Ok(Some(Recovered {
        id,
        rounds,
        path: dir.join("run.json"),
    }))
}

/// Rebuilds the run from a journal; `None` if its first line is incomplete.
fn read_journal(path: &Path) -> Result<Option<RunRecord>, StoreError> {
    let file = File::open(path).map_err(io_error("read", path))?;
    Ok(parse_journal(BufReader::new(file)))
}

/// Rebuilds the run from the lines of a journal. A killed process may leave a partial last line: parsing stops at the first
/// line that is not an entry.
pub(super) fn parse_journal(journal: impl BufRead) -> Option<RunRecord> {
    let entries = journal
        .lines()
        .map_while(Result::ok)
        .map_while(|line| serde_json::from_str::<Entry>(&line).ok());
    fold(entries)
}

/// Reads as much as possible of a run whose record is damaged.
pub(super) fn remains(path: &Path) -> Option<Remains> {
    let journal = path.parent()?.join("journal.jsonl");
    if path.file_name().is_some_and(|name| name == "run.json")
        && let Ok(Some(run)) = read_journal(&journal)
    {
        let missing = format!(
            "{} is damaged; recovered from its journal: all completed rounds, without the validity of cases and the comparison",
            path.display()
        );
        return Some(Remains {
            run,
            missing: Some(missing),
        });
    }
    let text = String::from_utf8_lossy(&fs::read(path).ok()?).into_owned();
    let run = recovery::complete_cases(&text)?;
    let missing = format!(
        "{} is truncated and has no journal: recovered {} complete cases, the rest is lost",
        path.display(),
        run.cases.len()
    );
    Some(Remains {
        run,
        missing: Some(missing),
    })
}

/// Writes `run.json` and the histograms.
pub(super) fn write_run(dir: &Path, run: &RunRecord) -> Result<(), StoreError> {
    for case in &run.cases {
        for launch in &case.launches {
            for round in &launch.rounds {
                let name = format!(
                    "{}-{}-{}-{}.hdr",
                    case.id.replace('/', "_"),
                    launch.arm,
                    launch.index,
                    round.index
                );
                let path = dir.join("histograms").join(name);
                let mut bytes = Vec::new();
                // Writing to memory cannot fail.
                let _ = V2DeflateSerializer::new().serialize(&round.load.response_time.histogram, &mut bytes);
                write_atomically(&path, &bytes).map_err(io_error("write", &path))?;
            }
        }
    }
    write_record(dir, run)
}

/// Writes `run.json` only.
pub(super) fn write_record(dir: &Path, run: &RunRecord) -> Result<(), StoreError> {
    write_json(&dir.join("run.json"), run)
}

impl Versioned for RunRecord {
    const KNOWN: u32 = SCHEMA_VERSION;
    const WHAT: &'static str = "a run";
    const REMEDY: &'static str = "";
}

/// Reads a `run.json`.
pub(super) fn read_run(path: &Path) -> Result<RunRecord, StoreError> {
    versioned::read(path)
}

/// Truncates a partial last line, because lines appended to it could not be read.
pub(super) fn whole_lines(journal: &Path) -> io::Result<()> {
    let text = fs::read(journal)?;
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    if whole < text.len() {
        let file = File::options().write(true).open(journal)?;
        file.set_len(whole as u64)?;
        file.sync_data()?;
    }
    Ok(())
}

/// Acquires the lock of a run's folder for this process.
pub(super) fn lock_file(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join("lock");
    let file = lock_file::open(&path, 0o644).map_err(io_error("open", &path))?;
    file.try_lock().map_err(|e| io_error("lock", &path)(e.into()))?;
    Ok(file)
}
