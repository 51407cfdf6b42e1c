//! Resource usage of a process tree, for servers without a control group: sums over the current processes.
//!
//! CPU time is in clock ticks (usually 10 ms), and that of an exited process is kept only if its parent has reaped it. Memory is each
//! process's resident memory that is not backed by a file; pages shared by forked processes count for each.

use std::{collections::BTreeMap, fs, io};

use super::{
    Usage,
    proc::{self, Stat},
};

/// Returns the usage of the process `root`, its group and its descendants.
///
/// # Errors
/// If none of these processes exists.
pub(crate) fn usage(root: u32) -> io::Result<Usage> {
    let processes = proc::all();
    let members = members_of(root, &processes);
    if members.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "its processes are gone"));
    }
    let stats = || members.iter().filter_map(|pid| processes.get(pid));
    let tick = proc::tick().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "ticks stay far below 2^53")]
    let seconds = |ticks: u64| ticks as f64 * tick;
    let (user, system) = (
        stats().map(|stat| stat.user_ticks).sum(),
        stats().map(|stat| stat.system_ticks).sum(),
    );
    Ok(Usage {
        cpu_user_seconds: seconds(user),
        cpu_system_seconds: seconds(system),
        cpu_total_seconds: seconds(user + system),
        throttled_seconds: 0.0,
        memory_bytes: members.iter().map(|pid| private_bytes(*pid)).sum(),
        memory_peak_bytes: None,
        oom_kills: 0,
        pids: stats().map(|stat| stat.threads).sum(),
    })
}

/// Returns the pids of the process `root`, its group and its descendants.
pub(crate) fn members(root: u32) -> Vec<u32> {
    members_of(root, &proc::all())
}

fn members_of(root: u32, processes: &BTreeMap<u32, Stat>) -> Vec<u32> {
    let mut members = proc::tree(root, processes);
    members.extend(
        processes
            .iter()
            .filter(|(_, stat)| stat.group == root)
            .map(|(pid, _)| *pid),
    );
    members.sort_unstable();
    members.dedup();
    members
}

/// Returns resident memory that is not backed by a file, from `/proc/<pid>/statm`.
fn private_bytes(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let mut pages = text
        .split_ascii_whitespace()
        .skip(1)
        .filter_map(|word| word.parse::<u64>().ok());
    let (resident, shared) = (pages.next().unwrap_or(0), pages.next().unwrap_or(0));
    resident.saturating_sub(shared) * page_size()
}

fn page_size() -> u64 {
    u64::try_from(rustix::param::page_size()).unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn usage_includes_children_and_grandchildren() {
        let mut child = Command::new("sh")
            .args(["-c", "sh -c 'while :; do :; done' & wait"])
            .spawn()
            .unwrap();
        let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
        let usage = loop {
            let usage = usage(child.id()).unwrap();
            if usage.cpu_total_seconds > 0.02 || std::time::Instant::now() > until {
                break usage;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        };
        let members = members(child.id());
        for pid in members.iter().rev() {
            let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
        }
        child.wait().unwrap();
        assert!(members.len() >= 2, "{members:?}");
        assert!(
            usage.cpu_total_seconds > 0.02 && usage.memory_bytes > 0 && usage.pids >= 2,
            "{usage:?}"
        );
    }
}
