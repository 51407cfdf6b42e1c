//! Merges the figures of all workers into the result of a round.

use super::{
    super::{
        clock::seconds,
        error::LoadError,
        result::{Connections, ErrorKind, FailedCheck, RequestResult, RoundResult, Second, Users},
    },
    RequestTally, Tally,
};

/// Properties of the load that the figures do not contain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Circumstances<'a> {
    /// Failures by index of the check.
    pub(crate) check_names: &'a [String],
    /// Names of the requests that are recorded one by one, by index in the mix.
    pub(crate) request_names: &'a [String],
    /// The load is an arrival schedule of requests.
    pub(crate) open: bool,
    /// The load is users who arrive on a schedule.
    pub(crate) users: bool,
}

/// Merges the figures of all workers.
///
/// # Errors
/// [`LoadError::Accounting`] when a request was lost or counted twice.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub(crate) fn merge(tallies: Vec<Tally>, about: Circumstances<'_>) -> Result<RoundResult, LoadError> {
    let mut tallies = tallies.into_iter();
    let Some(mut sum) = tallies.next() else {
        return Err(LoadError::Accounting("no worker took part".into()));
    };
    for tally in tallies {
        add(&mut sum, tally);
    }
    let ns = sum.end.saturating_sub(sum.start);
    let length = seconds(ns);
    let errors: Vec<(ErrorKind, u64)> = ErrorKind::ALL
        .into_iter()
        .map(|kind| (kind, sum.errors[kind.index()]))
        .filter(|(_, count)| *count > 0)
        .collect();
    verify(&sum)?;
    let cpu = seconds(sum.cpu_ns);
    let spin = seconds(sum.spin_ns);
    let available = f64::from(sum.workers) * length;
    Ok(RoundResult {
        seconds: length,
        counts: sum.counts,
        errors,
        error_samples: sum.error_samples.clone(),
        failed_checks: failed_checks(&sum, about.check_names),
        requests: requests(sum.requests, about.request_names),
        response_time: sum.response,
        service_time: sum.service,
        connect_time: sum.connect,
        client_lag: sum.lag,
        queue_wait: sum.queue,
        bytes_sent: sum.bytes_sent,
        bytes_received: sum.bytes_received,
        connections: Connections {
            wanted: sum.wanted,
            established: sum.established,
            opened: sum.opened,
            served: sum.fairness.served,
            jain: sum.fairness.jain(),
        },
        users: about.users.then_some(Users {
            arrived: sum.users_arrived,
            finished: sum.users_finished,
            active: sum.users_active,
        }),
        offered_rate: about.open.then(|| {
            if length > 0.0 {
                sum.scheduled as f64 / length
            } else {
                0.0
            }
        }),
        series: sum
            .series
            .iter()
            .map(|part| Second {
                at: seconds(part.at),
                done: part.done,
                errors: part.errors,
                p50_ns: part.quantile(0.50),
                p99_ns: part.quantile(0.99),
                mean_ns: part.mean(),
                active: part.active,
            })
            .collect(),
        workers: sum.workers,
        engine_cpu_seconds: cpu,
        engine_spin_seconds: spin,
        engine_busy_share: if available > 0.0 {
            ((cpu - spin) / available).clamp(0.0, 1.0)
        } else {
            0.0
        },
        run_queue_delay_seconds: seconds(sum.delay_ns),
        steps: Vec::new(),
    })
}

/// Adds the figures of another worker.
pub(crate) fn add(sum: &mut Tally, other: Tally) {
    sum.workers += other.workers;
    sum.counts.merge(&other.counts);
    for (a, b) in sum.errors.iter_mut().zip(other.errors) {
        *a += b;
    }
    for (kind, reason) in other.error_samples {
        if !sum.error_samples.iter().any(|(known, _)| *known == kind) {
            sum.error_samples.push((kind, reason));
        }
    }
    for (a, b) in sum.failed_checks.iter_mut().zip(&other.failed_checks) {
        *a += b;
    }
    for (a, b) in sum.samples.iter_mut().zip(other.samples) {
        if a.is_none() {
            *a = b;
        }
    }
    sum.response.merge(&other.response);
    sum.service.merge(&other.service);
    sum.connect.merge(&other.connect);
    sum.lag.merge(&other.lag);
    sum.queue.merge(&other.queue);
    sum.bytes_sent += other.bytes_sent;
    sum.bytes_received += other.bytes_received;
    sum.wanted += other.wanted;
    sum.established += other.established;
    sum.opened += other.opened;
    sum.fairness.merge(&other.fairness);
    sum.scheduled += other.scheduled;
    sum.users_arrived += other.users_arrived;
    sum.users_finished += other.users_finished;
    sum.users_active += other.users_active;
    for (index, part) in other.series.into_iter().enumerate() {
        match sum.series.get_mut(index) {
            Some(known) => known.merge(&part),
            None => sum.series.push(part),
        }
    }
    sum.end = sum.end.max(other.end);
    sum.cpu_ns += other.cpu_ns;
    sum.spin_ns += other.spin_ns;
    sum.delay_ns += other.delay_ns;
    for (a, b) in sum.requests.iter_mut().zip(other.requests) {
        a.done += b.done;
        a.failed += b.failed;
        a.response.merge(&b.response);
    }
}

fn requests(tallies: Vec<RequestTally>, names: &[String]) -> Vec<RequestResult> {
    names
        .iter()
        .zip(tallies)
        .map(|(name, tally)| RequestResult {
            name: name.clone(),
            done: tally.done,
            failed: tally.failed,
            latency: tally.response,
        })
        .collect()
}

fn failed_checks(sum: &Tally, names: &[String]) -> Vec<FailedCheck> {
    let mut list: Vec<FailedCheck> = Vec::new();
    for ((name, count), sample) in names.iter().zip(&sum.failed_checks).zip(&sum.samples) {
        if *count == 0 {
            continue;
        }
        // Requests of one mix may share a check.
        let failed = FailedCheck {
            name: name.clone(),
            count: *count,
            sample: sample.clone().unwrap_or_default(),
        };
        failed.join(&mut list);
    }
    list
}

/// Checks that three independent counts agree: requests offered (counted when they begin), requests ended, and requests in
/// flight (counted over all connections at the end).
fn verify(sum: &Tally) -> Result<(), LoadError> {
    let counts = &sum.counts;
    if !counts.adds_up() {
        return Err(LoadError::Accounting(format!("{counts:?}")));
    }
    let failed: u64 = sum.errors.iter().sum();
    if failed != counts.failed {
        return Err(LoadError::Accounting(format!(
            "{failed} failures by kind, {} in all",
            counts.failed
        )));
    }
    if sum.response.histogram.len() != counts.done + counts.censored + counts.unsent {
        return Err(LoadError::Accounting(format!(
            "{} response times for {counts:?}",
            sum.response.histogram.len()
        )));
    }
    // Requests that were never sent are not assigned to a request of the mix.
    let of = |count: fn(&RequestTally) -> u64| sum.requests.iter().map(count).sum::<u64>();
    let by_request = (
        of(|r| r.done),
        of(|r| r.failed),
        of(|r| r.response.histogram.len()),
        of(|r| r.response.censored),
    );
    let in_all = (
        counts.done,
        counts.failed,
        counts.done + counts.censored,
        counts.censored,
    );
    if !sum.requests.is_empty() && by_request != in_all {
        return Err(LoadError::Accounting(format!(
            "{by_request:?} done, failed, timed and censored by request, {in_all:?} in all"
        )));
    }
    Ok(())
}
