//! How a container's figures are had.

use std::{fs, io};

use super::{engine::Engine, remote::Remote};
use crate::sandbox::{Usage, cgroup::Cgroup, proc};

/// Sees a container's processes, near or far.
#[derive(Debug)]
pub(super) enum Eye {
    /// They are this machine's.
    Near { cgroup: Cgroup, pid: u32, start: u64 },
    /// The engine is asked.
    Far(Remote),
}

impl Eye {
    /// `pid` is that of the container's first process, as the engine tells it.
    pub(super) fn open(engine: &Engine, id: &str, pid: Option<i64>) -> io::Result<Self> {
        if let Some(pid) = near_pid(id, pid)
            && let Some(stat) = proc::stat(pid)
            && let Ok(cgroup) = Cgroup::of_process(pid)
        {
            return Ok(Self::Near {
                cgroup,
                pid,
                start: stat.start,
            });
        }
        Remote::new(engine, id).map(Self::Far)
    }

    pub(super) fn is_alive(&self) -> bool {
        match self {
            Self::Near { pid, start, .. } => {
                proc::stat(*pid).is_some_and(|stat| stat.start == *start && stat.is_running())
            }
            Self::Far(remote) => remote.is_running(),
        }
    }

    pub(super) fn usage(&self) -> io::Result<Usage> {
        match self {
            Self::Near { cgroup, .. } => cgroup.usage(),
            Self::Far(remote) => remote.usage(),
        }
    }

    /// Pids as this machine has them; none where they cannot be seen.
    pub(super) fn pids(&self) -> Vec<u32> {
        match self {
            Self::Near { cgroup, .. } => cgroup.processes(),
            Self::Far(_) => Vec::new(),
        }
    }
}

/// The pid, if it really is the container's: one told by an engine in a virtual machine may be anybody's here.
pub(super) fn near_pid(id: &str, pid: Option<i64>) -> Option<u32> {
    let pid = u32::try_from(pid?).ok().filter(|pid| *pid > 0)?;
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    groups.contains(id).then_some(pid)
}
