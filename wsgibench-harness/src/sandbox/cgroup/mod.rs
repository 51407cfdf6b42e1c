//! Resource usage of control groups, version 1 and version 2.
//!
//! The parsers ([`v1`], [`v2`]) are pure and tested on recorded files; [`Cgroup`] finds a process's group and reads it.
//! Version 2 is tested on recorded files only where the machine has version 1.

mod locate;
mod quota;
pub(crate) mod v1;
pub(crate) mod v2;

use std::{
    io,
    path::{Path, PathBuf},
};

pub(crate) use locate::locate;
pub(crate) use quota::{own_cpu_quota, own_throttled_seconds};

use super::Usage;

/// A control group whose files can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cgroup {
    /// Version 1: each controller has a tree of its own.
    V1(V1Folders),
    /// Version 2: one tree.
    V2(PathBuf),
}

/// Folders of a version 1 group's controllers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct V1Folders {
    pub(crate) cpuacct: Option<PathBuf>,
    pub(crate) cpu: Option<PathBuf>,
    pub(crate) memory: Option<PathBuf>,
    pub(crate) pids: Option<PathBuf>,
}

impl Cgroup {
    /// Returns the group of a process.
    ///
    /// # Errors
    /// If the process has ended, or its group is not readable from here (a container in a virtual machine).
    pub(crate) fn of_process(pid: u32) -> io::Result<Self> {
        let memberships = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
        let mountinfo = std::fs::read_to_string("/proc/self/mountinfo")?;
        locate(&memberships, &mountinfo)
            .filter(Self::is_readable)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "its control group cannot be read from here"))
    }

    /// Returns `v1` or `v2`.
    pub(crate) fn version(&self) -> &'static str {
        match self {
            Self::V1(_) => "v1",
            Self::V2(_) => "v2",
        }
    }

    fn is_readable(&self) -> bool {
        match self {
            Self::V1(folders) => {
                let has = |folder: &Option<PathBuf>, file: &str| {
                    folder.as_deref().is_some_and(|folder| folder.join(file).is_file())
                };
                has(&folders.cpuacct, "cpuacct.usage") && has(&folders.memory, "memory.usage_in_bytes")
            }
            Self::V2(folder) => folder.join("cpu.stat").is_file(),
        }
    }

    /// Returns the usage since the group was made. Reads a few small files: about 50 microseconds.
    ///
    /// # Errors
    /// If the group no longer exists, or a file cannot be parsed.
    pub(crate) fn usage(&self) -> io::Result<Usage> {
        match self {
            Self::V1(folders) => v1::usage(|controller, file| {
                let folder = match controller {
                    v1::Controller::Cpuacct => &folders.cpuacct,
                    v1::Controller::Cpu => &folders.cpu,
                    v1::Controller::Memory => &folders.memory,
                    v1::Controller::Pids => &folders.pids,
                };
                read(folder.as_deref(), file)
            }),
            Self::V2(folder) => v2::usage(|file| read(Some(folder), file)),
        }
    }

    /// Returns the processes of the group and of the groups below it.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let folder = match self {
            Self::V1(folders) => folders.cpuacct.as_deref().or(folders.memory.as_deref()),
            Self::V2(folder) => Some(folder.as_path()),
        };
        let mut found = Vec::new();
        if let Some(folder) = folder {
            for entry in walkdir::WalkDir::new(folder).into_iter().filter_map(Result::ok) {
                if entry.file_name() == "cgroup.procs" {
                    let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
                    found.extend(text.lines().filter_map(|line| line.trim().parse::<u32>().ok()));
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// Returns a file's text, `None` if this group has no such file.
fn read(folder: Option<&Path>, file: &str) -> io::Result<Option<String>> {
    let Some(folder) = folder else { return Ok(None) };
    match std::fs::read_to_string(folder.join(file)) {
        Ok(text) => Ok(Some(text)),
        // A missing file is normal (an old kernel, a disabled controller); a missing folder means that the group no longer exists.
        Err(error) if error.kind() == io::ErrorKind::NotFound && folder.is_dir() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the value after `key` in a file of `key value` lines.
fn field(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        (name == key).then(|| value.trim().parse().ok())?
    })
}

/// Converts nanoseconds to seconds.
#[expect(clippy::cast_precision_loss, reason = "2^53 ns are 104 days of CPU time")]
fn nanoseconds(value: u64) -> f64 {
    value as f64 / 1e9
}

/// Converts microseconds to seconds.
#[expect(clippy::cast_precision_loss, reason = "2^53 us are 285 years of CPU time")]
fn microseconds(value: u64) -> f64 {
    value as f64 / 1e6
}
