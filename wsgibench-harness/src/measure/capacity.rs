//! Searches for a server's capacity, the highest rate it sustains, before a load whose rates are shares of it.

use std::time::Duration;

use super::{interrupt::Interrupt, launch::LaunchFailure, metrics, thresholds::of_request};
use crate::{
    load::{Load, LoadPlan, Model, RoundResult, Session, Stage},
    stats::{Metric, Threshold},
};

/// Connections of the closed loop that gives the first estimate.
const CONNECTIONS: usize = 64;
/// Warm-up and length of that loop, and of each probe.
const GUESS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(1));
const PROBE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(1));
/// Number of probes; narrows the last interval to a few percent of the rate.
const PROBES: u32 = 6;
/// Number of probes within thresholds, which may be met at low rates only.
const PROBES_WITHIN: u32 = 9;
/// A rate is sustained if at least this share of the due requests is answered before the probe ends,
const ANSWERED: f64 = 0.98;
/// and 99 % of them within this time: the wait at the end of a second at 10 % above the capacity.
const LATENCY_LIMIT: Duration = Duration::from_millis(100);
/// Capacity assumed in a trial, which measures nothing.
const TRIAL: f64 = 100.0;

/// Returns the longest duration of a search, within thresholds or without.
pub(super) fn time(within: bool) -> Duration {
    GUESS.0 + GUESS.1 + (PROBE.0 + PROBE.1) * if within { PROBES_WITHIN } else { PROBES }
}

/// Returns whether a threshold limits the rate that a search finds.
#[must_use]
pub(super) fn limits(threshold: &Threshold) -> bool {
    matches!(threshold.metric, Metric::P50 | Metric::P99 | Metric::ErrorShare)
}

/// Returns the load with its rates in requests per second, and the capacity that they are shares of; other loads are unchanged.
/// The capacity is also within the load's thresholds of latency and errors, if `within` says so.
///
/// # Errors
/// Returns an error if the engine fails or no rate is sustained; [`LaunchFailure::Interrupted`] after Ctrl-C.
pub(super) fn resolve(
    plan: &LoadPlan,
    trial: bool,
    within: bool,
    interrupt: &Interrupt,
) -> Result<(Load, Option<f64>), LaunchFailure> {
    if !plan.load.of_capacity {
        return Ok((plan.load.clone(), None));
    }
    let capacity = if trial { TRIAL } else { find(plan, within, interrupt)? };
    Ok((scaled(&plan.load, capacity), Some(capacity)))
}

fn scaled(load: &Load, capacity: f64) -> Load {
    let mut load = load.clone();
    if let Model::Open { stages, .. } = &mut load.model {
        for stage in stages {
            stage.from *= capacity;
            stage.to *= capacity;
        }
    }
    load.of_capacity = false;
    load
}

fn find(asked: &LoadPlan, within: bool, interrupt: &Interrupt) -> Result<f64, LaunchFailure> {
    let load = &asked.load;
    let like = |model: Model| {
        let mut like = Load::new(model);
        like.requests.clone_from(&load.requests);
        like.keep_alive = load.keep_alive;
        like.timeout = load.timeout;
        like
    };
    let probe = |load: Load, (warm_up, length): (Duration, Duration)| -> Result<RoundResult, LaunchFailure> {
        let mut plan = asked.clone();
        plan.load = load;
        plan.warm_up = warm_up;
        plan.rounds = 1;
        plan.measurement_time = length;
        let mut session = Session::start(&plan)?;
        let canceller = session.watch();
        interrupt.on_first(Some(Box::new(move || canceller.cancel())));
        let result = (|| {
            if interrupt.asked() {
                return Err(LaunchFailure::Interrupted);
            }
            session.warm_up(warm_up)?;
            Ok(session.round(length)?)
        })();
        interrupt.on_first(None);
        let result = result?;
        session.finish()?;
        if interrupt.asked() {
            return Err(LaunchFailure::Interrupted);
        }
        Ok(result)
    };
    let closed = probe(
        like(Model::Closed {
            connections: CONNECTIONS,
        }),
        GUESS,
    )?;
    #[expect(clippy::cast_precision_loss, reason = "requests of a second")]
    let guess = closed.counts.done as f64 / closed.seconds.max(1e-9);
    if guess <= 0.0 {
        return Err(LaunchFailure::Other(
            "failed to find the server's capacity: it answered no request in one second".to_owned(),
        ));
    }
    let (max_connections, arrivals) = match &load.model {
        Model::Open {
            max_connections,
            stages,
            ..
        } => (*max_connections, stages.first().map(|s| s.arrivals).unwrap_or_default()),
        Model::Closed { .. } | Model::Users { .. } => (1_000, crate::load::Arrivals::default()),
    };
    let thresholds: Vec<Threshold> = load
        .thresholds
        .iter()
        .filter(|threshold| within && limits(threshold))
        .cloned()
        .collect();
    let probes = if within { PROBES_WITHIN } else { PROBES };
    search::<LaunchFailure>(guess, probes, |rate| {
        let mut stage = Stage::unlimited(rate);
        stage.arrivals = arrivals;
        let open = like(Model::Open {
            stages: vec![stage],
            max_connections,
            seed: 0,
        });
        Ok(holds(&probe(open, PROBE)?, &thresholds))
    })?
    .ok_or_else(|| {
        let with: Vec<String> = thresholds.iter().map(ToString::to_string).collect();
        let with = if with.is_empty() {
            String::new()
        } else {
            format!(" with {}", with.join(" and "))
        };
        LaunchFailure::Other(format!(
            "failed to find the server's capacity: it did not sustain even a tenth of {guess:.0} requests per second{with}"
        ))
    })
}

/// Returns whether the server sustained the rate, and met the thresholds. A threshold of latency replaces the usual limit.
#[expect(clippy::cast_precision_loss, reason = "requests of a second")]
fn holds(round: &RoundResult, thresholds: &[Threshold]) -> bool {
    let counts = &round.counts;
    let figures = metrics::of_round(round, None, None);
    let is_met = |threshold: &Threshold| {
        let figure = match &threshold.request {
            Some(name) => of_request(round, threshold.metric, name),
            None => figures.get(threshold.metric.id()).copied(),
        };
        figure.is_some_and(|figure| figure <= threshold.limit)
    };
    let limit = u64::try_from(LATENCY_LIMIT.as_nanos()).unwrap_or(u64::MAX);
    let own_limit = thresholds
        .iter()
        .any(|threshold| threshold.metric == Metric::P99 && threshold.request.is_none());
    counts.done as f64 >= ANSWERED * counts.offered as f64
        && (own_limit || round.response_time.quantile(0.99).ns <= limit)
        && thresholds.iter().all(is_met)
}

/// Bisects from a first estimate and returns the highest sustained rate.
fn search<E>(guess: f64, probes: u32, mut holds: impl FnMut(f64) -> Result<bool, E>) -> Result<Option<f64>, E> {
    let (mut low, mut high) = (None, None::<f64>);
    let mut rate = guess * 0.9;
    for _ in 0..probes {
        if holds(rate)? {
            low = Some(rate);
        } else {
            high = Some(rate);
        }
        rate = match (low, high) {
            (Some(low), Some(high)) => f64::midpoint(low, high),
            (Some(low), None) => low * 1.2,
            (None, Some(high)) => high * 0.7,
            (None, None) => return Ok(None),
        };
    }
    Ok(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(guess: f64, truth: f64) -> Option<f64> {
        search::<()>(guess, PROBES, |rate| Ok(rate <= truth)).unwrap()
    }

    #[test]
    fn search_approximates_the_capacity_from_both_sides() {
        for (guess, truth) in [
            (1_000.0, 1_000.0),
            (1_000.0, 800.0),
            (1_000.0, 1_150.0),
            (1_000.0, 500.0),
        ] {
            let rate = found(guess, truth).unwrap();
            assert!(rate <= truth && rate >= truth * 0.93, "{guess} {truth} {rate}");
        }
        assert_eq!(found(1_000.0, 1.0), None);
    }

    #[test]
    fn a_rate_is_sustained_if_responses_arrive_in_time() {
        let mut round = RoundResult::default();
        round.counts.offered = 1_000;
        round.counts.done = 990;
        round.counts.censored = 10;
        for _ in 0..1_000 {
            round.response_time.record(Duration::from_millis(3));
        }
        round.seconds = 1.0;
        assert!(holds(&round, &[]));
        let threshold = |text: &str| [text.parse::<Threshold>().unwrap()];
        assert!(holds(&round, &threshold("p99<4ms")) && !holds(&round, &threshold("p99<2ms")));
        assert!(!holds(&round, &threshold("p50<2ms")));
        round.counts.done = 900;
        assert!(!holds(&round, &[]));
        round.counts.done = 1_000;
        for _ in 0..100 {
            round.response_time.record(Duration::from_millis(300));
        }
        assert!(!holds(&round, &[]) && holds(&round, &threshold("p99<400ms")));
        round.counts.failed = 20;
        let both = |errors: &str| ["p99<400ms", errors].map(|text| text.parse::<Threshold>().unwrap());
        assert!(holds(&round, &both("errors<3%")));
        assert!(!holds(&round, &both("errors<1%")));
    }

    #[test]
    fn shares_of_the_capacity_become_rates() {
        let load = Load::stages([Stage::unlimited(0.3)]).of_capacity().for_script();
        let scaled = scaled(&load, 2_000.0);
        assert_eq!(scaled.model, Load::stages([Stage::unlimited(600.0)]).for_script().model);
        assert!(!scaled.of_capacity);
    }
}
