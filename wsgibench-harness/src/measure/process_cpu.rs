//! CPU time of the machine's other processes between two snapshots.

use std::{collections::BTreeMap, fs, time::Instant};

use crate::sandbox::{
    cpus,
    proc::{self, Stat},
};

/// A snapshot of the CPU time of all processes.
#[derive(Clone, Debug)]
pub(crate) struct ProcessCpu {
    at: Instant,
    processes: BTreeMap<u32, Stat>,
}

/// CPU usage of one process between two snapshots.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Busy {
    /// Process id.
    pub(crate) pid: u32,
    /// CPU time as a share of one CPU; above 1 with several threads.
    pub(crate) share: f64,
}

impl ProcessCpu {
    /// Reads `/proc`. Takes a few milliseconds, so it must not run within a round.
    pub(crate) fn now() -> Self {
        Self {
            at: Instant::now(),
            processes: proc::all(),
        }
    }

    /// Returns the processes that still run, except this one, busiest first. Processes that started and ended between the
    /// snapshots are missed.
    pub(crate) fn busy_until(&self, later: &Self) -> Vec<Busy> {
        let elapsed = later.at.duration_since(self.at).as_secs_f64().max(1e-3);
        let own = std::process::id();
        let mut busy: Vec<Busy> = later
            .processes
            .iter()
            .filter(|(pid, _)| **pid != own)
            .map(|(&pid, now)| {
                // A new process, possibly with a reused pid, counts from zero.
                let then = self.processes.get(&pid).filter(|then| then.start == now.start);
                let ticks = now.own_ticks.saturating_sub(then.map_or(0, |then| then.own_ticks));
                let ticks = u32::try_from(ticks).unwrap_or(u32::MAX);
                Busy {
                    pid,
                    share: (proc::tick() * ticks).as_secs_f64() / elapsed,
                }
            })
            .collect();
        busy.sort_by(|a, b| b.share.total_cmp(&a.share));
        busy
    }

    /// Formats up to three processes that used at least 5 % of a CPU and may run on one of `cpus`:
    /// `cargo (712) 81 % of a CPU`.
    pub(crate) fn on(&self, later: &Self, cpus: &[usize]) -> Vec<String> {
        self.busy_until(later)
            .into_iter()
            .take_while(|busy| busy.share >= 0.05)
            .filter(|busy| may_run_on(busy.pid, cpus))
            .take(3)
            .map(|busy| format!("{} {:.0} % of a CPU", busy.title(), busy.share * 100.0))
            .collect()
    }
}

impl Busy {
    /// Returns `cargo (712)`, or `process 712` if it has ended.
    pub(crate) fn title(&self) -> String {
        let name = fs::read_to_string(format!("/proc/{}/comm", self.pid)).unwrap_or_default();
        match name.trim() {
            "" => format!("process {}", self.pid),
            name => format!("{name} ({})", self.pid),
        }
    }
}

/// Whether a process may run on one of `cpus`; true if its affinity is not readable.
fn may_run_on(pid: u32, cpus: &[usize]) -> bool {
    let allowed = fs::read_to_string(format!("/proc/{pid}/status"))
        .ok()
        .and_then(|status| {
            let list = status
                .lines()
                .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
            cpus::parse_list(list).ok()
        });
    allowed.is_none_or(|allowed| cpus.iter().any(|cpu| allowed.contains(cpu)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn process(own_ticks: u64, start: u64) -> Stat {
        let text = format!("1 (x) R 1 1 1 0 -1 0 0 0 0 0 {own_ticks} 0 9 9 20 0 1 0 {start} 0 0");
        proc::parse(&text).unwrap()
    }

    #[test]
    fn the_busiest_come_first_and_reused_pids_count_from_zero() {
        let before = ProcessCpu {
            at: Instant::now(),
            processes: BTreeMap::from([(1, process(100, 5)), (2, process(500, 5)), (3, process(900, 5))]),
        };
        let after = ProcessCpu {
            at: before.at + Duration::from_secs(1),
            processes: BTreeMap::from([
                (1, process(110, 5)),
                (2, process(540, 5)),
                (3, process(20, 8)),
                (u32::MAX, process(30, 9)),
                (std::process::id(), process(1_000, 5)),
            ]),
        };
        let busy = before.busy_until(&after);
        let pids: Vec<u32> = busy.iter().map(|busy| busy.pid).collect();
        assert_eq!(pids, [2, u32::MAX, 3, 1]);
        let expected = proc::tick().as_secs_f64() * 40.0;
        assert!((busy[0].share - expected).abs() < 1e-9, "{busy:?}");
        assert_eq!(busy[1].title(), format!("process {}", u32::MAX), "it has ended");
    }

    #[test]
    fn at_most_three_busy_processes_are_named() {
        // Pids that do not exist: their affinity is not readable.
        let gone = |index: u32| u32::MAX - index;
        let programs = |at, ticks: [u64; 5]| ProcessCpu {
            at,
            processes: (0..).map(gone).zip(ticks.map(|ticks| process(ticks, 5))).collect(),
        };
        let begun = Instant::now();
        let busiest = |ticks| programs(begun, [0; 5]).on(&programs(begun + proc::tick() * 100, ticks), &[0]);
        let named = |index, share| format!("process {} {share} % of a CPU", gone(index));
        assert_eq!(busiest([50, 4, 5, 0, 0]), [named(0, 50), named(2, 5)]);
        assert_eq!(
            busiest([50, 40, 60, 30, 20]),
            [named(2, 60), named(0, 50), named(1, 40)]
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_bound_to_other_cpus_is_ignored() {
        let own = std::process::id();
        let all: Vec<usize> = (0..4_096).collect();
        assert!(may_run_on(own, &all) && !may_run_on(own, &[65_535]));
    }
}
