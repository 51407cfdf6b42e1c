//! Limits of a launch: a control group of its own where one can be made, resource limits where not.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::{
    declare::Limits,
    sandbox::{
        cgroup::{self, Cgroup, V1Folders},
        owner::Owner,
    },
};

/// Names of our groups begin so.
const PREFIX: &str = "wsgibench-";
/// Length of a quota's period, microseconds.
const PERIOD_US: f64 = 100_000.0;

/// A launch's control group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) cgroup: Cgroup,
    pub(super) folders: Vec<PathBuf>,
}

/// Makes a control group with these limits and puts `pid` into it.
///
/// # Errors
/// No group can be made here: the reason.
pub(super) fn group(pid: u32, limits: &Limits) -> Result<Group, String> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = format!(
        "{PREFIX}{}-{}",
        Owner::this().short(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    );
    match own() {
        Some(Cgroup::V1(own)) => v1(&own, &name, pid, limits),
        Some(Cgroup::V2(own)) => {
            // A group with processes of its own can have no child with controllers, so a sibling of ours is tried first.
            let parents = own.parent().into_iter().chain([own.as_path()]);
            let mut last = String::new();
            for parent in parents {
                match v2(parent, &name, pid, limits) {
                    Ok(group) => return Ok(group),
                    Err(error) => last = error,
                }
            }
            Err(last)
        }
        None => Err("there are no control groups here".into()),
    }
}

/// Folders that our groups may be in.
pub(super) fn parents() -> Vec<PathBuf> {
    match own() {
        Some(Cgroup::V1(V1Folders {
            cpuacct,
            cpu,
            memory,
            pids,
        })) => {
            let mut all: Vec<PathBuf> = [cpuacct, cpu, memory, pids].into_iter().flatten().collect();
            all.dedup();
            all
        }
        Some(Cgroup::V2(own)) => own
            .parent()
            .map(Path::to_owned)
            .into_iter()
            .chain([own.clone()])
            .collect(),
        None => Vec::new(),
    }
}

/// The owner that a group's name tells.
pub(super) fn owner_of(name: &str) -> Option<Owner> {
    let mut parts = name.strip_prefix(PREFIX)?.split('-');
    let (pid, start) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some(Owner::here(pid, start, parts.next()?))
}

/// Processes of a group.
pub(super) fn members(folder: &Path) -> Vec<u32> {
    let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.trim().parse().ok()).collect()
}

/// Removes an empty group. Its last process may take a moment to leave it.
pub(super) fn remove(folder: &Path) {
    for _ in 0..100 {
        match fs::remove_dir(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => std::thread::sleep(Duration::from_millis(5)),
            _ => return,
        }
    }
}

fn own() -> Option<Cgroup> {
    let memberships = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").ok()?;
    cgroup::locate(&memberships, &mountinfo)
}

/// A folder that is removed again unless the group comes about.
struct Made(Vec<PathBuf>);

impl Made {
    fn make(&mut self, parent: &Path, name: &str) -> Result<PathBuf, String> {
        let folder = parent.join(name);
        if !self.0.contains(&folder) {
            fs::create_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
            self.0.push(folder.clone());
        }
        Ok(folder)
    }

    fn done(mut self, cgroup: Cgroup) -> Group {
        Group {
            cgroup,
            folders: std::mem::take(&mut self.0),
        }
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        self.0.iter().for_each(|folder| remove(folder));
    }
}

fn write(folder: &Path, file: &str, value: &str) -> Result<(), String> {
    let path = folder.join(file);
    fs::write(&path, value).map_err(|error| format!("{}: {error}", path.display()))
}

fn v1(own: &V1Folders, name: &str, pid: u32, limits: &Limits) -> Result<Group, String> {
    let mut made = Made(Vec::new());
    let (Some(cpuacct), Some(memory)) = (&own.cpuacct, &own.memory) else {
        return Err("the controllers `cpuacct` and `memory` are not both there".into());
    };
    let cpuacct = made.make(cpuacct, name)?;
    let memory = made.make(memory, name)?;
    // The other two are good to have.
    let pids = own.pids.as_ref().and_then(|parent| made.make(parent, name).ok());
    let cpu = own.cpu.as_ref().and_then(|parent| made.make(parent, name).ok());
    write(&memory, "memory.limit_in_bytes", &limits.memory.to_string())?;
    // With swap; a kernel may be without swap accounting.
    let _ = write(&memory, "memory.memsw.limit_in_bytes", &limits.memory.to_string());
    if let Some(pids) = &pids {
        write(pids, "pids.max", &limits.pids.to_string())?;
    }
    if let Some(quota) = limits.cpu_quota {
        let cpu = cpu.as_ref().ok_or("a CPU quota needs the controller `cpu`")?;
        write(cpu, "cpu.cfs_period_us", &format!("{PERIOD_US}"))?;
        write(cpu, "cpu.cfs_quota_us", &format!("{:.0}", quota * PERIOD_US))?;
    }
    for folder in &made.0 {
        write(folder, "cgroup.procs", &pid.to_string())?;
    }
    let folders = V1Folders {
        cpuacct: Some(cpuacct),
        cpu,
        memory: Some(memory),
        pids,
    };
    Ok(made.done(Cgroup::V1(folders)))
}

fn v2(parent: &Path, name: &str, pid: u32, limits: &Limits) -> Result<Group, String> {
    let mut made = Made(Vec::new());
    for controller in ["+cpu", "+memory", "+pids"] {
        // On already, or not ours to give: what is missing shows below.
        let _ = write(parent, "cgroup.subtree_control", controller);
    }
    let folder = made.make(parent, name)?;
    write(&folder, "memory.max", &limits.memory.to_string())?;
    let _ = write(&folder, "memory.swap.max", "0");
    let _ = write(&folder, "pids.max", &limits.pids.to_string());
    if let Some(quota) = limits.cpu_quota {
        write(&folder, "cpu.max", &format!("{:.0} {PERIOD_US}", quota * PERIOD_US))?;
    }
    write(&folder, "cgroup.procs", &pid.to_string())?;
    Ok(made.done(Cgroup::V2(folder)))
}

/// Sets the descriptor limit of a process; what it got, where the system grants less.
pub(super) fn descriptors(pid: Pid, wanted: u64) -> io::Result<u64> {
    let set = |most| {
        prlimit(
            Some(pid),
            Resource::Nofile,
            Rlimit {
                current: Some(most),
                maximum: Some(most),
            },
        )
    };
    if set(wanted).is_ok() {
        return Ok(wanted);
    }
    let hard = rustix::process::getrlimit(Resource::Nofile)
        .maximum
        .unwrap_or(wanted)
        .min(wanted);
    set(hard)?;
    Ok(hard)
}

/// Limits the data of one process, where no control group limits all of a server's together.
pub(super) fn data(pid: Pid, bytes: u64) -> io::Result<()> {
    prlimit(
        Some(pid),
        Resource::Data,
        Rlimit {
            current: Some(bytes),
            maximum: Some(bytes),
        },
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_groups_name_tells_its_owner() {
        let name = format!("{PREFIX}{}-7", Owner::this().short());
        assert_eq!(owner_of(&name).as_ref(), Some(Owner::this()));
        for other in ["docker", "wsgibench-", "wsgibench-x-1-n-0"] {
            assert_eq!(owner_of(other), None, "{other}");
        }
    }
}
