//! Limits of a launch: a control group if one can be made, otherwise resource limits of the process.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use rustix::process::{Pid, Resource};

use crate::{
    declare::Limits,
    sandbox::{
        cgroup::{self, Cgroup, V1Folders},
        owner::Owner,
    },
};

/// Prefix of the names of wsgibench's groups.
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
/// # Errors
/// # Errors
/// If no group can be made here; returns the reason.
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
            // A group with processes cannot have child groups with controllers, so a sibling of this process's group is tried first.
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
        None => Err("this machine has no writable control groups".into()),
    }
}

/// Returns the folders that may contain wsgibench's groups.
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

/// Returns the owner encoded in a group's name.
pub(super) fn owner_of(name: &str) -> Option<Owner> {
    let mut parts = name.strip_prefix(PREFIX)?.split('-');
    let (pid, start) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some(Owner::here(pid, start, parts.next()?))
}

/// Returns the processes of a group.
pub(super) fn members(folder: &Path) -> Vec<u32> {
    let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.trim().parse().ok()).collect()
}

/// Removes an empty group. Its last process may take a moment to leave it: blocks for up to half a second.
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

/// New folders of a group, removed again unless the group is completed.
struct Made(Vec<PathBuf>);

impl Made {
    fn make(&mut self, parent: &Path, name: &str) -> Result<PathBuf, String> {
        let folder = parent.join(name);
        if !self.0.contains(&folder) {
            fs::create_dir(&folder).map_err(|error| format!("{}: {error}", parent.display()))?;
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
        // One that holds the process already goes with the leftovers of this run.
        for folder in &self.0 {
            let _ = fs::remove_dir(folder);
        }
    }
}

fn write(folder: &Path, file: &str, value: &str) -> Result<(), String> {
    let path = folder.join(file);
    fs::write(&path, value).map_err(|error| format!("{}: {error}", path.display()))
}

fn v1(own: &V1Folders, name: &str, pid: u32, limits: &Limits) -> Result<Group, String> {
    let mut made = Made(Vec::new());
    let (Some(cpuacct), Some(memory)) = (&own.cpuacct, &own.memory) else {
        return Err("the controllers `cpuacct` and `memory` are not both available".into());
    };
    let cpuacct = made.make(cpuacct, name)?;
    let memory = made.make(memory, name)?;
    // The other two limits are optional.
    let pids = own.pids.as_ref().and_then(|parent| made.make(parent, name).ok());
    let cpu = own.cpu.as_ref().and_then(|parent| made.make(parent, name).ok());
    write(&memory, "memory.limit_in_bytes", &limits.memory.to_string())?;
    // Includes swap; a kernel may lack swap accounting.
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
        // Already enabled, or not permitted: a missing controller is reported below.
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

/// Sets the descriptor limit of a process; returns the limit set, which may be lower than requested.
pub(super) fn descriptors(pid: Pid, wanted: u64) -> io::Result<u64> {
    if set(pid, Resource::Nofile, wanted).is_ok() {
        return Ok(wanted);
    }
    let hard = rustix::process::getrlimit(Resource::Nofile)
        .maximum
        .unwrap_or(wanted)
        .min(wanted);
    set(pid, Resource::Nofile, hard)?;
    Ok(hard)
}

/// Limits the data segment of one process, for machines without a control group that limits the whole server.
pub(super) fn data(pid: Pid, bytes: u64) -> io::Result<()> {
    set(pid, Resource::Data, bytes)
}

#[cfg(target_os = "linux")]
fn set(pid: Pid, resource: Resource, most: u64) -> io::Result<()> {
    use rustix::process::{Rlimit, prlimit};
    prlimit(
        Some(pid),
        resource,
        Rlimit {
            current: Some(most),
            maximum: Some(most),
        },
    )?;
    Ok(())
}

/// Other systems let a process set only its own limits.
#[cfg(not(target_os = "linux"))]
fn set(_: Pid, _: Resource, _: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_name_contains_its_owner() {
        let name = format!("{PREFIX}{}-7", Owner::this().short());
        assert_eq!(owner_of(&name).as_ref(), Some(Owner::this()));
        for other in ["docker", "wsgibench-", "wsgibench-x-1-n-0"] {
            assert_eq!(owner_of(other), None, "{other}");
        }
    }

    /// Returns the text written into a group's file; in an ordinary folder the write creates the file.
    fn written(folder: &Path, file: &str) -> String {
        fs::read_to_string(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    fn limits() -> Limits {
        Limits {
            cpu_quota: Some(1.5),
            memory: 5_000_000,
            pids: 7,
            ..Limits::default()
        }
    }

    #[test]
    fn version_2_limits() {
        let parent = tempfile::tempdir().unwrap();
        let group = v2(parent.path(), "wsgibench-1-2-n-0", 4242, &limits()).unwrap();
        let folder = parent.path().join("wsgibench-1-2-n-0");
        assert_eq!(group.folders, std::slice::from_ref(&folder));
        assert_eq!(group.cgroup, Cgroup::V2(folder.clone()));
        let files = ["memory.max", "memory.swap.max", "pids.max", "cpu.max", "cgroup.procs"];
        assert_eq!(
            files.map(|file| written(&folder, file)),
            ["5000000", "0", "7", "150000 100000", "4242"]
        );
        assert_eq!(members(&folder), [4242]);
    }

    #[test]
    fn version_1_limits() {
        let parent = tempfile::tempdir().unwrap();
        let controller = |name: &str| {
            let path = parent.path().join(name);
            fs::create_dir(&path).unwrap();
            Some(path)
        };
        let both = controller("cpu,cpuacct");
        let own = V1Folders {
            cpuacct: both.clone(),
            cpu: both,
            memory: controller("memory"),
            pids: controller("pids"),
        };
        let group = v1(&own, "g", 4242, &limits()).unwrap();
        assert_eq!(
            group.folders.len(),
            3,
            "one folder for controllers that share a hierarchy"
        );
        let at = |name: &str| parent.path().join(name).join("g");
        assert_eq!(written(&at("memory"), "memory.limit_in_bytes"), "5000000");
        assert_eq!(written(&at("pids"), "pids.max"), "7");
        assert_eq!(written(&at("cpu,cpuacct"), "cpu.cfs_quota_us"), "150000");
        assert!(
            group
                .folders
                .iter()
                .all(|folder| written(folder, "cgroup.procs") == "4242")
        );
        let without = V1Folders { memory: None, ..own };
        assert!(v1(&without, "h", 4242, &limits()).is_err());
        assert!(
            !at("cpu,cpuacct").with_file_name("h").exists(),
            "what was begun is undone"
        );
    }

    #[test]
    fn limits_without_a_group_are_set_on_the_process() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = crate::sandbox::group::pid(child.id()).unwrap();
        let got = descriptors(pid, 1 << 40).unwrap();
        data(pid, 64 << 20).unwrap();
        let limits = fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap_or_default();
        child.kill().unwrap();
        child.wait().unwrap();
        let hard = |name: &str| {
            let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()
        };
        if !limits.is_empty() {
            assert!(got < 1 << 40, "no system grants so many");
            assert_eq!(
                (hard("Max open files"), hard("Max data size")),
                (Some(got), Some(64 << 20)),
                "{limits}"
            );
        }
    }
}
