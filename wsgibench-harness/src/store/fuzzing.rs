//! Fuzz targets of stored files.

use std::path::Path;

use serde::Serialize;

use super::{
    BaselineRun, ConformanceRecord, StoreError,
    files::parse_journal,
    record::RunRecord,
    recovery,
    versioned::{self, Versioned},
};

/// Parses a file; what is read is written and read again without a change.
fn read<T: Versioned + Serialize>(data: &[u8]) {
    let parse = |data: &[u8]| versioned::parse::<T>(Path::new("file.json"), data);
    match parse(data) {
        Ok(record) => {
            let written = serde_json::to_vec(&record).expect("a record that was read can be written");
            let again = parse(&written).expect("a written record can be read");
            let rewritten = serde_json::to_vec(&again).expect("a record");
            assert!(
                written == rewritten,
                "{} is written as {}",
                written.escape_ascii(),
                rewritten.escape_ascii()
            );
        }
        Err(StoreError::TooNew { found, known, .. }) => assert!(found > known),
        Err(StoreError::Damaged { reason, .. }) => assert!(!reason.is_empty()),
        Err(error) => panic!("parsing does not open files: {error}"),
    }
}

/// Files with a schema version: runs, baselines and conformance results.
///
/// # Panics
/// If a file that was read is not written and read without a change.
pub fn versioned_files(data: &[u8]) {
    read::<RunRecord>(data);
    read::<BaselineRun>(data);
    read::<ConformanceRecord>(data);
}

/// Recovery of runs: `data` as a truncated `run.json` and as a journal.
///
/// # Panics
/// If a shorter file holds a case that the longer one does not, or a partial line changes the run.
pub fn recovery(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(run) = recovery::complete_cases(&text) {
        assert!(run.interrupted, "a truncated run is incomplete");
        let mut half = text.len() / 2;
        while !text.is_char_boundary(half) {
            half -= 1;
        }
        if let Some(shorter) = recovery::complete_cases(&text[..half]) {
            assert!(shorter.cases.len() <= run.cases.len());
            for (a, b) in shorter.cases.iter().zip(&run.cases) {
                assert_eq!(a.id, b.id);
            }
        }
    }
    if let Some(run) = parse_journal(data) {
        let run = serde_json::to_vec(&run).expect("a run can be written");
        let whole = data.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        if whole == data.len() {
            let partial = [data, b"{\"entry\": \"round\", \"ca"].concat();
            let again = parse_journal(&*partial).expect("a partial last line is ignored");
            assert!(run == serde_json::to_vec(&again).expect("a run can be written"));
        }
    }
}
