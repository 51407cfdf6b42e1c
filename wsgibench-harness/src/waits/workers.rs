//! CPU time of worker processes and its distribution.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// CPU time of one worker process in a round.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkerCpu {
    /// Name of the process.
    pub name: String,
    /// CPU time, seconds.
    pub cpu_seconds: f64,
    /// Time for which its threads were ready and waited for a CPU, seconds; 0 if the kernel does not account for it.
    pub runnable_seconds: f64,
}

/// A process of a server and its CPU time in a round.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProcessCpu {
    /// Process id.
    pub pid: u32,
    /// Parent's process id.
    pub parent: u32,
    /// Name.
    pub name: String,
    /// Command line.
    pub command: String,
    /// CPU time, seconds.
    pub cpu_seconds: f64,
    /// Time for which its threads were ready and waited for a CPU, seconds.
    pub runnable_seconds: f64,
}

/// Least share of the workers' CPU time with which their parent counts as a worker too (uWSGI without a master).
const PARENT_WORKS: f64 = 0.1;

/// Returns the workers among the processes of a server, the one with the most CPU time first.
///
/// Workers are children of one parent with the same program; of several such groups, the one that used the most CPU time. Their
/// parent belongs to them if it is the same program and works as well. A process without siblings of its kind is a group
/// of its own.
#[must_use]
pub fn workers(processes: &[ProcessCpu]) -> Vec<WorkerCpu> {
    let mut groups: BTreeMap<(u32, String), Vec<&ProcessCpu>> = BTreeMap::new();
    for process in processes {
        groups.entry((process.parent, kind(process))).or_default().push(process);
    }
    let total = |group: &[&ProcessCpu]| group.iter().map(|process| process.cpu_seconds).sum::<f64>();
    let Some(((parent, kind_of_group), mut group)) = groups.into_iter().max_by(|(_, a), (_, b)| {
        // Without any CPU time, the larger group.
        total(a).total_cmp(&total(b)).then(a.len().cmp(&b.len()))
    }) else {
        return Vec::new();
    };
    let least = total(&group) * PARENT_WORKS;
    let parent = processes.iter().find(|process| process.pid == parent);
    let leaders = parent.filter(|process| process.cpu_seconds > least && kind(process) == kind_of_group);
    group.extend(leaders);
    // The parent may be the busiest process and so a group of its own: its children that work belong to it.
    if let [only] = group[..] {
        let least = only.cpu_seconds * PARENT_WORKS;
        let children = processes.iter().filter(|process| {
            process.parent == only.pid && process.cpu_seconds > least && kind(process) == kind_of_group
        });
        group.extend(children);
    }
    let mut workers: Vec<WorkerCpu> = group
        .into_iter()
        .map(|process| WorkerCpu {
            name: process.name.clone(),
            cpu_seconds: process.cpu_seconds,
            runnable_seconds: process.runnable_seconds,
        })
        .collect();
    workers.sort_by(|a, b| b.cpu_seconds.total_cmp(&a.cpu_seconds));
    workers
}

/// Returns what workers of one kind share: name and command line without digits, because titles often number the workers.
fn kind(process: &ProcessCpu) -> String {
    let text = format!("{} {}", process.name, process.command);
    text.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// Returns Jain's fairness index of the workers' CPU times: 1 if all are equal, 1/n if one of n has all. `None` with
/// fewer than two workers or without CPU time.
#[must_use]
pub fn jain(seconds: &[f64]) -> Option<f64> {
    let squares: f64 = seconds.iter().map(|seconds| seconds * seconds).sum();
    if seconds.len() < 2 || squares <= 0.0 {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "a number of processes")]
    let count = seconds.len() as f64;
    Some(seconds.iter().sum::<f64>().powi(2) / (count * squares))
}

/// Returns CPU time and time ready to run of a thread, nanoseconds, from the text of its `schedstat`.
#[must_use]
pub fn schedstat(text: &str) -> Option<(u64, u64)> {
    let mut words = text.split_ascii_whitespace().map_while(|word| word.parse().ok());
    Some((words.next()?, words.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, parent: u32, command: &str, cpu_seconds: f64) -> ProcessCpu {
        ProcessCpu {
            pid,
            parent,
            name: "python".to_owned(),
            command: command.to_owned(),
            cpu_seconds,
            runnable_seconds: 0.0,
        }
    }

    fn shares(processes: &[ProcessCpu]) -> Vec<f64> {
        workers(processes).iter().map(|worker| worker.cpu_seconds).collect()
    }

    #[test]
    fn a_master_is_no_worker() {
        let gunicorn = [
            process(1, 0, "gunicorn", 0.02),
            process(7, 1, "gunicorn", 0.3),
            process(8, 1, "gunicorn", 0.7),
        ];
        assert_eq!(shares(&gunicorn), [0.7, 0.3]);
        // Of an idle worker too: it is the imbalance.
        let idle = [gunicorn[0].clone(), gunicorn[1].clone(), process(8, 1, "gunicorn", 0.0)];
        assert_eq!(shares(&idle), [0.3, 0.0]);
    }

    #[test]
    fn titles_with_numbers_are_one_kind_and_other_programs_are_none() {
        let uwsgi = [
            process(1, 0, "uWSGI master", 0.0),
            process(7, 1, "uWSGI worker 1", 0.6),
            process(8, 1, "uWSGI worker 2", 0.5),
            process(9, 1, "uWSGI http 1", 0.4),
        ];
        assert_eq!(shares(&uwsgi), [0.6, 0.5]);
        assert_eq!(
            shares(&[process(1, 0, "serve", 0.4), process(2, 1, "resource tracker", 0.1)]),
            [0.4]
        );
        assert!(workers(&[]).is_empty());
    }

    #[test]
    fn a_parent_that_works_is_a_worker() {
        let light = [process(1, 0, "uwsgi", 0.3), process(2, 1, "uwsgi", 0.7)];
        assert_eq!(shares(&light), [0.7, 0.3]);
        let heavy = [process(1, 0, "uwsgi", 0.7), process(2, 1, "uwsgi", 0.3)];
        assert_eq!(shares(&heavy), [0.7, 0.3]);
        assert_eq!(
            shares(&[process(1, 0, "uwsgi", 0.7), process(2, 1, "uwsgi", 0.01)]),
            [0.7]
        );
    }

    #[test]
    fn jain_of_known_shares() {
        let index = |seconds: &[f64]| jain(seconds).map(|index| (index * 1e3).round() / 1e3);
        assert_eq!(index(&[0.5, 0.5]), Some(1.0));
        assert_eq!(index(&[0.7, 0.3]), Some(0.862));
        assert_eq!(index(&[1.0, 0.0, 0.0, 0.0]), Some(0.25));
        assert_eq!((index(&[1.0]), index(&[0.0, 0.0]), index(&[])), (None, None, None));
    }

    #[test]
    fn schedstat_is_parsed() {
        assert_eq!(schedstat("90407 3704479 2\n"), Some((90_407, 3_704_479)));
        assert_eq!((schedstat("7"), schedstat("")), (None, None));
    }
}
