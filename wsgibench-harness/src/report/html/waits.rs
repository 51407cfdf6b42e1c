//! The table of what requests wait for.

use super::table::{Table, numeric_column, text_column};
use crate::{
    report::waits::{self, HEADS},
    store::record::RunRecord,
};

/// Returns the table; `None` if no round was observed.
pub(super) fn of(run: &RunRecord) -> Option<Table> {
    let mut heads = HEADS.map(numeric_column).to_vec();
    for (column, text) in [0, 1, 2, 7, 8].map(|at| (at, HEADS[at])) {
        heads[column] = text_column(text);
    }
    let cost = run
        .cases
        .iter()
        .filter_map(|case| Some(waits::of_case(case)?.cost))
        .fold(0.0, f64::max);
    Table {
        id: "waits-of-cases".into(),
        title: "Workers, accept queue and threads".into(),
        caption: format!(
            "Shares of the workers in their CPU time and Jain's index (1 if all are equal), of the median launch; depth of the queue of \
             connections that the server has not accepted, over all rounds; connections that found it full. Mean numbers of threads, those \
             without work included; shares of the time that threads spend on requests (running, ready or waiting). The observation took at most \
             {:.2} % of one CPU.",
            cost * 100.0
        ),
        heads,
        rows: run.cases.iter().filter_map(waits::row).map(Vec::from).collect(),
    }
    .filled()
}
