//! The comparison of a run, as stored in `verdict.json` and shown by reports.

use serde::Deserialize;

use super::units;
use crate::{
    counts::attribution::Attribution,
    stats::{
        Margin, Outcome, SelfCheck,
        disturbance::Disturbance,
        self_check::{CONFIDENCE, IdenticalGates},
    },
    store::record::RunRecord,
};

/// The verdict of a run. Unknown fields are ignored and missing ones are empty, so that old runs keep their reports.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Comparison {
    /// The base of the comparison.
    pub against: String,
    /// Whether a gate was requested.
    pub gate: bool,
    /// `pass`, `regression`, `inconclusive`, ...
    pub verdict: String,
    /// The reason why the measurement ended.
    pub ended: String,
    /// Stability of the machine.
    pub disturbance: Option<Disturbance>,
    /// Missing or invalid cases.
    pub missing: Vec<String>,
    /// Cases that exist in one arm only.
    pub unmatched: Vec<String>,
    /// Remarks for the reader.
    pub notes: Vec<String>,
    /// Results by case and metric.
    pub outcomes: Vec<Outcome>,
    /// Changes of instructions by function and library, per case.
    pub attribution: std::collections::BTreeMap<String, Attribution>,
}

impl Comparison {
    /// Returns the number of disturbed blocks as text; `None` where it is unknown.
    #[must_use]
    pub fn steadiness(&self) -> Option<String> {
        let disturbance = self.disturbance?;
        let verdict = if disturbance.invalid {
            "; this machine is too unstable to rely on"
        } else {
            ""
        };
        Some(match disturbance.repeated {
            0 => format!("The reference load was steady in all {} blocks.", disturbance.blocks),
            repeated => format!(
                "{repeated} of {} blocks were disturbed (the reference load changed speed) and repeated{verdict}.",
                disturbance.blocks
            ),
        })
    }

    /// Reads the comparison of a run: `None` if none was requested, the reason if it is unreadable.
    #[must_use]
    pub fn of(run: &RunRecord) -> Option<Result<Self, String>> {
        let value = run.comparison.as_ref()?;
        Some(Self::deserialize(value).map_err(|e| format!("the comparison in run {} cannot be read: {e}", run.id)))
    }
}

/// Returns why a self-check failed, one sentence per reason; empty if it passed.
#[must_use]
pub fn self_check_faults(check: &SelfCheck) -> Vec<String> {
    let arms = check.differing().map(|pair| {
        format!(
            "{}: identical arms differ by {} in {}, more than chance explains (p = {:.1e})",
            pair.case,
            change_of(pair.margin, pair.difference),
            pair.metric.title(),
            pair.p
        )
    });
    let gates = check
        .identical_gates
        .filter(IdenticalGates::alarm_too_often)
        .map(|gates| identical_gates(&gates));
    arms.chain(gates).collect()
}

/// Results of gates with identical arms.
#[must_use]
pub fn identical_gates(gates: &IdenticalGates) -> String {
    let undecided = match gates.undecided {
        0 => String::new(),
        more => format!(", {more} more without a decision"),
    };
    format!(
        "{} of {} gates on identical arms called a regression (rate at most {} with a confidence of {:.0} %){undecided}",
        gates.alarms,
        gates.decided,
        units::percent(gates.alarm_bound),
        CONFIDENCE * 100.0
    )
}

/// Formats a change of an outcome in the unit of its margin.
#[must_use]
pub fn change(outcome: &Outcome, value: f64) -> String {
    change_of(outcome.margin, value)
}

/// Formats the size of a change in the unit of its margin.
#[must_use]
pub fn size_of(margin: Margin, value: f64) -> String {
    match margin {
        Margin::Relative(_) => units::percent(value),
        Margin::Absolute(_) => format!("{:.3} percentage points", value * 100.0),
    }
}

/// Formats a change in the unit of a margin: percent of the base, or percentage points.
#[must_use]
pub fn change_of(margin: Margin, value: f64) -> String {
    match margin {
        Margin::Relative(_) => format!("{:+.2} %", value * 100.0),
        Margin::Absolute(_) => format!("{:+.3} pp", value * 100.0),
    }
}
