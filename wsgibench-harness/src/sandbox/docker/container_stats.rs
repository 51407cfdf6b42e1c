//! How a container's figures are had.

use std::{fs, io};

use super::{engine::Engine, remote::Remote};
use crate::sandbox::{Usage, cgroup::Cgroup, proc};

/// Sees a container's processes, near or far.
#[derive(Debug)]
pub(super) enum ContainerStats {
    /// They are this machine's.
    Local { cgroup: Cgroup, pid: u32, start: u64 },
    /// The engine is asked.
    Remote(Remote),
}

impl ContainerStats {
    /// `pid` is that of the container's first process, as the engine tells it.
    pub(super) fn open(engine: &Engine, id: &str, pid: Option<i64>) -> io::Result<Self> {
        if let Some(pid) = local_pid(id, pid)
            && let Some(stat) = proc::stat(pid)
            && let Ok(cgroup) = Cgroup::of_process(pid)
        {
            return Ok(Self::Local {
                cgroup,
                pid,
                start: stat.start,
            });
        }
        Remote::new(engine, id).map(Self::Remote)
    }

    pub(super) fn is_alive(&self) -> bool {
        match self {
            Self::Local { pid, start, .. } => {
                proc::stat(*pid).is_some_and(|stat| stat.start == *start && stat.is_running())
            }
            Self::Remote(remote) => remote.is_running(),
        }
    }

    pub(super) fn usage(&self) -> io::Result<Usage> {
        match self {
            Self::Local { cgroup, .. } => cgroup.usage(),
            Self::Remote(remote) => remote.usage(),
        }
    }

    /// Pids as this machine has them; none where they cannot be seen.
    pub(super) fn pids(&self) -> Vec<u32> {
        match self {
            Self::Local { cgroup, .. } => cgroup.processes(),
            Self::Remote(_) => Vec::new(),
        }
    }
}

/// The pid, if it really is the container's: one told by an engine in a virtual machine may be anybody's here.
pub(super) fn local_pid(id: &str, pid: Option<i64>) -> Option<u32> {
    let pid = u32::try_from(pid?).ok().filter(|pid| *pid > 0)?;
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    groups.contains(id).then_some(pid)
}
