//! What a server may use.

use serde::{Deserialize, Serialize};

/// Limits of a server's sandbox. What the machine cannot give is clamped, said and recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// CPU cores, given as a set of CPUs (1 or more).
    pub cpus: usize,
    /// A quota in cores on top of the set; `None` (better: a quota's 100 ms periods show in p99) leaves it out.
    pub cpu_quota: Option<f64>,
    /// Memory, bytes.
    pub memory: u64,
    /// Descriptors (`nofile`, soft and hard).
    pub descriptors: u64,
    /// `net.core.somaxconn`: the longest listen backlog a server may ask for.
    pub backlog: u32,
    /// Processes and threads.
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
