//! Where requests wait inside and in front of a server: balance of its workers, its accept queue, states of
//! its threads.
//!
//! [`WaitRecord`] is what was observed in one round, from outside and always. [`diagnosis`] compares the rounds of a case with
//! what the load knows (connections in flight, CPU time, load of the engine) and names causes. Everything here is pure; the
//! files of `/proc` are read in `measure`.

pub mod accept_queue;
pub mod blocked;
pub mod budget;
pub mod diagnosis;
pub mod sock_diag;
pub mod threads;
pub mod workers;

use serde::{Deserialize, Serialize};

pub use accept_queue::AcceptQueue;
pub use blocked::Cause;
pub use diagnosis::{Diagnosis, Round, diagnose};
pub use threads::{ThreadStates, ThreadWait};
pub use workers::WorkerCpu;

/// Observations of a server in one round.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WaitRecord {
    /// CPUs that the server may use: those of its set, or its quota.
    pub cpus: f64,
    /// Worker processes, the one with the most CPU time first. Empty if they are not visible.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workers: Vec<WorkerCpu>,
    /// The queue of established connections that the server has not accepted; absent if it is not visible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept_queue: Option<AcceptQueue>,
    /// Threads and what they waited for; absent in records of earlier versions, and if they are not visible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads: Option<ThreadStates>,
    /// CPU time that the observation took, seconds.
    pub observer_cpu_seconds: f64,
    /// Reasons why a part was not observed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}
