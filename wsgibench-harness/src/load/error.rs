//! Why the engine could not do what it was asked. What a server does wrong is never one of these: it is counted.

use std::{io, time::Duration};

/// A load that could not be offered, or whose figures cannot be believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The plan contradicts itself or the machine; the text names the part and the remedy.
    #[error("{0}")]
    InvalidPlan(String),
    /// More descriptors are needed than this process may have.
    #[error(
        "the load generator needs {needed} open files and the hard limit of this process is {hard}; raise it \
         (`ulimit -Hn {needed}` as root, or LimitNOFILE= of the service) or use fewer connections"
    )]
    Descriptors {
        /// Wanted.
        needed: u64,
        /// Allowed.
        hard: u64,
    },
    /// More simultaneous connections than local ports.
    #[error(
        "{needed} connections to one address need as many local ports and the range has {available}: widen it \
         (`sysctl -w net.ipv4.ip_local_port_range='1024 65535'`) or ask for fewer connections"
    )]
    Ports {
        /// Wanted.
        needed: u64,
        /// In the range.
        available: u64,
    },
    /// A worker could not be pinned.
    #[error("the load cannot run on CPU {cpu}: {source}; choose from the CPUs that this process may use")]
    Affinity {
        /// The CPU.
        cpu: usize,
        /// What the system said.
        source: io::Error,
    },
    /// Something the system refused.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A worker thread ended or stopped answering.
    #[error("a load worker {what}; this is a fault in the engine, please report it")]
    WorkerLost {
        /// What became of it.
        what: String,
    },
    /// A script that neither ends nor awaits: its thread cannot be had back.
    #[error(
        "a script holds its thread and does not give it back: it computes or blocks without an await; use \
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
