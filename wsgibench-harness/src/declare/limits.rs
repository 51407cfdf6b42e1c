//! Limits of a server's resources.

use serde::{Deserialize, Serialize};

/// Limits of a server's sandbox. Limits beyond the machine's resources are clamped, reported and recorded.
///
/// Fields may be added: end a literal with `..Limits::default()`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// CPU cores, 1 or more, assigned as a CPU set.
    pub cpus: usize,
    /// A CPU quota in cores besides the set, 0.01 or more; `None` is better, since the 100 ms periods of a quota show in p99.
    pub cpu_quota: Option<f64>,
    /// Memory, bytes; 6 MiB or more.
    pub memory: u64,
    /// File descriptors (`nofile`, soft and hard).
    pub descriptors: u64,
    /// `net.core.somaxconn`: the longest listen backlog.
    pub backlog: u32,
    /// Processes and threads, in total.
    pub pids: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cpus: 1,
            cpu_quota: None,
            memory: 1 << 30,
            descriptors: 16_384,
            backlog: 8_192,
            pids: 1_024,
        }
    }
}
