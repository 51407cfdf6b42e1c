//! The exit status.

use crate::store::record::{CaseOutcome, RunRecord};

/// Exit statuses in ascending order; `of_run` selects one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum ExitStatus {
    /// Success.
    Success = 0,
    /// A case failed to run.
    CaseFailed = 1,
    /// Wrong usage, or a plan that cannot decide.
    Usage = 2,
    /// Regression of a gated metric.
    Regression = 3,
    /// Inconclusive under `--gate strict`.
    Inconclusive = 4,
    /// A gated measurement is missing or invalid.
    GateMissing = 5,
    /// Interrupted by Ctrl-C.
    Interrupted = 130,
}

/// Returns the status of an ungated run. Unavailable, unsupported and ignored cases do not fail it.
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
