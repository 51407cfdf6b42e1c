//! Counts per request of one case, for all reports.

use std::collections::BTreeMap;

use crate::{
    counts::{
        attribution::Attribution,
        decision,
        syscalls::{CLOCK_READS, THREAD_WAITS},
    },
    stats::{
        Metric,
        sample::{mean, spread},
    },
    store::record::CaseRecord,
};

/// Most system calls that a report names.
const NAMED_CALLS: usize = 8;

/// A metric's mean over the launches of a case.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Count {
    /// Metric.
    pub metric: Metric,
    /// Mean.
    pub mean: f64,
    /// Standard deviation of the logarithm between launches; `None` for one launch or a count of 0.
    pub spread: Option<f64>,
}

/// Counts of one case.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CountFigures {
    /// Launches.
    pub launches: usize,
    /// Requests of the large window.
    pub requests: u64,
    /// The metrics that were counted.
    pub counts: Vec<Count>,
    /// Bytes sent and received per request.
    pub bytes: (f64, f64),
    /// System calls per request by name, most frequent first.
    pub calls: Vec<(String, f64)>,
    /// Instructions per second that no request causes.
    pub background: f64,
    /// Processes that executed instructions.
    pub processes: usize,
    /// Why the instructions cannot be counted.
    pub cannot: Option<String>,
}

impl CountFigures {
    /// Computes the counts of one arm; `None` if the case was not counted.
    #[must_use]
    pub fn of_arm(case: &CaseRecord, arm: &str) -> Option<Self> {
        let rounds = case.of_arm(arm).flat_map(|launch| &launch.rounds);
        let counted: Vec<_> = rounds
            .filter_map(|round| Some((round, round.counts.as_deref()?)))
            .collect();
        let (_, first) = counted.first()?;
        let values = |metric: Metric| -> Vec<f64> {
            let values = counted.iter().filter_map(|(round, _)| round.metrics.get(metric.id()));
            values.copied().collect()
        };
        let counts = Metric::COUNTS
            .into_iter()
            .map(|metric| (metric, values(metric)))
            .filter(|(_, values)| !values.is_empty())
            .map(|(metric, values)| Count {
                metric,
                mean: mean(&values),
                spread: spread(&values),
            });
        let named: BTreeMap<String, f64> = counted
            .iter()
            .map(|(_, record)| &record.system_calls_by_name)
            .find(|names| !names.is_empty())
            .cloned()
            .unwrap_or_default();
        let mut calls: Vec<(String, f64)> = named.into_iter().collect();
        calls.sort_by(|a, b| b.1.total_cmp(&a.1));
        Some(Self {
            launches: counted.len(),
            requests: first.requests[1],
            counts: counts.collect(),
            bytes: (first.bytes_sent, first.bytes_received),
            calls,
            background: first.background_instructions_per_second,
            processes: first.processes,
            cannot: decision::cannot_be_counted(&values(Metric::InstructionsPerRequest)),
        })
    }

    /// Formats `clock_gettime 3.0, recvfrom 1.0` of the most frequent system calls; `None` if none was traced.
    #[must_use]
    pub fn calls_line(&self) -> Option<String> {
        let named: Vec<String> = self
            .calls
            .iter()
            .take(NAMED_CALLS)
            .map(|(name, calls)| format!("{name} {calls:.1}"))
            .collect();
        (!named.is_empty()).then(|| named.join(", "))
    }

    /// Calls per request that `syscalls_per_request` leaves out: clock reads, and waits of threads for each other.
    #[must_use]
    pub fn left_out(&self) -> [f64; 2] {
        [&CLOCK_READS[..], &THREAD_WAITS[..]].map(|names| {
            let calls = self.calls.iter().filter(|(name, _)| names.contains(&name.as_str()));
            calls.map(|(_, calls)| calls).sum::<f64>().max(0.0)
        })
    }
}

/// Formats the rows of an attribution table: name, file, base, candidate, change.
#[must_use]
pub fn attribution_rows(attribution: &Attribution) -> Vec<[String; 5]> {
    let libraries = attribution
        .libraries
        .iter()
        .map(|change| (format!("all of {}", change.file), change));
    let functions = attribution
        .functions
        .iter()
        .map(|change| (change.function.clone(), change));
    libraries
        .take(4)
        .chain(functions)
        .map(|(name, change)| {
            [
                name,
                change.file.clone(),
                super::units::count(change.base),
                super::units::count(change.candidate),
                format!("{:+.0}", change.change),
            ]
        })
        .collect()
}
