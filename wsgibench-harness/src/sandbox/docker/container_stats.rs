//! Resource usage of a container.

use std::{fs, io};

use super::{engine::Engine, remote::Remote};
use crate::sandbox::{Usage, cgroup::Cgroup, proc};

/// The source of a container's resource usage.
#[derive(Debug)]
pub(super) enum ContainerStats {
    /// The processes are visible on this machine: its control group and `/proc`.
    Local { cgroup: Cgroup, pid: u32, start: u64 },
    /// The processes are not visible here: the engine's API.
    Remote(Remote),
}

impl ContainerStats {
    /// Opens the source for a container. `pid` is the pid of its first process as reported by the engine.
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

    /// Returns the pids on this machine, empty if the processes are not visible here.
    pub(super) fn pids(&self) -> Vec<u32> {
        match self {
            Self::Local { cgroup, .. } => cgroup.processes(),
            Self::Remote(_) => Vec::new(),
        }
    }
}

/// Returns the pid if it belongs to the container. A pid from an engine in a virtual machine may be that of an unrelated local process.
pub(super) fn local_pid(id: &str, pid: Option<i64>) -> Option<u32> {
    let pid = u32::try_from(pid?).ok().filter(|pid| *pid > 0)?;
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    groups.contains(id).then_some(pid)
}
