//! Judged thresholds, row by row, for all reports.

use serde::Serialize;

use super::units;
use crate::{
    stats::{ThresholdOutcome, ThresholdVerdict},
    store::record::RunRecord,
};

/// A judged threshold as shown in reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Case.
    pub case: String,
    /// The threshold, e.g. `p99<50ms`.
    pub threshold: String,
    /// `met`, `broken` or `undecided`.
    pub verdict: &'static str,
    /// Centre of the launches; `-` without figures.
    pub estimate: String,
    /// Interval over launches, with its confidence; `-` without one.
    pub interval: String,
    /// Number of launches.
    pub launches: usize,
    /// Why it is undecided; empty if it is not.
    pub note: String,
}

impl Row {
    /// Formats the row as one sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let note = if self.note.is_empty() {
            String::new()
        } else {
            format!("; {}", self.note)
        };
        format!(
            "{}: threshold {} is {}: {} [{}], {} launches{note}",
            self.case, self.threshold, self.verdict, self.estimate, self.interval, self.launches
        )
    }
}

/// Returns the rows of a run; empty without thresholds.
#[must_use]
pub fn rows(run: &RunRecord) -> Vec<Row> {
    run.thresholds
        .iter()
        .flat_map(|report| &report.outcomes)
        .map(row)
        .collect()
}

/// Returns the sentence about the confidence of all verdicts; `None` without thresholds.
#[must_use]
pub fn about(run: &RunRecord) -> Option<String> {
    let report = run.thresholds.as_ref()?;
    Some(format!(
        "All verdicts together hold with a confidence of {:.0} %; intervals over launches are as wide as that needs.",
        report.confidence * 100.0
    ))
}

fn row(outcome: &ThresholdOutcome) -> Row {
    let value = |value: f64| units::metric(outcome.metric, value);
    let undecided = outcome.verdict == ThresholdVerdict::Undecided;
    let more = || "the limit is inside of the interval; more launches narrow it".to_owned();
    Row {
        case: outcome.case.clone(),
        threshold: outcome.threshold.clone(),
        verdict: outcome.verdict.id(),
        estimate: outcome.estimate.map_or_else(|| "-".into(), value),
        interval: outcome.interval.map_or_else(
            || "-".into(),
            |interval| {
                let confidence = units::percent(interval.confidence);
                format!("{} to {} at {confidence}", value(interval.low), value(interval.high))
            },
        ),
        launches: outcome.launches,
        note: if undecided {
            outcome.unusable.clone().unwrap_or_else(more)
        } else {
            String::new()
        },
    }
}
