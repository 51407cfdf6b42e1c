//! Samples the server's resource usage a few times a second during a round.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{sandbox::Usage, store::record::ServerSecond};

/// Sampling interval: short enough for the live display and a mean of memory, long enough to be cheap.
const TICK: Duration = Duration::from_millis(200);

/// Samples of a round.
#[derive(Clone, Debug, Default)]
pub(super) struct Samples {
    /// About one sample per second.
    pub(super) series: Vec<ServerSecond>,
    /// Mean of all memory samples, bytes; `None` without samples.
    pub(super) memory_mean: Option<u64>,
    /// Largest memory sample, bytes; `None` without samples.
    pub(super) memory_peak: Option<u64>,
}

impl Samples {
    /// Summarizes memory samples. A server without processes has a memory of 0, which is no measurement.
    pub(super) fn new(series: Vec<ServerSecond>, memory: impl Iterator<Item = u64>) -> Self {
        let memory: Vec<u64> = memory.filter(|bytes| *bytes > 0).collect();
        Self {
            series,
            memory_mean: memory.iter().sum::<u64>().checked_div(memory.len() as u64),
            memory_peak: memory.iter().copied().max(),
        }
    }
}

/// Usage at one sample, for the live display.
pub(super) struct Tick {
    pub(super) elapsed: Duration,
    pub(super) since_last: Duration,
    pub(super) server_cores: f64,
}

/// Samples `usage` until `done` is set; calls `tick` after each sample.
pub(super) fn sample(
    usage: impl Fn() -> Option<Usage>,
    done: &AtomicBool,
    result: &Mutex<Samples>,
    mut tick: impl FnMut(&Tick),
) {
    let start = Instant::now();
    let mut looks: Vec<(f64, Usage)> = Vec::new();
    let mut last_look = start;
    while !done.load(Ordering::Relaxed) {
        if let Some(now) = usage() {
            let cores = looks.last().map_or(0.0, |(at, before)| {
                cores(*at, before, start.elapsed().as_secs_f64(), &now)
            });
            looks.push((start.elapsed().as_secs_f64(), now));
            tick(&Tick {
                elapsed: start.elapsed(),
                since_last: last_look.elapsed(),
                server_cores: cores,
            });
            last_look = Instant::now();
        }
        std::thread::park_timeout(TICK);
    }
    *result.lock().unwrap_or_else(PoisonError::into_inner) = summarize(&looks);
}

fn cores(from: f64, before: &Usage, to: f64, after: &Usage) -> f64 {
    let seconds = to - from;
    if seconds <= 0.0 {
        return 0.0;
    }
    ((after.cpu_total_seconds - before.cpu_total_seconds) / seconds).max(0.0)
}

/// Summarizes samples: seconds since the start of the round, and the usage.
pub(super) fn summarize(looks: &[(f64, Usage)]) -> Samples {
    let mut series = Vec::new();
    let mut from = 0;
    for (i, (at, usage)) in looks.iter().enumerate() {
        let (start, before) = &looks[from];
        if i > from && (at - start >= 0.95 || i + 1 == looks.len()) {
            series.push(ServerSecond {
                at: *start,
                cpu_cores: cores(*start, before, *at, usage),
                memory_bytes: usage.memory_bytes,
            });
            from = i;
        }
    }
    Samples::new(series, looks.iter().map(|(_, usage)| usage.memory_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_summarized_per_second() {
        let looks: Vec<(f64, Usage)> = (0..=10_u32)
            .map(|i| {
                let usage = Usage {
                    cpu_total_seconds: f64::from(i) * 0.1,
                    memory_bytes: u64::from(i) * 10,
                    ..Usage::default()
                };
                (f64::from(i) * 0.2, usage)
            })
            .collect();
        let samples = summarize(&looks);
        assert_eq!(samples.series.len(), 2);
        assert!((samples.series[0].cpu_cores - 0.5).abs() < 1e-9);
        assert_eq!(samples.memory_peak, Some(100));
        assert_eq!(samples.memory_mean, Some(55));
        assert!(summarize(&[]).series.is_empty());
    }
}
