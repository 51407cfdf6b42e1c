//! Parser for the files of version 2.

use std::io;

use super::{Usage, field, microseconds};

/// Parses usage from the files that `read` returns; only `cpu.stat` is required, since the memory controller may be off.
pub(crate) fn usage(read: impl Fn(&str) -> io::Result<Option<String>>) -> io::Result<Usage> {
    let cpu = read("cpu.stat")?
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the control group has no cpu.stat"))?;
    let time = |key: &str| {
        field(&cpu, key)
            .map(microseconds)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("cpu.stat has no {key}")))
    };
    let number = |file: &str| -> io::Result<Option<u64>> { Ok(read(file)?.and_then(|text| text.trim().parse().ok())) };
    let current = number("memory.current")?.unwrap_or(0);
    let stat = read("memory.stat")?.unwrap_or_default();
    let events = read("memory.events")?.unwrap_or_default();
    Ok(Usage {
        cpu_user_seconds: time("user_usec")?,
        cpu_system_seconds: time("system_usec")?,
        cpu_total_seconds: time("usage_usec")?,
        throttled_seconds: field(&cpu, "throttled_usec").map_or(0.0, microseconds),
        memory_bytes: without_cache(current, &stat),
        memory_peak_bytes: number("memory.peak")?,
        oom_kills: field(&events, "oom_kill").unwrap_or(0),
        pids: number("pids.current")?.unwrap_or(0),
    })
}

/// Returns memory without the page cache. `file` includes files in memory (`shmem`, tmpfs), which belong to the server and are counted.
fn without_cache(current: u64, stat: &str) -> u64 {
    let cache = field(stat, "file").unwrap_or(0);
    current.saturating_sub(cache.saturating_sub(field(stat, "shmem").unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Files as recorded from a container's group on a systemd machine with version 2 (Linux 6.1, Docker 24).
    const CPU: &str = "usage_usec 5200431\nuser_usec 3100200\nsystem_usec 2100231\ncore_sched.force_idle_usec 0\n\
        nr_periods 120\nnr_throttled 4\nthrottled_usec 350000\nnr_bursts 0\nburst_usec 0\n";
    const MEMORY: &str = "anon 18874368\nfile 6291456\nkernel 2097152\nkernel_stack 180224\npagetables 512000\n\
        sec_pagetables 0\npercpu 720\nsock 0\nvmalloc 0\nshmem 1048576\nfile_mapped 2703360\n";
    const EVENTS: &str = "low 0\nhigh 0\nmax 14\noom 1\noom_kill 1\noom_group_kill 0\n";

    fn recorded(file: &str) -> Option<String> {
        Some(
            match file {
                "cpu.stat" => CPU,
                "memory.current" => "27262976\n",
                "memory.stat" => MEMORY,
                "memory.peak" => "31457280\n",
                "memory.events" => EVENTS,
                "pids.current" => "6\n",
                _ => return None,
            }
            .to_owned(),
        )
    }

    #[test]
    fn reads_the_recorded_files() {
        let usage = usage(|file| Ok(recorded(file))).unwrap();
        assert_eq!(
            usage,
            Usage {
                cpu_user_seconds: 3.1002,
                cpu_system_seconds: 2.100_231,
                cpu_total_seconds: 5.200_431,
                throttled_seconds: 0.35,
                memory_bytes: 27_262_976 - (6_291_456 - 1_048_576),
                memory_peak_bytes: Some(31_457_280),
                oom_kills: 1,
                pids: 6,
            }
        );
    }

    #[test]
    fn group_without_controllers_reports_cpu_time() {
        let text = "usage_usec 10\nuser_usec 4\nsystem_usec 6\n";
        let usage = usage(|file| Ok((file == "cpu.stat").then(|| text.to_owned()))).unwrap();
        assert!((usage.cpu_total_seconds - 10e-6).abs() < 1e-12);
        assert_eq!((usage.memory_bytes, usage.memory_peak_bytes, usage.pids), (0, None, 0));
    }

    #[test]
    fn malformed_cpu_stat_is_an_error() {
        let error = usage(|file| Ok((file == "cpu.stat").then(|| "usage_usec 10\n".to_owned()))).unwrap_err();
        assert!(error.to_string().contains("user_usec"), "{error}");
    }
}
