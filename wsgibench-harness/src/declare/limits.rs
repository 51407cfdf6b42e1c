//! Limits of a server's resources.

use serde::{Deserialize, Serialize};

/// Limits of a server's sandbox. Limits beyond the machine's resources are clamped, reported and recorded.
///
/// ```
/// use wsgibench_harness::prelude::*;
///
/// let limits = Limits::new().cpus(2).memory(512 << 20);
/// assert_eq!(limits.pids, 1_024);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
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

impl Limits {
    /// Returns the default limits: 1 CPU, 1 GiB of memory, 16,384 open files, a backlog of 8,192, 1,024 processes and threads.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the CPU cores, 1 or more.
    #[must_use]
    pub fn cpus(mut self, cpus: usize) -> Self {
        self.cpus = cpus;
        self
    }

    /// Sets a CPU quota in cores besides the set, 0.01 or more.
    #[must_use]
    pub fn cpu_quota(mut self, cpu_quota: f64) -> Self {
        self.cpu_quota = Some(cpu_quota);
        self
    }

    /// Sets the memory in bytes, 6 MiB or more.
    #[must_use]
    pub fn memory(mut self, memory: u64) -> Self {
        self.memory = memory;
        self
    }

    /// Sets the number of file descriptors.
    #[must_use]
    pub fn descriptors(mut self, descriptors: u64) -> Self {
        self.descriptors = descriptors;
        self
    }

    /// Sets the longest listen backlog.
    #[must_use]
    pub fn backlog(mut self, backlog: u32) -> Self {
        self.backlog = backlog;
        self
    }

    /// Sets the number of processes and threads.
    #[must_use]
    pub fn pids(mut self, pids: u32) -> Self {
        self.pids = pids;
        self
    }
}
