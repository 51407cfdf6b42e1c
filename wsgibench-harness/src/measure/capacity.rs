//! Searches for a server's capacity, the highest rate it sustains, before a load whose rates are shares of it.

use std::time::Duration;

use super::{interrupt::Interrupt, launch::LaunchFailure};
use crate::load::{Load, LoadPlan, Model, RoundResult, Session, Stage};

/// Connections of the closed loop that gives the first estimate.
const CONNECTIONS: usize = 64;
/// Warm-up and length of that loop, and of each probe.
const GUESS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(1));
const PROBE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(1));
/// Number of probes; narrows the last interval to a few percent of the rate.
const PROBES: u32 = 6;
/// A rate is sustained if at least this share of the due requests is answered before the probe ends,
const ANSWERED: f64 = 0.98;
/// and 99 % of them within this time: the wait at the end of a second at 10 % above the capacity.
const LATENCY_LIMIT: Duration = Duration::from_millis(100);
/// Capacity assumed in a trial, which measures nothing.
const TRIAL: f64 = 100.0;

/// Longest duration of a search.
pub(super) const TIME: Duration = Duration::from_millis(1_500 + 1_200 * PROBES as u64);

/// Returns the load with its rates in requests per second, and the capacity that they are shares of; other loads are unchanged.
///
/// # Errors
/// Returns an error if the engine fails or no rate is sustained; [`LaunchFailure::Interrupted`] after Ctrl-C.
pub(super) fn resolve(
    plan: &LoadPlan,
    trial: bool,
    interrupt: &Interrupt,
) -> Result<(Load, Option<f64>), LaunchFailure> {
    if !plan.load.of_capacity {
        return Ok((plan.load.clone(), None));
    }
    let capacity = if trial { TRIAL } else { find(plan, interrupt)? };
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

fn find(asked: &LoadPlan, interrupt: &Interrupt) -> Result<f64, LaunchFailure> {
    let load = &asked.load;
    let like = |model: Model| Load {
        requests: load.requests.clone(),
        keep_alive: load.keep_alive,
        timeout: load.timeout,
        ..Load::new(model)
    };
    let probe = |load: Load, (warm_up, length): (Duration, Duration)| -> Result<RoundResult, LaunchFailure> {
        let plan = LoadPlan {
            load,
            warm_up,
            rounds: 1,
            measurement_time: length,
            ..asked.clone()
        };
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
    search::<LaunchFailure>(guess, PROBES, |rate| {
        let stage = Stage {
            arrivals,
            ..Stage::unlimited(rate)
        };
        let open = like(Model::Open {
            stages: vec![stage],
            max_connections,
            seed: 0,
        });
        Ok(holds(&probe(open, PROBE)?))
    })?
    .ok_or_else(|| {
        LaunchFailure::Other(format!(
            "failed to find the server's capacity: it did not sustain even a tenth of {guess:.0} requests per second"
        ))
    })
}

/// Returns whether the server sustained the rate.
#[expect(clippy::cast_precision_loss, reason = "requests of a second")]
fn holds(round: &RoundResult) -> bool {
    let counts = &round.counts;
    let limit = u64::try_from(LATENCY_LIMIT.as_nanos()).unwrap_or(u64::MAX);
    counts.done as f64 >= ANSWERED * counts.offered as f64 && round.response_time.quantile(0.99).ns <= limit
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
    use crate::load::Counts;

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
        let mut round = RoundResult {
            counts: Counts {
                offered: 1_000,
                done: 990,
                censored: 10,
                ..Counts::default()
            },
            ..RoundResult::default()
        };
        for _ in 0..1_000 {
            round.response_time.record(Duration::from_millis(3));
        }
        assert!(holds(&round));
        round.counts.done = 900;
        assert!(!holds(&round));
        round.counts.done = 1_000;
        for _ in 0..100 {
            round.response_time.record(Duration::from_millis(300));
        }
        assert!(!holds(&round));
    }

    #[test]
    fn shares_of_the_capacity_become_rates() {
        let load = Load::stages([Stage::unlimited(0.3)]).of_capacity().for_script();
        let scaled = scaled(&load, 2_000.0);
        assert_eq!(scaled.model, Load::stages([Stage::unlimited(600.0)]).for_script().model);
        assert!(!scaled.of_capacity);
    }
}
