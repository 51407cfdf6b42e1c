//! The files of one run: its record, its histograms, its journal, its lock.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};
use rustix::fs::{FlockOperation, flock};

use super::{
    atomic::{write_atomically, write_json},
    error::{StoreError, io_error},
    journal::{Entry, fold},
    record::{RunRecord, SCHEMA_VERSION},
    recovery,
    versioned::{self, Versioned},
};

/// A run that a killed process left, made whole again.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// Its id.
    pub id: String,
    /// Rounds that were saved.
    pub rounds: usize,
    /// Its `run.json`.
    pub path: PathBuf,
}

/// A run as far as it could be read.
#[derive(Clone, Debug)]
pub struct Remains {
    /// The run.
    pub run: RunRecord,
    /// What is missing of it, in a sentence; `None` when it is whole.
    pub missing: Option<String>,
}

/// Makes whole what a killed run left in its folder; `None` when it left nothing.
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

/// The run that a journal tells of; `None` when not even its first line is whole.
fn read_journal(path: &Path) -> Result<Option<RunRecord>, StoreError> {
    let file = File::open(path).map_err(io_error("read", path))?;
    // The last line of a killed run may be half written: reading stops at the first line that does not parse.
    let entries = BufReader::new(file)
        .lines()
        .map_while(Result::ok)
        .map_while(|line| serde_json::from_str::<Entry>(&line).ok());
    Ok(fold(entries))
}

/// What is left of a run whose record cannot be read.
pub(super) fn remains(path: &Path) -> Option<Remains> {
    let journal = path.parent()?.join("journal.jsonl");
    if path.file_name().is_some_and(|name| name == "run.json")
        && let Ok(Some(run)) = read_journal(&journal)
    {
        let missing = format!(
            "{} is damaged; this is what its journal has: every finished round, but not the validity of whole cases nor a comparison",
            path.display()
        );
        return Some(Remains {
            run,
            missing: Some(missing),
        });
    }
    let text = String::from_utf8_lossy(&fs::read(path).ok()?).into_owned();
    let run = recovery::whole_cases(&text)?;
    let missing = format!(
        "{} breaks off and has no journal beside it: {} whole cases could be read, what came after them is lost",
        path.display(),
        run.cases.len()
    );
    Some(Remains {
        run,
        missing: Some(missing),
    })
}

/// `run.json` and the histograms.
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

/// `run.json` alone.
pub(super) fn write_record(dir: &Path, run: &RunRecord) -> Result<(), StoreError> {
    write_json(&dir.join("run.json"), run)
}

impl Versioned for RunRecord {
    const KNOWN: u32 = SCHEMA_VERSION;
    const WHAT: &'static str = "a run";
    const REMEDY: &'static str = "";
}

/// A `run.json`.
pub(super) fn read_run(path: &Path) -> Result<RunRecord, StoreError> {
    versioned::read(path)
}

/// Cuts off a last line that a killed process did not write to its end: what follows it would not be read.
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

/// The lock of a run's folder, held by this process.
pub(super) fn lock_file(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join("lock");
    let file = File::create(&path).map_err(io_error("make", &path))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|e| StoreError::Io {
        action: "lock",
        path: path.clone(),
        source: e.into(),
    })?;
    Ok(file)
}
