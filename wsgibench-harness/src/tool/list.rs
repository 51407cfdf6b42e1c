//! `wsgibench list`: lists the stored runs.

use std::process::ExitCode;

use comfy_table::{CellAlignment, Table, presets::NOTHING};

use super::units;
use crate::store::{
    Store,
    record::{CaseOutcome, RunRecord, ValidityLevel},
};

/// Prints one line per run, oldest first, and the baselines.
pub(super) fn run(store: &Store) -> ExitCode {
    let ids = store.finished();
    if ids.is_empty() {
        outln!(
            "no stored runs in {}; run `cargo bench` first",
            store.root().join("runs").display()
        );
        return ExitCode::SUCCESS;
    }
    let mut table = Table::new();
    table.load_preset(NOTHING);
    table.set_header([
        "run", "started", "profile", "cases", "launches", "sandbox", "commit", "",
    ]);
    for id in &ids {
        // An unreadable run must not hide the others.
        match store.read(id) {
            Ok(run) => table.add_row(row(&run)),
            Err(error) => table.add_row([id.clone(), error.to_string()]),
        };
    }
    for column in table.column_iter_mut().skip(3).take(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    outln!("{table}");
    let baselines = store.baselines();
    if !baselines.is_empty() {
        outln!("\nbaselines: {}", baselines.join(", "));
    }
    ExitCode::SUCCESS
}

fn row(run: &RunRecord) -> [String; 8] {
    let measured = run
        .cases
        .iter()
        .filter(|case| case.outcome == CaseOutcome::Measured)
        .count();
    let launches: usize = run.cases.iter().map(|case| case.launches.len()).sum();
    [
        run.id.clone(),
        units::minute(run.started),
        run.profile.name.clone(),
        format!("{measured} / {}", run.cases.len()),
        launches.to_string(),
        run.environment.sandbox.clone(),
        run.environment.commit.as_deref().map(short).unwrap_or_default(),
        remark(run),
    ]
}

/// Shortens a commit's full name, keeping its mark: `0123456789-dirty`.
fn short(commit: &str) -> String {
    let (hash, rest) = commit.split_at(commit.find('-').unwrap_or(commit.len()));
    format!("{}{rest}", hash.get(..10).unwrap_or(hash))
}

fn remark(run: &RunRecord) -> String {
    let count = |level| run.cases.iter().filter(|case| case.validity.level == level).count();
    let failed = run
        .cases
        .iter()
        .filter(|case| matches!(case.outcome, CaseOutcome::Failed(_)))
        .count();
    let mut parts = Vec::new();
    if run.interrupted {
        parts.push("interrupted".to_owned());
    }
    for (number, what) in [
        (failed, "failed"),
        (count(ValidityLevel::Invalid), "invalid"),
        (count(ValidityLevel::Suspect), "suspect"),
    ] {
        if number > 0 {
            parts.push(format!("{number} {what}"));
        }
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn commits_are_shortened_and_keep_their_mark() {
        assert_eq!(short("0123456789abcdef-dirty"), "0123456789-dirty");
        assert_eq!(short("0123"), "0123");
    }
}
