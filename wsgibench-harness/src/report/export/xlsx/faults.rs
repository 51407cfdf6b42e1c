//! The sheet of faults: one row per fault and launch, and one per server without results.

use rust_xlsxwriter::{Format as Style, Worksheet, XlsxError};

use super::{head, put_text};
use crate::{
    report::{display, faults, units::float},
    store::record::{CaseRecord, FaultRecord, LaunchRecord, RunRecord},
};

/// A value; `Nothing` is an empty cell, which differs from zero.
enum Cell {
    Text(String),
    Number(f64),
    Nothing,
}

type Column = (&'static str, fn(&LaunchRecord, &FaultRecord) -> Cell);

/// The columns after those of the case.
const COLUMNS: &[Column] = &[
    ("launch", |l, _| Cell::Number(f64::from(l.index))),
    ("arm", |l, _| Cell::Text(l.arm.clone())),
    ("at (s)", |_, f| Cell::Number(f.at_seconds)),
    ("took (s)", |_, f| Cell::Number(f.took_seconds)),
    ("requests lost", |_, f| of_done(f, float(f.recovery.requests_lost))),
    ("sent again", |_, f| of_done(f, float(f.recovery.requests_sent_again))),
    ("recovered after (s)", |_, f| match f.recovery.recovered_after_seconds {
        Some(seconds) => of_done(f, seconds),
        None => Cell::Nothing,
    }),
    ("watched (s)", |_, f| of_done(f, f.recovery.watched_seconds)),
    ("usual rate (req/s)", |_, f| of_done(f, f.recovery.usual_per_second)),
    ("lowest rate (req/s)", |_, f| of_done(f, f.recovery.lowest_per_second)),
    ("killed by the memory limit", |_, f| of_done(f, float(f.memory_kills))),
    ("answers", |_, f| {
        let answers = f.answers.iter().map(|(answer, count)| format!("{answer}={count}"));
        Cell::Text(answers.collect::<Vec<_>>().join("; "))
    }),
    ("exactly", |_, f| Cell::Text(f.told.clone())),
];

fn of_done(fault: &FaultRecord, value: f64) -> Cell {
    if faults::done(fault) {
        Cell::Number(value)
    } else {
        Cell::Nothing
    }
}

pub(super) fn fill(sheet: &mut Worksheet, run: &RunRecord, bold: &Style) -> Result<(), XlsxError> {
    let mut header: Vec<String> = ["case", "server", "fault", "outcome"].map(Into::into).to_vec();
    header.extend(COLUMNS.iter().map(|(name, _)| (*name).to_owned()));
    head(sheet, &header, bold)?;
    let mut row = 1;
    for case in run.cases.iter().filter(|case| faults::has(case)) {
        let mut has_row = false;
        for launch in &case.launches {
            for fault in launch.rounds.iter().flat_map(|round| &round.faults) {
                start(sheet, row, case, (&fault.action, outcome(fault)))?;
                for ((_, value), column) in COLUMNS.iter().zip(4_u16..) {
                    match value(launch, fault) {
                        Cell::Text(text) => put_text(sheet, row, column, &text)?,
                        Cell::Number(number) if number.is_finite() => {
                            sheet.write_number(row, column, number)?;
                        }
                        Cell::Number(_) | Cell::Nothing => {}
                    }
                }
                has_row = true;
                row += 1;
            }
        }
        if !has_row {
            let actions: Vec<String> = case.load.faults.iter().map(|fault| fault.action.name()).collect();
            let why = display::unmeasured(&case.outcome).unwrap_or_else(|| "no completed round".to_owned());
            start(sheet, row, case, (&actions.join("; "), &why))?;
            row += 1;
        }
    }
    sheet.autofit();
    Ok(())
}

fn start(sheet: &mut Worksheet, row: u32, case: &CaseRecord, (fault, outcome): (&str, &str)) -> Result<(), XlsxError> {
    for (text, column) in [&case.id, &case.server, fault, outcome].into_iter().zip(0_u16..) {
        put_text(sheet, row, column, text)?;
    }
    Ok(())
}

fn outcome(fault: &FaultRecord) -> &'static str {
    match fault.recovery.recovered_after_seconds {
        _ if !faults::done(fault) => "not done",
        _ if fault.server_ended => "the server exited",
        Some(_) => "recovered",
        None => "not recovered",
    }
}
