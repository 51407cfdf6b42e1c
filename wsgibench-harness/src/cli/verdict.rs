//! `verdict.json` and the exit status of a comparison.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::exit::ExitStatus;
use crate::{
    stats::{Outcome, Verdict, disturbance::Disturbance},
    store::record::{CaseOutcome, RunRecord, ValidityLevel},
};

/// The decision of a run, for programs: `target/wsgibench/verdict.json`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct VerdictFile {
    /// Version of this form.
    pub version: u32,
    /// Run id.
    pub run: String,
    /// What the candidate was held against: a commit, a server, a baseline.
    pub against: String,
    /// Whether a gate was asked for.
    pub gate: bool,
    /// `pass`, `regression`, `inconclusive`, `missing`, `failed`.
    pub verdict: String,
    /// Exit status that goes with it.
    pub exit_status: i32,
    /// Why the measurement ended.
    pub ended: String,
    /// How steady the machine was.
    pub disturbance: Disturbance,
    /// What was missing or invalid, case by case.
    pub missing: Vec<String>,
    /// Cases that are in one arm only.
    pub unmatched: Vec<String>,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// Per case and metric: verdict, change, interval, p, margin, MDE, blocks.
    pub outcomes: Vec<Outcome>,
}

/// `--gate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Gate {
    /// A regression fails.
    On,
    /// What cannot be decided fails too.
    Strict,
}

/// What a gate misses: gated pairs that were not decided on sound measurements.
#[must_use]
pub fn missing(run: &RunRecord, outcomes: &[Outcome], disturbance: &Disturbance) -> Vec<String> {
    let mut missing = Vec::new();
    if outcomes.iter().all(|o| !o.gated) {
        missing.push("nothing was compared".to_owned());
    }
    for case in &run.cases {
        match &case.outcome {
            // One arm can do it and the other not: that is a change, and no figure tells it.
            CaseOutcome::Unsupported(reason) if case.launches.iter().any(|launch| !launch.rounds.is_empty()) => {
                missing.push(format!("{}: unsupported in one arm only: {reason}", case.id));
                continue;
            }
            // In both arms alike, or the case would have failed in one: it is no reason to fail.
            CaseOutcome::NotAvailable(_) | CaseOutcome::Unsupported(_) | CaseOutcome::Ignored(_) => continue,
            CaseOutcome::Measured => {}
            CaseOutcome::Planned => missing.push(format!("{}: not measured", case.id)),
            CaseOutcome::Failed(reason) => {
                missing.push(format!("{}: {}", case.id, reason.lines().next().unwrap_or_default()));
            }
        }
        if case.validity.level == ValidityLevel::Invalid {
            let why = case
                .validity
                .findings
                .iter()
                .find(|f| f.level == ValidityLevel::Invalid)
                .map_or("", |f| f.text.as_str());
            missing.push(format!("{}: the measurement is invalid: {why}", case.id));
        }
    }
    for outcome in outcomes.iter().filter(|o| o.gated && o.undecided) {
        missing.push(format!(
            "{}: {} has {} usable blocks, too few to decide",
            outcome.case,
            outcome.metric.title(),
            outcome.blocks
        ));
    }
    if disturbance.invalid {
        missing.push(format!(
            "{} of {} blocks were disturbed: this machine was too unsteady to measure on",
            disturbance.repeated, disturbance.blocks
        ));
    }
    missing
}

/// Verdict and status of a comparison. Without a gate only what failed to run counts.
#[must_use]
pub fn status(
    gate: Option<Gate>,
    of_run: ExitStatus,
    missing: &[String],
    outcomes: &[Outcome],
) -> (&'static str, ExitStatus) {
    let Some(gate) = gate else {
        return ("advisory", of_run);
    };
    let gated = || outcomes.iter().filter(|o| o.gated);
    if !missing.is_empty() {
        ("missing", ExitStatus::GateMissing)
    } else if gated().any(|o| o.verdict == Verdict::Regression) {
        ("regression", ExitStatus::Regression)
    } else if of_run != ExitStatus::Success {
        ("failed", of_run)
    } else if gate == Gate::Strict && gated().any(|o| o.verdict == Verdict::Inconclusive) {
        ("inconclusive", ExitStatus::Inconclusive)
    } else {
        ("pass", ExitStatus::Success)
    }
}
