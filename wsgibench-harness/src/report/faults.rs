//! What is told of a server in words of its own, not by a rate: requests lost to a fault and seconds to recover, how it came back
//! from a burst, the capacity that was found, growth of memory. Each over the launches of a case.

use std::fmt::Write as _;

use super::{figures::CANDIDATE, units};
use crate::{
    stats::Slope,
    store::record::{BurstRecord, CaseRecord, FaultRecord},
};

/// One fault of a case, over its launches.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultFigures {
    /// What was done, e.g. `worker killed`.
    pub action: String,
    /// Launches in which it was done.
    pub launches: usize,
    /// Of them: those in which the server came back to its usual rate.
    pub recovered: usize,
    /// Of them: those in which the server had ended for good.
    pub ended: usize,
    /// Of them: those in which it could not be done, with the reason of the first.
    pub not_done: Option<(usize, String)>,
    /// Requests lost in a launch.
    pub lost: Spread,
    /// Seconds to recover, where it did.
    pub seconds: Option<Spread>,
    /// Seconds that it was watched, at least, where it did not.
    pub watched: f64,
    /// Rate before, requests per second.
    pub usual: Spread,
    /// Lowest rate after, in a tenth of a second.
    pub lowest: Spread,
    /// Processes that the memory limit killed, in all.
    pub memory_kills: u64,
    /// What was done exactly, in the first launch.
    pub told: String,
}

/// Smallest, middle and largest of some values.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    /// Smallest.
    pub min: f64,
    /// Median.
    pub median: f64,
    /// Largest.
    pub max: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        Some(Self {
            min: *values.first()?,
            median: crate::stats::sample::median(&values),
            max: *values.last()?,
        })
    }

    /// `3`, or `3 (1 to 9)` where launches differ.
    fn text(self, format: impl Fn(f64) -> String) -> String {
        let (min, median, max) = (format(self.min), format(self.median), format(self.max));
        if min == max {
            median
        } else {
            format!("{median} ({min} to {max})")
        }
    }
}

/// The faults of a case, in their order.
#[must_use]
pub fn of_case(case: &CaseRecord) -> Vec<FaultFigures> {
    (0..case.load.faults.len())
        .filter_map(|index| {
            let found: Vec<&FaultRecord> = case
                .launches
                .iter()
                .filter(|launch| launch.arm == CANDIDATE)
                .flat_map(|launch| &launch.rounds)
                .filter_map(|round| round.faults.get(index))
                .collect();
            one(&found)
        })
        .collect()
}

fn one(found: &[&FaultRecord]) -> Option<FaultFigures> {
    let first = found.first()?;
    let spread =
        |value: fn(&FaultRecord) -> f64| Spread::of(found.iter().map(|fault| value(fault))).unwrap_or_default();
    let undone: Vec<_> = found
        .iter()
        .filter(|fault| fault.told.starts_with("not done"))
        .collect();
    let unrecovered = found
        .iter()
        .filter(|fault| fault.recovery.recovered_after_seconds.is_none());
    Some(FaultFigures {
        action: first.action.clone(),
        launches: found.len(),
        recovered: found
            .iter()
            .filter(|fault| fault.recovery.recovered_after_seconds.is_some())
            .count(),
        ended: found.iter().filter(|fault| fault.server_ended).count(),
        not_done: undone.first().map(|fault| (undone.len(), fault.told.clone())),
        lost: spread(|fault| units::float(fault.recovery.requests_lost)),
        seconds: Spread::of(found.iter().filter_map(|fault| fault.recovery.recovered_after_seconds)),
        watched: unrecovered
            .map(|fault| fault.recovery.watched_seconds)
            .fold(0.0, f64::max),
        usual: spread(|fault| fault.recovery.usual_per_second),
        lowest: spread(|fault| fault.recovery.lowest_per_second),
        memory_kills: found.iter().map(|fault| fault.memory_kills).sum(),
        told: first.told.clone(),
    })
}

impl FaultFigures {
    /// Requests lost, in words.
    #[must_use]
    pub fn lost_text(&self) -> String {
        self.lost.text(|n| units::grouped(whole(n)))
    }

    /// When it was itself again, in words.
    #[must_use]
    pub fn recovered_text(&self) -> String {
        let mut text = match (self.seconds, self.recovered == self.launches) {
            (Some(seconds), true) => seconds.text(seconds_text),
            (Some(seconds), false) => format!(
                "{} in {} of {} launches, else not within {}",
                seconds.text(seconds_text),
                self.recovered,
                self.launches,
                seconds_text(self.watched)
            ),
            (None, _) => format!("not within {}", seconds_text(self.watched)),
        };
        if self.ended > 0 {
            text.push_str(": the server ended");
        }
        text
    }

    /// Both on one line, with what explains them.
    #[must_use]
    pub fn line(&self) -> String {
        if let Some((n, why)) = &self.not_done {
            return format!("{why} ({n} of {} launches)", self.launches);
        }
        let mut text = format!(
            "{} lost, recovered: {}; usual rate {} req/s, lowest {}",
            self.lost_text(),
            self.recovered_text(),
            units::rate(self.usual.median),
            units::rate(self.lowest.median)
        );
        if self.memory_kills > 0 {
            let _ = write!(text, "; the memory limit killed {} processes", self.memory_kills);
        }
        let _ = write!(text, "; {}", self.told);
        text
    }
}

/// The capacity that the rates are shares of, over launches.
#[must_use]
pub fn capacity(case: &CaseRecord) -> Option<String> {
    let found = Spread::of(
        case.launches
            .iter()
            .filter(|launch| launch.arm == CANDIDATE)
            .filter_map(|launch| launch.rounds.first()?.capacity_per_second),
    )?;
    Some(format!(
        "{} req/s, searched for at each launch; the rates are shares of it",
        found.text(units::rate)
    ))
}

/// How slow clients fared, at the end of the last round.
#[must_use]
pub fn beside(case: &CaseRecord) -> Vec<String> {
    let launches = case.launches.iter().filter(|launch| launch.arm == CANDIDATE);
    let Some(round) = launches.flat_map(|launch| &launch.rounds).next_back() else {
        return Vec::new();
    };
    round
        .beside
        .iter()
        .map(|slow| {
            let mut text = format!("{}: {} connected", slow.name, slow.there);
            for (count, what) in [
                (slow.finished, "came to their end"),
                (slow.sent_away, "were sent away"),
                (slow.not_let_in, "attempts were not let in"),
            ] {
                if count > 0 {
                    let _ = write!(text, ", {} {what}", units::grouped(count));
                }
            }
            text
        })
        .collect()
}

/// How the latency came back after a burst, over launches.
#[must_use]
pub fn burst(case: &CaseRecord) -> Option<String> {
    let found: Vec<BurstRecord> = case
        .launches
        .iter()
        .filter(|launch| launch.arm == CANDIDATE)
        .flat_map(|launch| &launch.rounds)
        .filter_map(|round| round.burst)
        .collect();
    let of = |value: fn(&BurstRecord) -> f64| Spread::of(found.iter().map(value)).unwrap_or_default();
    let back = Spread::of(found.iter().filter_map(|burst| burst.recovered_after_seconds));
    let watched = found.iter().map(|burst| burst.watched_seconds).fold(0.0, f64::max);
    let count = found
        .iter()
        .filter(|burst| burst.recovered_after_seconds.is_some())
        .count();
    let when = match back {
        _ if found.is_empty() => return None,
        Some(back) if count == found.len() => format!("p99 is as before {} after it", back.text(seconds_text)),
        Some(back) => format!(
            "p99 is as before {} after it in {count} of {} launches, else not within {}",
            back.text(seconds_text),
            found.len(),
            seconds_text(watched)
        ),
        None => format!("p99 is not as before within {}", seconds_text(watched)),
    };
    Some(format!(
        "{when}; usual p99 {}, worst {}, {} errors",
        units::time(of(|b| units::float(b.usual_p99_ns)).median),
        units::time(of(|b| units::float(b.worst_p99_ns)).median),
        of(|b| units::float(b.errors)).text(|n| units::grouped(whole(n)))
    ))
}

/// How the memory changed in rounds that were long enough to tell: each its own, since a slope is read within one life of a server.
#[must_use]
pub fn memory_growth(case: &CaseRecord) -> Option<String> {
    let rounds = case
        .launches
        .iter()
        .filter(|launch| launch.arm == CANDIDATE)
        .flat_map(|launch| &launch.rounds);
    let lines: Vec<String> = rounds
        .filter_map(|round| Some(slope_text(round.memory_growth.as_ref()?)))
        .collect();
    (!lines.is_empty()).then(|| lines.join("; "))
}

fn slope_text(slope: &Slope) -> String {
    let a_minute = |per_second: f64| {
        let sign = if per_second < 0.0 { "-" } else { "" };
        format!("{sign}{}", units::bytes(per_second.abs() * 60.0))
    };
    let verdict = if slope.grows() {
        "memory grows by"
    } else {
        "no growth of memory to be told:"
    };
    format!(
        "{verdict} {} a minute [{} {}] over {:.0} s",
        a_minute(slope.per_second),
        a_minute(slope.low),
        a_minute(slope.high),
        slope.seconds
    )
}

fn seconds_text(seconds: f64) -> String {
    format!("{seconds:.1} s")
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a median of counts, rounded"
)]
fn whole(n: f64) -> u64 {
    n.round().max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::record::Recovery;

    fn fault(lost: u64, after: Option<f64>) -> FaultRecord {
        FaultRecord {
            action: "worker killed".into(),
            told: "process 7 was killed".into(),
            recovery: Recovery {
                usual_per_second: 4_100.0,
                lowest_per_second: 0.0,
                requests_lost: lost,
                recovered_after_seconds: after,
                watched_seconds: 8.0,
            },
            ..FaultRecord::default()
        }
    }

    fn line(faults: &[FaultRecord]) -> String {
        one(&faults.iter().collect::<Vec<_>>()).unwrap().line()
    }

    #[test]
    fn growth_in_words() {
        let mut slope = Slope {
            per_second: 1_048_576.0 / 60.0,
            low: 524_288.0 / 60.0,
            high: 2_097_152.0 / 60.0,
            seconds: 90.0,
        };
        let text = slope_text(&slope);
        assert!(
            text.starts_with("memory grows by 1.0") && text.contains(" MiB a minute ["),
            "{text}"
        );
        assert!(text.ends_with("] over 90 s"), "{text}");
        slope.low = -524_288.0;
        assert!(slope_text(&slope).starts_with("no growth of memory to be told"));
    }

    #[test]
    fn lines() {
        let all = line(&[fault(16, Some(0.8)), fault(4, Some(0.2)), fault(9, Some(0.5))]);
        assert!(
            all.starts_with("9 (4 to 16) lost, recovered: 0.5 s (0.2 s to 0.8 s); usual rate"),
            "{all}"
        );
        assert!(all.ends_with("; process 7 was killed"), "{all}");
        let some = line(&[fault(1, Some(0.8)), fault(1, None)]);
        assert!(
            some.contains("1 lost, recovered: 0.8 s in 1 of 2 launches, else not within 8.0 s"),
            "{some}"
        );
        let mut dead = fault(1_234, None);
        dead.server_ended = true;
        assert!(line(&[dead]).contains("1,234 lost, recovered: not within 8.0 s: the server ended"));
        let mut undone = fault(0, Some(0.0));
        undone.told = "not done: no worker process could be told".into();
        assert_eq!(
            line(&[undone]),
            "not done: no worker process could be told (1 of 1 launches)"
        );
        assert_eq!(one(&[]), None);
    }
}
