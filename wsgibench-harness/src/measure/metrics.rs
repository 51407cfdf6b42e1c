//! Metrics of a round, by the ids of `stats::metric`.

use std::collections::BTreeMap;

use crate::load::{Counts, RoundResult};

/// Returns the figures of one round by metric id: times in microseconds, memory in bytes, rates per second, shares from 0
/// to 1. A figure that was not measured is absent, never zero.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "counts and bytes of one round are far below 2^52"
)]
pub(super) fn of_round(
    load: &RoundResult,
    server_cpu_seconds: Option<f64>,
    memory_peak: Option<u64>,
) -> BTreeMap<String, f64> {
    let mut metrics = BTreeMap::new();
    let mut put = |name: &str, value: f64| {
        if value.is_finite() {
            metrics.insert(name.to_owned(), value);
        }
    };
    let done = load.counts.done as f64;
    put("error_share", error_share(&load.counts));
    if load.counts.done > 0 && load.seconds > 0.0 {
        put("throughput", done / load.seconds);
        put("time_per_request", load.seconds * 1e6 / done);
        if let Some(cpu) = server_cpu_seconds.filter(|cpu| *cpu > 0.0) {
            put("cpu_per_request", cpu * 1e6 / done);
        }
        for (name, q) in [
            ("p50", 0.50),
            ("p90", 0.90),
            ("p99", 0.99),
            ("p999", 0.999),
            ("max", 1.0),
        ] {
            put(name, load.response_time.quantile(q).ns as f64 / 1e3);
        }
    }
    if let Some(memory_peak) = memory_peak {
        put("peak_memory", memory_peak as f64);
    }
    metrics
}

/// Returns failed and timed-out requests as a share of all completed ones.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts of one round are far below 2^52")]
pub(super) fn error_share(counts: &Counts) -> f64 {
    let bad = counts.failed + counts.timed_out;
    let ended = counts.done + bad;
    if ended == 0 { 0.0 } else { bad as f64 / ended as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_errors_and_requests_in_flight_are_not_counted() {
        let mut counts = Counts::default();
        counts.offered = 110;
        counts.done = 90;
        counts.failed = 5;
        counts.censored = 15;
        counts.timed_out = 5;
        assert!((error_share(&counts) - 0.1).abs() < 1e-12);
        assert!(error_share(&Counts::default()).abs() < 1e-12);
    }
}
