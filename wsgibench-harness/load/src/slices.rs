//! Joins the slices of a round, between which another server was loaded.

use super::result::{Connections, Latency, RequestResult, RoundResult, Second};

/// Joins the slices of one round of closed loops; `None` without slices. Time between slices is excluded from all figures,
/// including the series.
#[must_use]
pub fn join(slices: &[RoundResult]) -> Option<RoundResult> {
    let (first, rest) = slices.split_first()?;
    let mut round = first.clone();
    for slice in rest {
        add(&mut round, slice);
    }
    let share = |of: fn(&RoundResult) -> f64| {
        let whole: f64 = slices.iter().map(|slice| of(slice) * slice.seconds).sum();
        if round.seconds > 0.0 {
            whole / round.seconds
        } else {
            0.0
        }
    };
    round.engine_busy_share = share(|slice| slice.engine_busy_share);
    round.connections.jain = share(|slice| slice.connections.jain);
    round.series = series(slices);
    Some(round)
}

fn add(round: &mut RoundResult, slice: &RoundResult) {
    round.seconds += slice.seconds;
    round.counts.merge(&slice.counts);
    for (kind, count) in &slice.errors {
        match round.errors.iter_mut().find(|(known, _)| known == kind) {
            Some((_, known)) => *known += count,
            None => round.errors.push((*kind, *count)),
        }
    }
    for check in &slice.failed_checks {
        check.clone().join(&mut round.failed_checks);
    }
    RequestResult::join(&mut round.requests, &slice.requests);
    round.response_time.merge(&slice.response_time);
    round.service_time.merge(&slice.service_time);
    round.connect_time.merge(&slice.connect_time);
    round.client_lag.merge(&slice.client_lag);
    round.queue_wait.merge(&slice.queue_wait);
    round.bytes_sent += slice.bytes_sent;
    round.bytes_received += slice.bytes_received;
    round.connections = connections(&round.connections, &slice.connections);
    round.engine_cpu_seconds += slice.engine_cpu_seconds;
    round.engine_spin_seconds += slice.engine_spin_seconds;
    round.run_queue_delay_seconds += slice.run_queue_delay_seconds;
}

/// Combines counts of connections. The same connections serve every slice, so only openings are summed; of the others the
/// maximum is taken.
fn connections(a: &Connections, b: &Connections) -> Connections {
    Connections {
        wanted: a.wanted.max(b.wanted),
        established: a.established.max(b.established),
        opened: a.opened + b.opened,
        served: a.served.max(b.served),
        jain: a.jain,
    }
}

/// Returns a series in seconds of load, each from as many slices as fill it.
fn series(slices: &[RoundResult]) -> Vec<Second> {
    let mut seconds = Vec::new();
    let (mut at, mut length) = (0.0, 0.0);
    let mut second = Second::default();
    let mut response = Latency::new();
    for (index, slice) in slices.iter().enumerate() {
        length += slice.seconds;
        response.merge(&slice.response_time);
        for part in &slice.series {
            second.done += part.done;
            second.errors += part.errors;
            second.active = part.active;
        }
        if length < 1.0 - slice.seconds / 2.0 && index + 1 < slices.len() {
            continue;
        }
        let quantile = |q| response.histogram.value_at_quantile(q);
        seconds.push(Second {
            at,
            p50_ns: quantile(0.50),
            p99_ns: quantile(0.99),
            mean_ns: mean(&response),
            ..second
        });
        at += length;
        length = 0.0;
        second = Second::default();
        response = Latency::new();
    }
    seconds
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a mean of nanoseconds up to an hour"
)]
fn mean(latency: &Latency) -> u64 {
    latency.histogram.mean() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Counts, ErrorKind};

    fn slice(done: u64, failed: u64, response_ns: u64) -> RoundResult {
        let mut response_time = Latency::new();
        response_time
            .histogram
            .record_n(response_ns, done)
            .expect("within the bounds");
        RoundResult {
            seconds: 0.25,
            counts: Counts {
                offered: done + failed,
                done,
                failed,
                ..Counts::default()
            },
            errors: vec![(ErrorKind::Status, failed)],
            response_time,
            connections: Connections {
                wanted: 8,
                established: 8,
                opened: 1,
                served: 8,
                jain: 0.5,
            },
            series: vec![Second {
                done,
                errors: failed,
                active: 8,
                ..Second::default()
            }],
            engine_cpu_seconds: 0.1,
            engine_busy_share: 0.4,
            ..RoundResult::default()
        }
    }

    #[test]
    fn joined_slices_sum_requests_but_not_connections() {
        let round = join(&[slice(100, 1, 1_000), slice(50, 0, 3_000), slice(10, 2, 3_000)]).expect("slices");
        assert_eq!((round.counts.done, round.counts.failed), (160, 3));
        assert!(round.counts.adds_up());
        assert_eq!(round.errors, [(ErrorKind::Status, 3)]);
        assert_eq!(round.response_time.histogram.len(), 160);
        assert_eq!((round.connections.wanted, round.connections.opened), (8, 3));
        assert!((round.seconds - 0.75).abs() < 1e-12);
        assert!((round.engine_cpu_seconds - 0.3).abs() < 1e-12);
        assert!((round.engine_busy_share - 0.4).abs() < 1e-12);
        assert!((round.connections.jain - 0.5).abs() < 1e-12);
    }

    #[test]
    fn joined_series_has_seconds_of_load() {
        let slices: Vec<RoundResult> = (1..=6).map(|n| slice(n, 0, n * 1_000)).collect();
        let series = join(&slices).expect("slices").series;
        let figures: Vec<(f64, u64)> = series.iter().map(|second| (second.at, second.done)).collect();
        assert_eq!(figures, [(0.0, 1 + 2 + 3 + 4), (1.0, 5 + 6)]);
        assert_eq!(series[1].active, 8);
    }

    #[test]
    fn joining_no_slices_gives_none() {
        assert!(join(&[]).is_none());
    }
}
