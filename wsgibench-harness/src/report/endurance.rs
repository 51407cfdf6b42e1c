//! Results of long or uneven loads over the launches of a case: capacity, recovery from bursts, slow clients, memory
//! growth.

use std::fmt::Write as _;

use super::{
    range::{self, LaunchRange},
    units,
};
use crate::{
    stats::Slope,
    store::record::{BurstRecord, CaseRecord, LaunchRecord, RoundRecord, SlowRecord},
};

/// The capacity that load shares refer to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Capacity {
    /// Launches with a capacity search.
    pub launches: usize,
    /// Requests per second.
    pub per_second: LaunchRange,
}

/// Returns the capacity of a case, if its load depends on it.
#[must_use]
pub fn capacity(case: &CaseRecord) -> Option<Capacity> {
    let found = || {
        case.candidate()
            .filter_map(|launch| launch.rounds.first()?.capacity_per_second)
    };
    Some(Capacity {
        launches: found().count(),
        per_second: LaunchRange::of(found())?,
    })
}

impl Capacity {
    /// Formats the capacity as text.
    #[must_use]
    pub fn line(&self) -> String {
        format!(
            "{} req/s, measured at each launch; load rates are shares of it",
            self.per_second.text(units::rate)
        )
    }
}

/// Latency recovery after a burst.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BurstFigures {
    /// Rounds with a burst.
    pub rounds: usize,
    /// Rounds in which the 99th percentile recovered.
    pub recovered: usize,
    /// Seconds to recovery.
    pub seconds: Option<LaunchRange>,
    /// Maximum observation time in seconds of rounds without recovery.
    pub watched: f64,
    /// 99th percentile before the burst, ns.
    pub usual_ns: LaunchRange,
    /// Highest 99th percentile of a second from the burst on, ns.
    pub worst_ns: LaunchRange,
    /// Requests that failed or timed out from the burst on.
    pub errors: LaunchRange,
}

/// Returns the burst recovery of a case, if its load has a burst.
#[must_use]
pub fn burst(case: &CaseRecord) -> Option<BurstFigures> {
    let found: Vec<BurstRecord> = case.candidate_rounds().filter_map(|round| round.burst).collect();
    let of = |value: fn(&BurstRecord) -> f64| LaunchRange::of(found.iter().map(value));
    let back = || found.iter().filter_map(|burst| burst.recovered_after_seconds);
    Some(BurstFigures {
        rounds: found.len(),
        recovered: back().count(),
        seconds: LaunchRange::of(back()),
        watched: found
            .iter()
            .filter(|burst| burst.recovered_after_seconds.is_none())
            .map(|burst| burst.watched_seconds)
            .fold(0.0, f64::max),
        usual_ns: of(|b| units::float(b.usual_p99_ns))?,
        worst_ns: of(|b| units::float(b.worst_p99_ns))?,
        errors: of(|b| units::float(b.errors))?,
    })
}

impl BurstFigures {
    /// Formats when the latency recovered.
    #[must_use]
    pub fn recovered_text(&self) -> String {
        range::recovered(self.seconds, (self.recovered, self.rounds, "rounds"), self.watched)
    }

    /// Formats the full recovery as text.
    #[must_use]
    pub fn line(&self) -> String {
        let when = match self.seconds {
            None => format!("p99 did not recover: {}", self.recovered_text()),
            Some(_) => format!("p99 recovered after {}", self.recovered_text()),
        };
        format!(
            "{when}; usual p99 {}, worst {}, {} errors",
            units::time(self.usual_ns.median),
            units::time(self.worst_ns.median),
            self.errors.text(range::count)
        )
    }
}

/// Results of slow clients at the end of the last round.
#[must_use]
pub fn background_clients(case: &CaseRecord) -> &[SlowRecord] {
    case.candidate()
        .rev()
        .find_map(|launch| launch.rounds.last())
        .map_or(&[], |round| &round.background_clients)
}

/// Formats the results of slow clients.
#[must_use]
pub fn slow_clients_line(slow: &SlowRecord) -> String {
    let mut text = format!("{}: {} connected", slow.name, slow.there);
    for (count, what) in [
        (slow.finished, "completed"),
        (slow.sent_away, "were disconnected"),
        (slow.not_let_in, "attempts were rejected"),
    ] {
        if count > 0 {
            let _ = write!(text, ", {} {what}", units::grouped(count));
        }
    }
    text
}

/// Memory growth in one round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Growth {
    /// 0-based number of its launch.
    pub launch: u32,
    /// 0-based number of the round.
    pub round: u32,
    /// Slope, bytes per second.
    pub slope: Slope,
}

/// Returns the memory growth of each round long enough to estimate it. Rounds are kept apart: a slope is only meaningful
/// within one server process.
#[must_use]
pub fn growth(case: &CaseRecord) -> Vec<Growth> {
    let of_launch = |launch: &LaunchRecord| {
        let index = launch.index;
        let of_round = move |round: &RoundRecord| {
            Some(Growth {
                launch: index,
                round: round.index,
                slope: round.memory_growth?,
            })
        };
        launch.rounds.iter().filter_map(of_round).collect::<Vec<_>>()
    };
    case.candidate().flat_map(of_launch).collect()
}

impl Growth {
    /// Formats the slope: `1.2 MiB a minute`.
    #[must_use]
    pub fn a_minute(per_second: f64) -> String {
        let sign = if per_second < 0.0 { "-" } else { "" };
        format!("{sign}{}", units::bytes(per_second.abs() * 60.0))
    }

    /// Classifies the growth by its confidence interval.
    #[must_use]
    pub fn verdict(&self) -> &'static str {
        if self.slope.grows() {
            "memory grows"
        } else {
            "no significant memory growth"
        }
    }

    /// Formats the growth as text.
    #[must_use]
    pub fn line(&self) -> String {
        let Slope {
            per_second,
            low,
            high,
            seconds,
        } = self.slope;
        format!(
            "{}{} {} a minute [{} {}] over {seconds:.0} s",
            self.verdict(),
            if self.slope.grows() { " by" } else { ":" },
            Self::a_minute(per_second),
            Self::a_minute(low),
            Self::a_minute(high),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_formatted() {
        let mut growth = Growth {
            launch: 0,
            round: 0,
            slope: Slope {
                per_second: 1_048_576.0 / 60.0,
                low: 524_288.0 / 60.0,
                high: 2_097_152.0 / 60.0,
                seconds: 90.0,
            },
        };
        let text = growth.line();
        assert!(
            text.starts_with("memory grows by 1.0") && text.contains(" MiB a minute ["),
            "{text}"
        );
        assert!(text.ends_with("] over 90 s"), "{text}");
        growth.slope.low = -524_288.0; // a second
        assert!(growth.line().starts_with("no significant memory growth: 1.0"));
        assert!(growth.line().contains("[-30.0 MiB "), "{}", growth.line());
    }

    #[test]
    fn bursts_are_formatted() {
        let mut figures = BurstFigures {
            rounds: 2,
            recovered: 2,
            seconds: LaunchRange::of([1.0, 3.0].into_iter()),
            watched: 0.0,
            usual_ns: LaunchRange::of([2e6].into_iter()).unwrap(),
            worst_ns: LaunchRange::of([4e9].into_iter()).unwrap(),
            errors: LaunchRange::default(),
        };
        assert_eq!(
            figures.line(),
            "p99 recovered after 2.0 s (1.0 s to 3.0 s); usual p99 2.000 ms, worst 4.000 s, 0 errors"
        );
        (figures.recovered, figures.seconds, figures.watched) = (0, None, 9.0);
        assert!(
            figures
                .line()
                .starts_with("p99 did not recover: not within 9.0 s; usual")
        );
    }
}
