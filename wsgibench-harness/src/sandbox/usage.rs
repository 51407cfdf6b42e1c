//! What a server has used, read from its cgroup.

use serde::{Deserialize, Serialize};

/// Cumulative figures of one launch at one moment; a round is the difference of two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// CPU time in user mode, seconds.
    pub cpu_user_seconds: f64,
    /// CPU time in the kernel, seconds. On a bridge a part of the kernel's receive work for the client is in it.
    pub cpu_system_seconds: f64,
    /// User and system, seconds: the exact figure where the split is only sampled.
    pub cpu_total_seconds: f64,
    /// Time held back by a CPU quota, seconds.
    pub throttled_seconds: f64,
    /// Memory now without the page cache, bytes.
    pub memory_bytes: u64,
    /// Highest memory so far, bytes (as the cgroup tells it, with page cache; `None` where it does not tell).
    pub memory_peak_bytes: Option<u64>,
    /// Processes that the memory limit has killed.
    pub oom_kills: u64,
    /// Processes and threads now.
    pub pids: u64,
}
