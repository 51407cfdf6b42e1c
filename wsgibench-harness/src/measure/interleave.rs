//! Loads two launches of one case alternately in slices of a tenth of a second, so that both see the same machine speed.
//!
//! A shared machine changes its speed within tenths of a second: the same loop of arithmetic took between 28 and 59 us on the
//! virtual machine that this was written for. Of two rounds of 0.6 s one after the other, the logarithm of the ratio had a
//! standard deviation of 15 %; with alternating slices of 0.1 s, 6.7 %. The arms are never loaded at the same time: the
//! inactive arm has answered all its requests and is idle.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{
    cpu_accounting::{Account, UsageSnapshot, busiest},
    environment,
    event::Event,
    job::{Ready, Timing},
    launch::{LaunchContext, LaunchFailure, Opened, finish, nothing_answered},
    process_cpu::ProcessCpu,
    sampler::Samples,
    wait_observer::{self, Observed, Observer, Signals},
};
use crate::{
    declare::Work,
    load::{Edge, Model, RoundResult, slices},
    sandbox::Launch,
    store::record::RoundRecord,
};

/// The shortest slice.
const SLICE: Duration = Duration::from_millis(100);

/// Minimum number of responses of each connection in a slice, because the server is not saturated during the first and last.
const ANSWERS: f64 = 10.0;

/// One of the two arms.
pub(super) struct Arm<'a> {
    pub(super) ready: &'a Ready,
    pub(super) launch: &'a Launch,
    pub(super) opened: Opened<'a>,
}

/// Returns whether a load can be paused. Closed loops can; arrival schedules and scripts cannot.
pub(super) fn is_possible(a: &Work, b: &Work) -> bool {
    let rests = |work: &Work| {
        let load = work.load();
        work.script().is_none()
            && matches!(load.model, Model::Closed { .. })
            && load.faults.is_empty()
            && load.background_clients.is_empty()
            && load.measurement_time.is_none()
    };
    rests(a) && rests(b)
}

/// Warms up both arms and measures all their rounds; returns the failure of each arm that ended early.
pub(super) fn run(
    context: &LaunchContext,
    mut arms: [Arm<'_>; 2],
    keep: &mut dyn FnMut(usize, RoundRecord) -> Result<(), LaunchFailure>,
) -> [Result<(), LaunchFailure>; 2] {
    let watches = [arms[0].opened.driver.watch(), arms[1].opened.driver.watch()];
    context.interrupt.on_first(Some(Box::new(move || {
        for watch in &watches {
            watch.cancel();
        }
    })));
    let outcome = rounds(context, &mut arms, keep);
    context.interrupt.on_first(None);
    let mut outcomes = match outcome {
        Ok(()) => [Ok(()), Ok(())],
        Err((0, failure)) => [Err(failure), Ok(())],
        Err((_, failure)) => [Ok(()), Err(failure)],
    };
    for (arm, outcome) in arms.into_iter().zip(&mut outcomes) {
        let so_far = std::mem::replace(outcome, Ok(()));
        *outcome = finish(arm.opened.driver, so_far);
    }
    outcomes
}

fn rounds(
    context: &LaunchContext,
    arms: &mut [Arm<'_>; 2],
    keep: &mut dyn FnMut(usize, RoundRecord) -> Result<(), LaunchFailure>,
) -> Result<(), (usize, LaunchFailure)> {
    let timing = arms[0].opened.timing;
    let servers: Vec<Observed> = arms.iter_mut().filter_map(|arm| arm.opened.observed.take()).collect();
    let mut observer = context.observer(servers, timing.rounds);
    let mut rates = [0.0; 2];
    for (index, arm) in arms.iter_mut().enumerate() {
        rates[index] = warm_up(context, arm, timing).map_err(|failure| (index, failure))?;
    }
    let connections = arms.iter().map(|arm| connections(&arm.ready.job.case.work)).max();
    let number = slices_of(timing.round, connections.unwrap_or(1), rates[0].min(rates[1]));
    for index in 0..timing.rounds {
        let Some(records) = round(context, &mut observer, arms, index, timing.round, number)? else {
            return Ok(());
        };
        for (arm, record) in records.into_iter().enumerate() {
            let nothing = record.load.counts.done == 0;
            keep(arm, record).map_err(|failure| (arm, failure))?;
            if nothing {
                return Err((
                    arm,
                    LaunchFailure::Other(nothing_answered(&arms[arm].ready.job.case.work)),
                ));
            }
        }
    }
    Ok(())
}

/// Returns the rate in responses per second, 0 if unknown.
#[expect(clippy::cast_precision_loss, reason = "answers of a warm-up are far below 2^52")]
fn warm_up(context: &LaunchContext, arm: &mut Arm<'_>, timing: Timing) -> Result<f64, LaunchFailure> {
    if timing.warm_up.is_zero() || context.interrupt.asked() {
        return Ok(0.0);
    }
    (context.emit)(Event::WarmingUp {
        case: arm.ready.job.case.id.clone(),
    });
    let warmed = arm.opened.driver.slice_observed(timing.warm_up, &mut |_| {})?;
    if !arm.launch.is_alive() {
        return Err(LaunchFailure::Died);
    }
    Ok(warmed.counts.done as f64 / warmed.seconds.max(1e-9))
}

fn connections(work: &Work) -> usize {
    match work.load().model {
        Model::Closed { connections } => connections,
        Model::Open { .. } | Model::Users { .. } => 1,
    }
}

/// Returns the number of slices in each arm's round: even, so that both arms come first equally often.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a small positive number of slices; a float cast saturates"
)]
fn slices_of(round: Duration, connections: usize, rate: f64) -> u32 {
    let answers = if rate > 0.0 {
        ANSWERS * connections as f64 / rate
    } else {
        0.0
    };
    let slice = SLICE.as_secs_f64().max(answers);
    let pairs = (round.as_secs_f64() / slice / 2.0) as u32;
    2 * pairs.max(1)
}

/// The accumulated results of one arm.
#[derive(Default)]
struct Part {
    slices: Vec<RoundResult>,
    account: Option<Account>,
    memory: Vec<u64>,
}

/// Measures one round of both arms. Returns `None` if the user interrupted it, since a partial round is discarded.
fn round(
    context: &LaunchContext,
    observer: &mut Observer,
    arms: &mut [Arm<'_>; 2],
    index: u32,
    length: Duration,
    number: u32,
) -> Result<Option<[RoundRecord; 2]>, (usize, LaunchFailure)> {
    let mut parts = [Part::default(), Part::default()];
    let programs = ProcessCpu::now();
    let (begun, ticks) = (Instant::now(), environment::cpu_ticks(&context.order.load_cpus));
    let signals = Signals::default();
    let is_observed = observer.begin(length * 2);
    let mut waits = Vec::new();
    let whole = thread::scope(|scope| {
        let observing = is_observed.then(|| scope.spawn(|| observer.observe(&signals)));
        let mut slices = || {
            for turn in 0..number {
                // Order A B, B A, A B: drift affects both arms equally.
                for arm in if turn % 2 == 0 { [0, 1] } else { [1, 0] } {
                    let edge = |edge| match edge {
                        Edge::Start => signals.loaded(arm),
                        Edge::End => signals.idle(),
                    };
                    slice(context, &mut arms[arm], &mut parts[arm], length / number, &edge)
                        .map_err(|failure| (arm, failure))?;
                    if context.interrupt.asked() {
                        return Ok(false);
                    }
                    tell(context, &arms[arm], &parts[arm], begun.elapsed(), length * 2);
                }
            }
            Ok(true)
        };
        let whole = slices();
        waits = wait_observer::finish(&signals, observing);
        whole
    });
    if !whole? {
        return Ok(None);
    }
    let ticks = [ticks, environment::cpu_ticks(&context.order.load_cpus)];
    let busy = busiest(&programs, context.order);
    let engine: f64 = parts
        .iter()
        .flat_map(|part| &part.slices)
        .map(|s| s.engine_cpu_seconds)
        .sum();
    let wall = begun.elapsed().as_secs_f64();
    let [first, second] = parts.map(|part| Part {
        account: part
            .account
            .map(|account| account.with_machine_load(ticks, engine, wall, &busy, context.order)),
        ..part
    });
    let mut records = [
        record(context, &arms[0], first, index),
        record(context, &arms[1], second, index),
    ];
    for (record, waits) in records.iter_mut().zip(waits) {
        record.waits = Some(Box::new(waits));
    }
    Ok(Some(records))
}

/// Loads an arm for the length of a slice; calls `at_edge` within the load.
fn slice(
    context: &LaunchContext,
    arm: &mut Arm<'_>,
    part: &mut Part,
    length: Duration,
    at_edge: &dyn Fn(Edge),
) -> Result<(), LaunchFailure> {
    let mut edges = (None, None);
    let launch = arm.launch;
    let slice = arm.opened.driver.slice_observed(length, &mut |edge| match edge {
        Edge::Start => {
            edges.0 = Some(UsageSnapshot::at(launch, context.order));
            at_edge(edge);
        }
        Edge::End => {
            at_edge(edge);
            edges.1 = Some(UsageSnapshot::at(launch, context.order));
        }
    })?;
    if !launch.is_alive() {
        return Err(LaunchFailure::Died);
    }
    part.slices.push(slice);
    if let (Some(before), Some(after)) = edges {
        part.memory.extend(after.usage.map(|usage| usage.memory_bytes));
        let account = Account::between(&before, &after);
        match &mut part.account {
            Some(sum) => sum.add(account),
            None => part.account = Some(account),
        }
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "answers of a slice are far below 2^52")]
fn tell(context: &LaunchContext, arm: &Arm<'_>, part: &Part, elapsed: Duration, of: Duration) {
    let Some(last) = part.slices.last() else { return };
    let failed = |slice: &RoundResult| slice.counts.failed + slice.counts.timed_out;
    let cpu = part.account.as_ref().and_then(|account| account.cpu);
    let loaded: f64 = part.slices.iter().map(|slice| slice.seconds).sum();
    (context.emit)(Event::Live {
        case: arm.ready.job.case.id.clone(),
        elapsed,
        of,
        requests_per_second: last.counts.done as f64 / last.seconds.max(1e-9),
        p99_ns: last.response_time.quantile(0.99).ns,
        errors: part.slices.iter().map(failed).sum(),
        server_cores: cpu.map_or(0.0, |cpu| cpu.total / loaded.max(1e-9)),
    });
}

fn record(context: &LaunchContext, arm: &Arm<'_>, part: Part, index: u32) -> RoundRecord {
    let load = slices::join(&part.slices).unwrap_or_default();
    let samples = Samples::new(Vec::new(), part.memory.into_iter());
    context.record(
        index,
        load,
        part.account.unwrap_or_default(),
        samples,
        arm.launch.address(),
        arm.ready,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_short_even_in_number_and_long_enough_for_the_server() {
        let second = Duration::from_secs(1);
        assert_eq!(slices_of(second, 64, 10_000.0), 10);
        assert_eq!(slices_of(second, 64, 0.0), 10);
        // 64 connections at 2,000 a second: ten answers of each take 0.32 s.
        assert_eq!(slices_of(second, 64, 2_000.0), 2);
        assert_eq!(slices_of(second * 5, 64, 2_000.0), 14);
        assert_eq!(slices_of(second, 1_000, 10.0), 2);
        assert_eq!(slices_of(Duration::from_millis(50), 1, 1e6), 2);
    }
}
