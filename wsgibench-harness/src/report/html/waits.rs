//! The table of what requests wait for.

use super::table::{Table, numeric_column, text_column};
use crate::{
    report::waits::{self, HEADS},
    store::record::RunRecord,
};

/// Returns the table; `None` if no round was observed.
pub(super) fn of(run: &RunRecord) -> Option<Table> {
    let mut heads = HEADS.map(numeric_column).to_vec();
    for text in heads.iter_mut().zip(HEADS).take(3) {
        *text.0 = text_column(text.1);
    }
    let cost = run
        .cases
        .iter()
        .filter_map(|case| Some(waits::of_case(case)?.cost))
        .fold(0.0, f64::max);
    Table {
        id: "waits-of-cases".into(),
        title: "Workers and accept queue".into(),
        caption: format!(
            "Shares of the workers in their CPU time and Jain's index (1 if all are equal), of the median launch; depth of the queue of \
             connections that the server has not accepted, over all rounds; connections that found it full. The observation took at most \
             {:.2} % of one CPU.",
            cost * 100.0
        ),
        heads,
        rows: run.cases.iter().filter_map(waits::row).map(Vec::from).collect(),
    }
    .filled()
}
