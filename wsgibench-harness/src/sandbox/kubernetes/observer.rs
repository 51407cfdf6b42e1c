//! Reads a server's resource usage from the second container of its pod, without privileges: the process namespace is shared, and a
//! process of the same user may look through `/proc/PID/root` at the server's own control group.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::role::READY;
use crate::{
    declare::ServerSpec,
    sandbox::{
        Usage,
        cgroup::{Cgroup, V1Folders},
        proc,
        ready::{self, NotReady},
    },
};

/// Reads the usage of the server of this pod.
#[derive(Debug, Default)]
pub(crate) struct Observer {
    found: Option<(u32, Cgroup)>,
}

impl Observer {
    /// Returns how the usage is read, `cgroup` or `schedstat and PSS`.
    pub(crate) fn source(&mut self) -> &'static str {
        if self.cgroup().is_some() {
            "cgroup"
        } else {
            "schedstat and PSS"
        }
    }

    /// Returns the usage since the server's start.
    ///
    /// # Errors
    /// The server has ended, or neither its control group nor its threads can be read.
    pub(crate) fn usage(&mut self) -> io::Result<Usage> {
        if let Some(cgroup) = self.cgroup() {
            if let Ok(usage) = cgroup.usage() {
                return Ok(usage);
            }
            // The process through which it was read has ended.
            self.found = None;
            if let Some(cgroup) = self.cgroup() {
                return cgroup.usage();
            }
        }
        of_threads()
    }

    fn cgroup(&mut self) -> Option<&Cgroup> {
        if self.found.is_none() {
            self.found = servers_processes()
                .into_iter()
                .find_map(|pid| Some((pid, seen_through(pid)?)));
        }
        self.found.as_ref().map(|(_, cgroup)| cgroup)
    }
}

/// Returns the processes of the server's container: neither of this container nor the one that holds the pod's namespaces.
fn servers_processes() -> Vec<u32> {
    let own = group_of("self");
    let holder = group_of("1");
    let mut pids: Vec<u32> = proc::all()
        .keys()
        .copied()
        .filter(|pid| {
            let group = group_of(&pid.to_string());
            group.is_some() && group != own && group != holder
        })
        .collect();
    pids.sort_unstable();
    pids
}

fn group_of(process: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/{process}/cgroup")).ok()
}

/// Returns the control group that a process sees as the root of its own hierarchy.
fn seen_through(pid: u32) -> Option<Cgroup> {
    let root = PathBuf::from(format!("/proc/{pid}/root/sys/fs/cgroup"));
    let cgroup = below(&root)?;
    cgroup.usage().is_ok().then_some(cgroup)
}

/// Returns the control group whose hierarchies are mounted below a folder.
fn below(root: &Path) -> Option<Cgroup> {
    if root.join("cgroup.controllers").is_file() || root.join("cpu.stat").is_file() {
        return Some(Cgroup::V2(root.to_owned()));
    }
    let one_of = |names: &[&str], file: &str| {
        names
            .iter()
            .map(|name| root.join(name))
            .find(|folder| folder.join(file).is_file())
    };
    Some(Cgroup::V1(V1Folders {
        cpuacct: Some(one_of(&["cpuacct", "cpu,cpuacct", "cpuacct,cpu"], "cpuacct.usage")?),
        cpu: one_of(&["cpu", "cpu,cpuacct", "cpuacct,cpu"], "cpu.stat"),
        memory: one_of(&["memory"], "memory.usage_in_bytes"),
        pids: one_of(&["pids"], "pids.current"),
    }))
}

/// Sums the CPU time of the server's threads and the memory of its processes. Processes that have ended are missing.
#[expect(clippy::cast_precision_loss, reason = "nanoseconds of CPU time are far below 2^53")]
fn of_threads() -> io::Result<Usage> {
    let mut usage = Usage::default();
    for pid in servers_processes() {
        let tasks = fs::read_dir(format!("/proc/{pid}/task"));
        for task in tasks.into_iter().flatten().flatten() {
            let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            let ns: u64 = text
                .split_ascii_whitespace()
                .next()
                .and_then(|word| word.parse().ok())
                .unwrap_or(0);
            usage.cpu_total_seconds += ns as f64 / 1e9;
        }
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let pss = rollup.lines().find_map(|line| {
            line.strip_prefix("Pss:")?
                .split_ascii_whitespace()
                .next()?
                .parse::<u64>()
                .ok()
        });
        usage.memory_bytes += pss.unwrap_or(0) * 1_024;
        usage.pids += 1;
    }
    if usage.pids == 0 {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "the server's processes cannot be seen from its pod",
        ));
    }
    Ok(usage)
}

/// Waits until the server of this pod responds, and reports the time since its start.
///
/// # Errors
/// It did not respond in time, with the reason of the last try.
pub(crate) async fn wait_until_ready(spec: &ServerSpec) -> Result<(), String> {
    let address = ([127, 0, 0, 1], spec.port).into();
    let begun = Instant::now();
    let deadline = begun + spec.ready_within;
    match ready::wait_until_ready(spec, address, deadline, || true).await {
        Ok(()) => {
            let waited = since_start().unwrap_or(begun.elapsed());
            // Standard output is the pod's log, which the bench reads.
            println!("{READY}{}", waited.as_millis());
            Ok(())
        }
        Err(NotReady::Deadline(last)) => Err(format!("the server did not respond: {last}")),
        Err(NotReady::Died) => Err("the server ended".to_owned()),
    }
}

/// Returns the time since the start of the server's first process.
fn since_start() -> Option<Duration> {
    let first = servers_processes()
        .into_iter()
        .filter_map(proc::stat)
        .map(|stat| stat.start)
        .min()?;
    let uptime = fs::read_to_string("/proc/uptime").ok()?;
    let uptime: f64 = uptime.split_ascii_whitespace().next()?.parse().ok()?;
    #[expect(clippy::cast_precision_loss, reason = "clock ticks since boot are far below 2^53")]
    let start = first as f64 / rustix::param::clock_ticks_per_second() as f64;
    Duration::try_from_secs_f64(uptime - start).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_of_control_groups_are_recognised() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(below(folder.path()), None);
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        file("cpu,cpuacct/cpuacct.usage", "2000000000\n");
        file(
            "cpu,cpuacct/cpu.stat",
            "nr_periods 0\nnr_throttled 0\nthrottled_time 0\n",
        );
        file("memory/memory.usage_in_bytes", "4096\n");
        let Some(Cgroup::V1(folders)) = below(folder.path()) else {
            panic!("version 1 was not recognised");
        };
        assert!(folders.cpuacct.unwrap().ends_with("cpu,cpuacct") && folders.pids.is_none());
        file("cgroup.controllers", "cpu memory\n");
        assert!(matches!(below(folder.path()), Some(Cgroup::V2(_))));
    }
}
