//! Errors of the load generator. Faults of the server under test are counted as failed requests instead.

use std::{io, time::Duration};

/// A load that could not be offered, or whose results are invalid.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The plan is contradictory or does not fit the machine; the text names the setting and the remedy.
    #[error("{0}")]
    InvalidPlan(String),
    /// The load needs more file descriptors than this process may open.
    #[error(
        "the load generator needs {needed} open files and the hard limit of this process is {hard}; raise it \
         (`ulimit -Hn {needed}` as root, or LimitNOFILE= of the service) or use fewer connections"
    )]
    Descriptors {
        /// Required number.
        needed: u64,
        /// Hard limit of this process.
        hard: u64,
    },
    /// The load needs more simultaneous connections than there are local ports.
    #[error(
        "{needed} connections to one address need as many local ports and the range has {available}: widen it \
         (`sysctl -w net.ipv4.ip_local_port_range='1024 65535'`) or ask for fewer connections"
    )]
    Ports {
        /// Required number.
        needed: u64,
        /// Ports in the local range.
        available: u64,
    },
    /// A worker thread could not be pinned to its CPU.
    #[error("failed to pin the load to CPU {cpu}: {source}; choose from the CPUs that this process may use")]
    Affinity {
        /// The CPU.
        cpu: usize,
        /// The system error.
        source: io::Error,
    },
    /// A system call failed.
    #[error("{what}: {source}")]
    System {
        /// The failed operation.
        what: &'static str,
        /// The system error.
        source: io::Error,
    },
    /// A worker thread ended or stopped responding.
    #[error("a load worker {what}; this is a fault in the engine, please report it")]
    WorkerLost {
        /// The worker's state, completing the error message.
        what: String,
    },
    /// A script neither ends nor awaits, so its thread cannot be reclaimed.
    #[error(
        "a script blocks its thread: it computes or waits without an await; use \
         `user.think(time).await` in place of `std::thread::sleep`"
    )]
    ScriptHolds,
    /// `offered = done + failed + censored + unsent` did not hold.
    #[error("the requests of a round do not add up ({0}); this is a fault in the engine, please report it")]
    Accounting(String),
}

impl LoadError {
    pub(crate) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }

    pub(crate) fn silent_worker(after: Duration) -> Self {
        Self::WorkerLost {
            what: format!("did not answer within {} s", after.as_secs()),
        }
    }
}
