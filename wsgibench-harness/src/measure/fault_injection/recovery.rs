//! Determines when a server has recovered, from a fine series of counts. Pure functions.

use crate::store::record::{Recovery, Sample};

/// Length of the evaluated intervals, seconds. The series must be finer.
pub(super) const BIN: f64 = 0.1;
/// A server has recovered after this much time without a bad interval, seconds.
const HOLD: f64 = 1.0;
/// An interval is good with at least this share of the median rate before the fault.
const SHARE: f64 = 0.5;
/// Average number of responses per interval below which only errors, and no responses for [`HOLD`], count as bad.
const FEW: f64 = 5.0;

/// An interval of the series.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bin {
    start: f64,
    end: f64,
    done: f64,
    errors: u64,
}

/// Evaluates the time from `fault` (start and end of the injection, seconds in the round) to `until` (the next fault, or the
/// end of the round). `pulses` are cumulative counts in order of time. A recovery before the end of the injection does not
/// count.
#[must_use]
pub(super) fn recovery(pulses: &[Sample], (fault, over): (f64, f64), until: f64) -> Recovery {
    let before = bins(pulses, 0.0, fault);
    let after = bins(pulses, fault, until);
    let usual = median(before.iter().map(|bin| bin.done / (bin.end - bin.start)));
    let lost = at(pulses, until).errors.saturating_sub(at(pulses, fault).errors);
    let sent_again = at(pulses, until).retried.saturating_sub(at(pulses, fault).retried);
    let well = |bin: &Bin| {
        let rate = bin.done / (bin.end - bin.start);
        bin.errors == 0 && (usual * BIN < FEW || rate >= usual * SHARE)
    };
    let slow = usual * BIN < FEW;
    let mut good_since: Option<f64> = None;
    let mut recovered = None;
    for bin in &after {
        if !well(bin) {
            good_since = None;
            continue;
        }
        let since = *good_since.get_or_insert(bin.start);
        if bin.end - since + 1e-9 >= HOLD && bin.end + 1e-9 >= over.min(until) {
            let answered = at(pulses, bin.end).done > at(pulses, since).done;
            if answered {
                recovered = Some(since);
                break;
            }
            if slow {
                // An interval of this length without responses is bad, however slow the server is.
                good_since = Some(bin.start);
            }
        }
    }
    let deepest = after
        .iter()
        .map(|bin| bin.done / (bin.end - bin.start))
        .fold(f64::INFINITY, f64::min);
    Recovery {
        usual_per_second: usual,
        lowest_per_second: if deepest.is_finite() { deepest } else { 0.0 },
        requests_lost: lost,
        requests_sent_again: sent_again,
        recovered_after_seconds: recovered.map(|since| (since - fault).max(0.0)),
        watched_seconds: (until - fault).max(0.0),
    }
}

/// Splits the series between two times into intervals of [`BIN`]; a last one of less than half of that is left out.
fn bins(pulses: &[Sample], from: f64, to: f64) -> Vec<Bin> {
    let mut bins = Vec::new();
    let mut start = from;
    while to - start >= BIN / 2.0 {
        let end = (start + BIN).min(to);
        let (a, b) = (at(pulses, start), at(pulses, end));
        bins.push(Bin {
            start,
            end,
            #[expect(clippy::cast_precision_loss, reason = "requests of a tenth of a second")]
            done: b.done.saturating_sub(a.done) as f64,
            errors: b.errors.saturating_sub(a.errors),
        });
        start = end;
    }
    bins
}

/// Returns the counts of the last sample up to a time.
fn at(pulses: &[Sample], moment: f64) -> Sample {
    let behind = pulses.partition_point(|pulse| pulse.at <= moment + 1e-9);
    behind.checked_sub(1).map_or(
        Sample {
            at: moment,
            ..Sample::default()
        },
        |last| pulses[last],
    )
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Creates samples every 20 ms from (length in seconds, responses per second, errors per second).
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small whole numbers of a test"
    )]
    fn series(pieces: &[(f64, f64, f64)]) -> Vec<Sample> {
        let (mut at, mut done, mut errors) = (0.0, 0.0, 0.0);
        let mut pulses = vec![Sample::default()];
        for (length, rate, bad) in pieces {
            let steps = (length / 0.02).round() as u32;
            for _ in 0..steps {
                at += 0.02;
                done += rate * 0.02;
                errors += bad * 0.02;
                pulses.push(Sample {
                    at,
                    done: done as u64,
                    errors: errors as u64,
                    retried: 0,
                });
            }
        }
        pulses
    }

    fn near(value: Option<f64>, expected: f64) -> bool {
        value.is_some_and(|value| (value - expected).abs() < 0.11)
    }

    #[test]
    fn recovery_is_immediate_without_a_dip() {
        let found = recovery(&series(&[(10.0, 2_000.0, 0.0)]), (3.0, 3.0), 10.0);
        assert!(near(found.recovered_after_seconds, 0.0), "{found:?}");
        assert_eq!(found.requests_lost, 0);
        assert!((found.usual_per_second - 2_000.0).abs() < 20.0);
        assert!(found.lowest_per_second > 1_900.0);
    }

    #[test]
    fn recovery_starts_after_the_dip_and_the_last_error() {
        let pulses = series(&[(3.0, 2_000.0, 0.0), (0.8, 0.0, 50.0), (6.2, 2_000.0, 0.0)]);
        let found = recovery(&pulses, (3.0, 3.0), 10.0);
        assert!(near(found.recovered_after_seconds, 0.8), "{found:?}");
        assert_eq!(found.requests_lost, 40);
        assert!(found.lowest_per_second < 1.0);
    }

    #[test]
    fn a_server_that_stays_slow_has_not_recovered() {
        let pulses = series(&[(3.0, 2_000.0, 0.0), (7.0, 900.0, 0.0)]);
        assert_eq!(recovery(&pulses, (3.0, 3.0), 10.0).recovered_after_seconds, None);
        let pulses = series(&[(3.0, 2_000.0, 0.0), (7.0, 1_100.0, 0.0)]);
        assert!(near(recovery(&pulses, (3.0, 3.0), 10.0).recovered_after_seconds, 0.0));
    }

    #[test]
    fn a_recovery_of_half_a_second_does_not_count() {
        let pulses = series(&[
            (3.0, 2_000.0, 0.0),
            (1.0, 0.0, 10.0),
            (0.5, 2_000.0, 0.0),
            (0.5, 0.0, 10.0),
            (5.0, 2_000.0, 0.0),
        ]);
        assert!(near(recovery(&pulses, (3.0, 3.0), 10.0).recovered_after_seconds, 2.0));
    }

    #[test]
    fn a_server_that_exits_or_returns_too_late_has_not_recovered() {
        let pulses = series(&[(3.0, 2_000.0, 0.0), (7.0, 0.0, 100.0)]);
        let found = recovery(&pulses, (3.0, 3.0), 10.0);
        assert_eq!((found.recovered_after_seconds, found.requests_lost), (None, 700));
        assert!((found.watched_seconds - 7.0).abs() < 1e-9);
        let pulses = series(&[(3.0, 2_000.0, 0.0), (6.5, 0.0, 1.0), (0.5, 2_000.0, 0.0)]);
        assert_eq!(recovery(&pulses, (3.0, 3.0), 10.0).recovered_after_seconds, None);
    }

    #[test]
    fn empty_intervals_of_a_slow_server_are_not_a_dip() {
        // Ten responses per second: most intervals of a tenth have one, some none.
        let found = recovery(&series(&[(10.0, 10.0, 0.0)]), (3.0, 3.0), 10.0);
        assert!(near(found.recovered_after_seconds, 0.0), "{found:?}");
        let found = recovery(&series(&[(3.0, 10.0, 0.0), (7.0, 0.0, 0.0)]), (3.0, 3.0), 10.0);
        assert_eq!(found.recovered_after_seconds, None);
    }

    #[test]
    fn errors_before_the_fault_are_not_counted() {
        let pulses = series(&[(3.0, 1_000.0, 20.0), (7.0, 1_000.0, 0.0)]);
        assert_eq!(recovery(&pulses, (3.0, 3.0), 10.0).requests_lost, 0);
    }

    #[test]
    fn a_recovery_during_the_injection_does_not_count() {
        // Three harmful requests in four seconds, of which the second one has an effect.
        let pulses = series(&[(5.0, 2_000.0, 0.0), (1.5, 0.0, 10.0), (3.5, 2_000.0, 0.0)]);
        assert!(near(recovery(&pulses, (3.0, 7.0), 10.0).recovered_after_seconds, 3.5));
        // Without any effect, recovery is immediate.
        let calm = series(&[(10.0, 2_000.0, 0.0)]);
        assert!(near(recovery(&calm, (3.0, 7.0), 10.0).recovered_after_seconds, 0.0));
    }

    #[test]
    fn observation_ends_at_the_next_fault() {
        let pulses = series(&[(3.0, 1_000.0, 0.0), (3.0, 0.0, 10.0), (4.0, 1_000.0, 0.0)]);
        assert_eq!(recovery(&pulses, (3.0, 3.0), 5.0).recovered_after_seconds, None);
        assert_eq!(recovery(&[], (3.0, 3.0), 5.0).recovered_after_seconds, None);
    }
}
