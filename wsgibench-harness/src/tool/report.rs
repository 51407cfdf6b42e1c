//! `wsgibench report`: regenerates the HTML report of stored runs.

use std::process::ExitCode;

use super::{arguments::Report, error::ToolError};
use crate::{
    report::html::{Baseline, Page, write},
    store::{Store, StoreError, record::RunRecord},
};

/// Writes the report and prints its path.
pub(super) fn run(options: &Report, store: &Store) -> Result<ExitCode, ToolError> {
    let latest = ["latest".to_owned()];
    let names = if options.runs.is_empty() {
        &latest[..]
    } else {
        &options.runs
    };
    let (runs, mut missing) = read(names, store)?;
    // Unreadable conformance results must not hide the runs.
    let conformance = store.read_conformance().unwrap_or_else(|error| {
        missing.push(error.to_string());
        None
    });
    let kept = options
        .baseline
        .as_ref()
        .map(|name| Ok::<_, StoreError>((name, store.read_baseline(name)?)))
        .transpose()?;
    let path = options
        .output
        .clone()
        .unwrap_or_else(|| store.root().join("report").join("index.html"));
    let page = Page {
        runs: &runs.iter().collect::<Vec<_>>(),
        baseline: kept.as_ref().map(|(name, runs)| Baseline { name, runs }),
        conformance: conformance.as_ref(),
        missing: &missing,
    };
    write(&page, &path).map_err(|error| ToolError::Failed(error.to_string()))?;
    for line in &missing {
        eprintln!("{} {line}", console::style("note:").yellow().for_stderr());
    }
    outln!("report: {}", path.display());
    Ok(ExitCode::SUCCESS)
}

/// Returns the runs without duplicates, and notices on unreadable data. An unreadable run does not hide the others; an
/// unknown name is an error of usage.
fn read(names: &[String], store: &Store) -> Result<(Vec<RunRecord>, Vec<String>), ToolError> {
    let mut runs: Vec<RunRecord> = Vec::new();
    let mut missing = Vec::new();
    let mut last = None;
    for name in names {
        match store.read_remains(name) {
            Ok(remains) => {
                missing.extend(remains.missing);
                if !runs.iter().any(|known| known.id == remains.run.id) {
                    runs.push(remains.run);
                }
            }
            Err(error @ StoreError::Unknown { .. }) => return Err(error.into()),
            Err(error) => {
                missing.push(error.to_string());
                last = Some(error);
            }
        }
    }
    match last {
        Some(error) if runs.is_empty() => Err(error.into()),
        _ => Ok((runs, missing)),
    }
}
