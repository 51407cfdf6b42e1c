//! The command line of benches: arguments become a plan, and outcomes an exit status.

pub mod args;
mod arms;
mod baseline;
mod cluster;
mod compare;
mod conformance;
mod counts;
mod exit;
mod explain;
mod identical;
mod identical_gates;
mod ignored_files;
mod list;
mod main;
mod option_values;
mod output;
mod plan;
mod project;
mod resume;
mod run;
#[cfg(test)]
mod samples;
mod self_check;
mod target;
mod thresholds;
mod tune;
pub mod verdict;

pub use exit::ExitStatus;
pub use main::run_main;
pub use target::dir as target_dir;

use crate::{
    against::AgainstError,
    declare::DeclareErrors,
    measure::gate::PlanError,
    sandbox::{SandboxError, cpus::CpuError},
    store::StoreError,
};

/// Why a run failed, with a text for the user and an exit status.
#[derive(Debug)]
pub struct Failure {
    status: ExitStatus,
    text: String,
}

impl Failure {
    /// Wrong usage, or a plan that cannot decide.
    fn usage(text: impl Into<String>) -> Self {
        Self {
            status: ExitStatus::Usage,
            text: text.into(),
        }
    }

    /// Ctrl-C before there were results.
    fn interrupted(when: &str) -> Self {
        Self {
            status: ExitStatus::Interrupted,
            text: format!("interrupted {when}"),
        }
    }

    /// The machine or its container engine failed.
    fn machine(text: impl Into<String>) -> Self {
        Self {
            status: ExitStatus::CaseFailed,
            text: text.into(),
        }
    }
}

impl From<DeclareErrors> for Failure {
    fn from(error: DeclareErrors) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<CpuError> for Failure {
    fn from(error: CpuError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<AgainstError> for Failure {
    fn from(error: AgainstError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<SandboxError> for Failure {
    fn from(error: SandboxError) -> Self {
        Self::machine(error.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Io { .. } => Self::machine(error.to_string()),
            _ => Self::usage(error.to_string()),
        }
    }
}
