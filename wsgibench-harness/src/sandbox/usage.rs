//! Resource usage of a server.

use serde::{Deserialize, Serialize};

/// Cumulative usage of one launch at one moment; a round's usage is the difference of two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Usage {
    /// CPU time in user mode, seconds.
    pub cpu_user_seconds: f64,
    /// CPU time in the kernel, seconds. On a bridge network it includes part of the kernel's receive work for the client.
    pub cpu_system_seconds: f64,
    /// User and system time, seconds: exact, whereas the split may be sampled.
    pub cpu_total_seconds: f64,
    /// Time for which a CPU quota throttled it, seconds.
    pub throttled_seconds: f64,
    /// Current memory without the page cache, bytes.
    pub memory_bytes: u64,
    /// Peak memory, bytes (the cgroup's value, which includes the page cache; `None` if it reports none).
    pub memory_peak_bytes: Option<u64>,
    /// Number of processes that the memory limit has killed.
    pub oom_kills: u64,
    /// Current number of processes and threads.
    pub pids: u64,
}
