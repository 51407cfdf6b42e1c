//! Determines the time until the latency recovers after a burst in a schedule. Pure functions.

use crate::{
    load::{Load, Model, Second, Stage},
    store::record::BurstRecord,
};

/// A stage is a burst if its rate is at least this multiple of the rate before it.
const MORE: f64 = 2.0;
/// A burst ends with the first stage at or below this share of its rate.
const LESS: f64 = 0.5;
/// The latency has recovered at or below this multiple of the usual 99th percentile,
const TIMES: u64 = 2;
/// or at most this much above it, ns, because a multiple is too strict for fast servers,
const ABOVE: u64 = 5_000_000;
/// for this many consecutive seconds.
const HOLD: usize = 2;

/// Returns the effect of a burst; `None` for a load without one (three or more stages that rise far above the first and come back).
pub(super) fn of_round(load: &Load, series: &[Second]) -> Option<BurstRecord> {
    let Model::Open { stages, .. } = &load.model else {
        return None;
    };
    let (from, until) = burst(stages)?;
    let before = series.iter().filter(|s| s.at + 1.0 <= from + 1e-9 && s.done > 0);
    let mut usual: Vec<u64> = before.map(|s| s.p99_ns).collect();
    usual.sort_unstable();
    let usual = *usual.get(usual.len() / 2)?;
    let calm = (usual * TIMES).max(usual + ABOVE);
    let during = series.iter().filter(|s| s.at + 1.0 > from);
    let after: Vec<&Second> = series.iter().filter(|s| s.at + 1e-9 >= until).collect();
    let well = |second: &&Second| second.done > 0 && second.errors == 0 && second.p99_ns <= calm;
    let recovered = after
        .windows(HOLD)
        .find(|seconds| seconds.iter().all(well))
        .map(|seconds| (seconds[0].at - until).max(0.0));
    Some(BurstRecord {
        from_seconds: from,
        until_seconds: until,
        usual_p99_ns: usual,
        worst_p99_ns: during.clone().map(|s| s.p99_ns).max().unwrap_or(0),
        errors: during.map(|s| s.errors).sum(),
        recovered_after_seconds: recovered,
        watched_seconds: series.last().map_or(0.0, |s| s.at + 1.0 - until).max(0.0),
    })
}

/// Returns the start and end of the first burst, seconds.
fn burst(stages: &[Stage]) -> Option<(f64, f64)> {
    let usual = stages.first()?.to;
    let mut at = 0.0;
    let mut from = None;
    for stage in stages {
        match from {
            None if stage.from.max(stage.to) >= usual * MORE && at > 0.0 => from = Some((at, stage.from.max(stage.to))),
            Some((from, top)) if stage.to <= top * LESS && stage.from <= top * LESS => return Some((from, at)),
            _ => {}
        }
        at += stage.duration?.as_secs_f64();
    }
    None
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::load::get;

    fn load() -> Load {
        let seconds = Duration::from_secs;
        Load::stages([
            Stage::constant(100.0, seconds(3)),
            Stage::constant(1_000.0, seconds(2)),
            Stage::constant(100.0, seconds(6)),
        ])
        .request(get("/"))
    }

    fn series(p99_ms: &[u64]) -> Vec<Second> {
        (0_u32..)
            .zip(p99_ms)
            .map(|(at, ms)| {
                let mut second = Second::default();
                second.at = f64::from(at);
                second.done = 100;
                second.p99_ns = ms * 1_000_000;
                second
            })
            .collect()
    }

    #[test]
    fn recovery_time_after_a_burst() {
        let found = of_round(&load(), &series(&[10, 10, 12, 400, 900, 800, 300, 15, 11, 10, 10])).unwrap();
        assert!((found.from_seconds - 3.0).abs() < 1e-9 && (found.until_seconds - 5.0).abs() < 1e-9);
        assert_eq!((found.usual_p99_ns, found.worst_p99_ns), (10_000_000, 900_000_000));
        assert_eq!(found.recovered_after_seconds, Some(2.0));
    }

    #[test]
    fn recovery_needs_consecutive_seconds_without_errors() {
        let mut seconds = series(&[10, 10, 10, 400, 900, 10, 300, 10, 10, 10, 10]);
        assert_eq!(of_round(&load(), &seconds).unwrap().recovered_after_seconds, Some(2.0));
        seconds[7].errors = 1;
        let found = of_round(&load(), &seconds).unwrap();
        assert_eq!((found.recovered_after_seconds, found.errors), (Some(3.0), 1));
        let never = of_round(&load(), &series(&[10, 10, 10, 400, 900, 800, 800, 800, 800, 800, 800])).unwrap();
        assert_eq!(never.recovered_after_seconds, None);
        assert!((never.watched_seconds - 6.0).abs() < 1e-9);
    }

    #[test]
    fn schedules_without_a_rise_and_a_fall_have_no_burst() {
        let seconds = Duration::from_secs(2);
        let twenty = series(&[10; 20]);
        for stages in [
            vec![Stage::constant(100.0, seconds)],
            vec![Stage::constant(100.0, seconds), Stage::constant(1_000.0, seconds)],
            vec![
                Stage::constant(100.0, seconds),
                Stage::constant(150.0, seconds),
                Stage::constant(100.0, seconds),
            ],
        ] {
            assert_eq!(of_round(&Load::stages(stages).request(get("/")), &twenty), None);
        }
        assert_eq!(of_round(&Load::closed(1).request(get("/")), &twenty), None);
    }
}
