//! Parser for the files of version 1.

use std::io;

use super::{Usage, field, nanoseconds};

/// A controller's tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Controller {
    Cpuacct,
    Cpu,
    Memory,
    Pids,
}

/// Parses usage from the files that `read` returns; only `cpuacct.usage` and the memory files are required.
pub(crate) fn usage(read: impl Fn(Controller, &str) -> io::Result<Option<String>>) -> io::Result<Usage> {
    let number = |controller, file: &str| -> io::Result<Option<u64>> {
        read(controller, file)?.map(|text| whole(file, &text)).transpose()
    };
    let total = number(Controller::Cpuacct, "cpuacct.usage")?.ok_or_else(|| missing("cpuacct.usage"))?;
    let user = number(Controller::Cpuacct, "cpuacct.usage_user")?;
    let system = number(Controller::Cpuacct, "cpuacct.usage_sys")?;
    let (user, system) = match (user, system) {
        (Some(user), Some(system)) => (user, system),
        // Kernels before 4.7 have the split in clock ticks only: scale it to the exact total.
        _ => split(total, read(Controller::Cpuacct, "cpuacct.stat")?.as_deref()),
    };
    let throttled = read(Controller::Cpu, "cpu.stat")?
        .and_then(|text| field(&text, "throttled_time"))
        .unwrap_or(0);

    let stat = read(Controller::Memory, "memory.stat")?;
    let usage = number(Controller::Memory, "memory.usage_in_bytes")?.ok_or_else(|| missing("memory.usage_in_bytes"))?;
    let oom = read(Controller::Memory, "memory.oom_control")?;
    Ok(Usage {
        cpu_user_seconds: nanoseconds(user),
        cpu_system_seconds: nanoseconds(system),
        cpu_total_seconds: nanoseconds(total),
        throttled_seconds: nanoseconds(throttled),
        memory_bytes: without_cache(usage, stat.as_deref().unwrap_or_default()),
        memory_peak_bytes: number(Controller::Memory, "memory.max_usage_in_bytes")?,
        oom_kills: oom.and_then(|text| field(&text, "oom_kill")).unwrap_or(0),
        pids: number(Controller::Pids, "pids.current")?.unwrap_or(0),
    })
}

/// Returns memory without the page cache. Files in memory (`shmem`, tmpfs) belong to the server and are counted.
fn without_cache(usage: u64, stat: &str) -> u64 {
    let total = |name: &str| field(stat, &format!("total_{name}")).or_else(|| field(stat, name));
    let cache = total("cache").unwrap_or(0);
    usage.saturating_sub(cache.saturating_sub(total("shmem").unwrap_or(0)))
}

fn split(total: u64, stat: Option<&str>) -> (u64, u64) {
    let ticks = |key| stat.and_then(|text| field(text, key)).unwrap_or(0);
    let (user, system) = (ticks("user"), ticks("system"));
    if user + system == 0 {
        return (total, 0);
    }
    let user = u128::from(total) * u128::from(user) / u128::from(user + system);
    let user = u64::try_from(user).unwrap_or(total);
    (user, total - user)
}

fn whole(file: &str, text: &str) -> io::Result<u64> {
    text.trim().parse().map_err(|_| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{file} holds {text:?}, not a number"),
        )
    })
}

fn missing(file: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("the control group has no {file}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Recorded from a container on Linux 6.18 with version 1.
    const STAT: &str = "cache 4096000\nrss 20480000\nrss_huge 0\nshmem 1000000\nmapped_file 0\ninactive_file 3000000\n\
        total_cache 4096000\ntotal_rss 20480000\ntotal_shmem 1000000\n";

    fn recorded(controller: Controller, file: &str) -> Option<String> {
        Some(
            match (controller, file) {
                (Controller::Cpuacct, "cpuacct.usage") => "3500000000\n",
                (Controller::Cpuacct, "cpuacct.usage_user") => "1500000000\n",
                (Controller::Cpuacct, "cpuacct.usage_sys") => "2000000000\n",
                (Controller::Cpu, "cpu.stat") => "nr_periods 10\nnr_throttled 2\nthrottled_time 250000000\n",
                (Controller::Memory, "memory.stat") => STAT,
                (Controller::Memory, "memory.usage_in_bytes") => "25000000\n",
                (Controller::Memory, "memory.max_usage_in_bytes") => "30000000\n",
                (Controller::Memory, "memory.oom_control") => "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
                (Controller::Pids, "pids.current") => "7\n",
                _ => return None,
            }
            .to_owned(),
        )
    }

    #[test]
    fn reads_the_recorded_files() {
        let usage = usage(|controller, file| Ok(recorded(controller, file))).unwrap();
        assert_eq!(
            usage,
            Usage {
                cpu_user_seconds: 1.5,
                cpu_system_seconds: 2.0,
                cpu_total_seconds: 3.5,
                throttled_seconds: 0.25,
                memory_bytes: 25_000_000 - 3_096_000,
                memory_peak_bytes: Some(30_000_000),
                oom_kills: 3,
                pids: 7,
            }
        );
    }

    #[test]
    fn split_in_ticks_of_old_kernels_is_scaled_to_the_total() {
        let usage = usage(|controller, file| {
            Ok(match file {
                "cpuacct.usage_user" | "cpuacct.usage_sys" => None,
                "cpuacct.stat" => Some("user 100\nsystem 300\n".into()),
                _ => recorded(controller, file),
            })
        })
        .unwrap();
        assert!((usage.cpu_user_seconds - 0.875).abs() < 1e-9, "{usage:?}");
        assert!((usage.cpu_system_seconds - 2.625).abs() < 1e-9, "{usage:?}");
    }

    #[test]
    fn malformed_file_is_named_in_the_error() {
        let error = usage(|controller, file| {
            Ok(if file == "cpuacct.usage" {
                Some("many\n".into())
            } else {
                recorded(controller, file)
            })
        })
        .unwrap_err();
        assert!(error.to_string().contains("cpuacct.usage"), "{error}");
    }
}
