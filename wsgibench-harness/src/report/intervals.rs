//! Intervals within a round, aggregated from its seconds.

use super::units::float;
use crate::{declare::Profile, store::record::RoundRecord};

/// Minimum length of a second, in case the round ends within it, to compute a rate.
const LEAST: f64 = 0.25;

/// One interval of a round.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StatisticsInterval {
    /// Start in the round, seconds.
    pub at: f64,
    /// Length, seconds; the last one of a round may be shorter.
    pub seconds: f64,
    /// Responses.
    pub done: u64,
    /// Failed or timed-out requests.
    pub errors: u64,
    /// Mean response time, ns; `None` without responses.
    pub mean_ns: Option<f64>,
    /// 99th percentile, ns; only for one-second intervals, as percentiles cannot be averaged.
    pub p99_ns: Option<f64>,
    /// Users or connections active at its end.
    pub active: u64,
    /// Server CPU cores in use; `None` if not sampled.
    pub cores: Option<f64>,
    /// Mean memory of the server over the samples, bytes.
    pub memory: Option<f64>,
    /// Mean depth of the accept queue, connections.
    pub queue: Option<f64>,
    looks: u32,
    queue_looks: u32,
    timed: u64,
}

impl StatisticsInterval {
    /// Returns responses per second; `None` if the interval is too short.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        (self.seconds >= LEAST).then(|| float(self.done) / self.seconds)
    }
}

/// Returns the interval length that a profile requests, whole seconds; `None` if it requests none.
#[must_use]
pub fn wanted(profile: &Profile) -> Option<u32> {
    let every = profile.statistics_interval?;
    Some(u32::try_from(every.as_secs()).unwrap_or(u32::MAX).max(1))
}

/// Splits a round into intervals of `every` seconds (at least 1).
#[must_use]
pub fn of_round(round: &RoundRecord, every: u32) -> Vec<StatisticsInterval> {
    let every = every.max(1);
    let mut all: Vec<StatisticsInterval> = Vec::new();
    for second in round.load.series.iter().filter(|s| s.at.is_finite() && s.at >= 0.0) {
        let part = place(&mut all, second.at, every);
        // The last second ends with the round.
        part.seconds += (round.load.seconds - second.at).clamp(0.0, 1.0);
        part.done += second.done;
        part.errors += second.errors;
        part.active = second.active;
        if second.done > 0 && second.mean_ns > 0 {
            let sum = part.mean_ns.unwrap_or(0.0) * float(part.timed) + float(second.mean_ns) * float(second.done);
            part.timed += second.done;
            part.mean_ns = Some(sum / float(part.timed));
            part.p99_ns = (every == 1).then(|| float(second.p99_ns));
        }
    }
    for look in round.server_series.iter().filter(|s| s.at.is_finite() && s.at >= 0.0) {
        let part = place(&mut all, look.at, every);
        let (count, next) = (f64::from(part.looks), f64::from(part.looks) + 1.0);
        let mean = |known: Option<f64>, value: f64| Some(known.map_or(value, |k| (k * count + value) / next));
        part.cores = mean(part.cores, look.cpu_cores);
        if look.memory_bytes > 0 {
            part.memory = mean(part.memory, float(look.memory_bytes));
        }
        part.looks += 1;
    }
    let queue = round.waits.as_ref().and_then(|waits| waits.accept_queue.as_ref());
    for second in queue.iter().flat_map(|queue| &queue.series) {
        if second.at.is_finite() && second.at >= 0.0 {
            let part = place(&mut all, second.at, every);
            let count = f64::from(part.queue_looks);
            part.queue = Some((part.queue.unwrap_or(0.0) * count + second.mean) / (count + 1.0));
            part.queue_looks += 1;
        }
    }
    all
}

/// Returns the interval of the second that starts near `at`, creating earlier ones so that gaps stay visible.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "seconds of a round: finite and not negative, checked by the caller"
)]
fn place(all: &mut Vec<StatisticsInterval>, at: f64, every: u32) -> &mut StatisticsInterval {
    // Start times vary slightly: 9.9998 is second 10.
    let slot = (at.round() as usize).min(LONGEST) / every as usize;
    while all.len() <= slot {
        let start = super::units::float_len(all.len()) * f64::from(every);
        all.push(StatisticsInterval {
            at: start,
            ..StatisticsInterval::default()
        });
    }
    &mut all[slot]
}

/// Maximum accepted round length in seconds, so that a damaged record cannot exhaust memory.
const LONGEST: usize = 7 * 24 * 3_600;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        load::{RoundResult, Second},
        store::record::ServerSecond,
    };

    fn round() -> RoundRecord {
        let second = |at: u32, done: u64, mean_ns: u64| {
            let mut second = Second::default();
            second.at = f64::from(at) + 1e-4;
            second.done = done;
            second.mean_ns = mean_ns;
            second.p99_ns = mean_ns * 3;
            second.errors = 1;
            second.active = u64::from(at);
            second.p50_ns = mean_ns;
            second
        };
        let look = |at: u32, cores: f64| ServerSecond {
            at: f64::from(at) - 1e-4,
            cpu_cores: cores,
            memory_bytes: 100,
        };
        let mut load = RoundResult::default();
        load.seconds = 4.5;
        load.series = vec![
            second(0, 10, 100),
            second(1, 30, 200),
            second(2, 0, 0),
            second(3, 20, 50),
            second(4, 5, 40),
        ];
        RoundRecord {
            load,
            server_series: vec![look(1, 0.5), look(2, 1.0), look(3, 2.0)],
            ..serde_json::from_value(serde_json::json!({
                "index": 0, "load": serde_json::to_value(RoundResult::default()).unwrap(),
                "server_cpu_user_seconds": 0.0, "server_cpu_system_seconds": 0.0, "server_cpu_seconds": 0.0,
                "throttled_seconds": 0.0, "memory_mean_bytes": 0, "memory_peak_bytes": 0, "server_series": [],
                "metrics": {}, "validity": {"level": "valid", "findings": []}
            }))
            .unwrap()
        }
    }

    #[test]
    fn means_weigh_responses_and_rates_weigh_time() {
        let parts = of_round(&round(), 2);
        assert_eq!(parts.len(), 3);
        assert_eq!((parts[0].done, parts[0].errors, parts[0].active), (40, 2, 1));
        assert!((parts[0].mean_ns.unwrap() - 175.0).abs() < 1e-9, "{parts:?}");
        assert_eq!(parts[0].p99_ns, None, "a percentile of two seconds is not known");
        assert!((parts[0].rate().unwrap() - 20.0).abs() < 1e-3);
        assert!((parts[1].cores.unwrap() - 1.5).abs() < 1e-9);
        // The last interval is half a second long, and its rate is per second of that half.
        assert!((parts[2].rate().unwrap() - 10.0).abs() < 1e-2, "{:?}", parts[2]);
    }

    #[test]
    fn empty_seconds_have_no_mean_and_unsampled_metrics_no_value() {
        let parts = of_round(&round(), 1);
        assert_eq!((parts[2].mean_ns, parts[2].rate().map(f64::round)), (None, Some(0.0)));
        assert_eq!((parts[0].cores, parts[0].memory), (None, None));
        assert_eq!(parts[3].p99_ns, Some(150.0));
        assert!(
            of_round(
                &RoundRecord {
                    load: RoundResult::default(),
                    server_series: vec![],
                    ..round()
                },
                1
            )
            .is_empty()
        );
    }
}
