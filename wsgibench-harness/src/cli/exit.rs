//! The exit status.

use crate::store::record::{CaseOutcome, RunRecord};

/// Statuses, by rising number; `of_run` says which applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum ExitStatus {
    /// All is well.
    Success = 0,
    /// A case failed to run.
    CaseFailed = 1,
    /// Wrong usage, or a plan that cannot do what was asked.
    Usage = 2,
    /// A gated metric got worse.
    Regression = 3,
    /// No decision, under `--gate strict`.
    Inconclusive = 4,
    /// A gated measurement is missing or invalid.
    GateMissing = 5,
    /// Ended by Ctrl-C.
    Interrupted = 130,
}

/// The status of an ungated run. What is not available here, unsupported or ignored does not fail it.
#[must_use]
pub(super) fn of_run(run: &RunRecord) -> ExitStatus {
    let failed = run.cases.iter().any(|case| {
        matches!(case.outcome, CaseOutcome::Failed(_)) || case.launches.iter().any(|launch| launch.error.is_some())
    });
    if failed {
        ExitStatus::CaseFailed
    } else if run.interrupted {
        ExitStatus::Interrupted
    } else {
        ExitStatus::Success
    }
}
