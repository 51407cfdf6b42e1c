//! Facts about the machine: kernel, CPUs, memory, local ports, CPU time of all processes.

use std::{
    fs,
    net::{SocketAddr, SocketAddrV4},
    path::Path,
};

use crate::{store::record::Environment, subprocess};

/// Reads the facts that do not depend on the sandbox; the runner adds the others.
#[must_use]
pub fn read(project: &Path) -> Environment {
    let uname = rustix::system::uname();
    Environment {
        kernel: uname.release().to_string_lossy().into_owned(),
        os: line_value("/etc/os-release", "PRETTY_NAME=").map_or_else(
            || std::env::consts::OS.to_owned(),
            |name| name.trim_matches('"').to_owned(),
        ),
        cpu_model: line_value("/proc/cpuinfo", "model name")
            .map(|rest| rest.trim_start_matches([' ', '\t', ':']).to_owned())
            .unwrap_or_default(),
        cpu_count: std::thread::available_parallelism().map_or(1, usize::from),
        governor: fs::read_to_string("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
            .ok()
            .map(|g| g.trim().to_owned()),
        memory_bytes: memory_bytes(),
        cgroup: if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
            "v2"
        } else {
            "v1"
        }
        .to_owned(),
        commit: commit(project),
        ..Environment::default()
    }
}

/// Returns the machine's memory in bytes, or 0 if `/proc/meminfo` is unavailable.
#[must_use]
pub fn memory_bytes() -> u64 {
    line_value("/proc/meminfo", "MemTotal:")
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .map_or(0, |kib| kib * 1024)
}

/// Returns the number of local ports available for connections to one address.
#[must_use]
pub fn port_range() -> u32 {
    fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|text| {
            let mut words = text.split_whitespace().map(str::parse::<u32>);
            let (low, high) = (words.next()?.ok()?, words.next()?.ok()?);
            Some(high.saturating_sub(low) + 1)
        })
        .unwrap_or(28_232)
}

/// Returns the number of local ports in `TIME_WAIT` towards `server`.
///
/// The kernel's count for the network namespace is a cheap upper bound. Only if it exceeds a quarter of `range` are the
/// sockets counted one by one, because sockets closed by a local server or used by other programs occupy no port of this
/// client.
#[must_use]
pub fn time_wait(server: SocketAddr, range: u32) -> u32 {
    let all = line_value("/proc/net/sockstat", "TCP:")
        .and_then(|rest| {
            let mut words = rest.split_whitespace();
            words.find(|word| *word == "tw")?;
            words.next()?.parse().ok()
        })
        .unwrap_or(0);
    let SocketAddr::V4(server) = server else {
        return all;
    };
    if all <= range / 4 {
        return all;
    }
    fs::read_to_string("/proc/net/tcp").map_or(all, |table| time_wait_towards(&table, server))
}

/// Counts the rows of `/proc/net/tcp` in `TIME_WAIT` (state 06) whose remote end is `server`.
fn time_wait_towards(table: &str, server: SocketAddrV4) -> u32 {
    // The kernel prints the address in network byte order, as a number of this machine's endianness.
    let address = u32::from_ne_bytes(server.ip().octets());
    let remote = format!("{address:08X}:{:04X}", server.port());
    let resting = |line: &&str| {
        let mut columns = line.split_whitespace().skip(2);
        columns.next() == Some(&remote) && columns.next() == Some("06")
    };
    u32::try_from(table.lines().skip(1).filter(resting).count()).unwrap_or(u32::MAX)
}

/// Cumulative CPU time of the machine and of chosen CPUs, in clock ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTicks {
    /// All states, all CPUs.
    pub total: u64,
    /// Stolen by the hypervisor, all CPUs.
    pub steal: u64,
    /// User, nice and system time of the chosen CPUs. Interrupts are excluded: they do the network's work for the load.
    pub chosen_busy: u64,
    /// All states, chosen CPUs.
    pub chosen_total: u64,
}

/// Reads `/proc/stat`; zero if it is unavailable.
#[must_use]
pub fn cpu_ticks(chosen: &[usize]) -> CpuTicks {
    parse_cpu_ticks(&fs::read_to_string("/proc/stat").unwrap_or_default(), chosen)
}

fn parse_cpu_ticks(stat: &str, chosen: &[usize]) -> CpuTicks {
    let mut ticks = CpuTicks::default();
    for line in stat.lines() {
        let mut words = line.split_whitespace();
        let Some(name) = words.next().and_then(|w| w.strip_prefix("cpu")) else {
            continue;
        };
        // user nice system idle iowait irq softirq steal (guest times are within user and nice)
        let fields: Vec<u64> = words.take(8).filter_map(|w| w.parse().ok()).collect();
        let total: u64 = fields.iter().sum();
        let processes: u64 = fields.iter().take(3).sum();
        match name.parse::<usize>() {
            Err(_) => {
                ticks.total = total;
                ticks.steal = fields.get(7).copied().unwrap_or(0);
            }
            Ok(cpu) if chosen.contains(&cpu) => {
                ticks.chosen_total += total;
                ticks.chosen_busy += processes;
            }
            Ok(_) => {}
        }
    }
    ticks
}

fn line_value(path: &str, prefix: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix(prefix))
        .map(|rest| rest.trim().to_owned())
}

fn commit(project: &Path) -> Option<String> {
    let git = |args: &[&str]| -> Option<String> {
        let output = subprocess::git(project).args(args).output().ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let hash = git(&["rev-parse", "--short=12", "HEAD"])?;
    let dirty = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|s| !s.is_empty());
    Some(if dirty { format!("{hash}-dirty") } else { hash })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_time_wait_sockets_towards_the_server_count() {
        // 127.0.0.1:8000 is the server.
        let address = |port: u16| format!("{:08X}:{port:04X}", u32::from_ne_bytes([127, 0, 0, 1]));
        let row = |local: u16, remote: u16, state: &str| {
            format!(
                "   0: {} {} {state} 00000000:00000000 03:00000A1F 00000000     0        0 0 3\n",
                address(local),
                address(remote)
            )
        };
        let table = String::from("  sl  local_address rem_address   st tx_queue rx_queue\n")
            + &row(40_001, 8_000, "06")
            + &row(40_002, 8_000, "06")
            + &row(40_003, 8_000, "01") // established
            + &row(8_000, 40_004, "06") // the server's own
            + &row(40_005, 8_001, "06"); // towards another
        assert_eq!(time_wait_towards(&table, "127.0.0.1:8000".parse().unwrap()), 2);
    }

    #[test]
    fn proc_stat_columns_are_summed() {
        let stat = "cpu  10 0 20 60 5 1 2 2 0 0\ncpu0 6 0 10 30 2 1 1 0 0 0\ncpu1 4 0 10 30 3 0 1 2 0 0\nintr 5\n";
        let ticks = parse_cpu_ticks(stat, &[1]);
        assert_eq!(
            ticks,
            CpuTicks {
                total: 100,
                steal: 2,
                chosen_busy: 14,
                chosen_total: 50
            }
        );
    }
}
