//! The comparison that a run carries: what `verdict.json` has, as far as reports show it.

use serde::Deserialize;

use super::units;
use crate::{
    stats::{Margin, Outcome, disturbance::Disturbance},
    store::record::RunRecord,
};

/// The decision of a run. Unknown fields are passed over, missing ones are empty: old runs keep their reports.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Comparison {
    /// What the candidate was held against.
    pub against: String,
    /// Whether a gate was asked for.
    pub gate: bool,
    /// `pass`, `regression`, `inconclusive`, ...
    pub verdict: String,
    /// Why the measurement ended.
    pub ended: String,
    /// How steady the machine was.
    pub disturbance: Option<Disturbance>,
    /// What was missing or invalid.
    pub missing: Vec<String>,
    /// Cases that are in one arm only.
    pub unmatched: Vec<String>,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// Case by case and metric by metric.
    pub outcomes: Vec<Outcome>,
}

impl Comparison {
    /// How many blocks were disturbed, in words; `None` where it is not known.
    #[must_use]
    pub fn steadiness(&self) -> Option<String> {
        let disturbance = self.disturbance?;
        let verdict = if disturbance.invalid {
            "; that is too many to rely on this machine"
        } else {
            ""
        };
        Some(match disturbance.repeated {
            0 => format!("The reference load was steady in all {} blocks.", disturbance.blocks),
            repeated => format!(
                "{repeated} of {} blocks were disturbed (the reference load changed its speed) and repeated{verdict}.",
                disturbance.blocks
            ),
        })
    }

    /// The comparison of a run: `None` where none was asked for, the reason where it cannot be read.
    #[must_use]
    pub fn of(run: &RunRecord) -> Option<Result<Self, String>> {
        let value = run.comparison.as_ref()?;
        Some(Self::deserialize(value).map_err(|e| format!("the comparison in run {} cannot be read: {e}", run.id)))
    }
}

/// A change of an outcome, in the unit of its margin.
#[must_use]
pub fn change(outcome: &Outcome, value: f64) -> String {
    change_of(outcome.margin, value)
}

/// How large a change is, in the unit of its margin.
#[must_use]
pub fn size_of(margin: Margin, value: f64) -> String {
    match margin {
        Margin::Relative(_) => units::percent(value),
        Margin::Absolute(_) => format!("{:.3} percentage points", value * 100.0),
    }
}

/// A change in the unit of a margin: percent of the base, or percentage points.
#[must_use]
pub fn change_of(margin: Margin, value: f64) -> String {
    match margin {
        Margin::Relative(_) => format!("{:+.2} %", value * 100.0),
        Margin::Absolute(_) => format!("{:+.3} pp", value * 100.0),
    }
}
