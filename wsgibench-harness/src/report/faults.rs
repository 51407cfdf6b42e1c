//! Results of injected faults over the launches of a case: lost requests and recovery times.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{
    range::{self, LaunchRange},
    units,
};
use crate::store::record::{CaseRecord, FaultRecord};

/// One fault of a case, over its launches.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultFigures {
    /// The injected fault, e.g. `worker killed`.
    pub action: String,
    /// Launches that reached the fault.
    pub launches: usize,
    /// Launches in which injection failed, with the first reason. All other fields exclude them.
    pub not_done: Option<(usize, String)>,
    /// Launches in which the server recovered its usual rate.
    pub recovered: usize,
    /// Launches in which the server exited for good.
    pub ended: usize,
    /// Requests lost per launch; `None` if the fault was never injected.
    pub lost: Option<LaunchRange>,
    /// Requests retried per launch; `None` if the fault was never injected.
    pub sent_again: Option<LaunchRange>,
    /// Seconds to recovery, where it recovered.
    pub seconds: Option<LaunchRange>,
    /// Maximum observation time in seconds of launches without recovery.
    pub watched: f64,
    /// Rate before the fault, requests per second.
    pub usual: Option<LaunchRange>,
    /// Lowest rate after the fault in a tenth of a second.
    pub lowest: Option<LaunchRange>,
    /// Total processes killed by the memory limit.
    pub memory_kills: u64,
    /// Total responses to harmful requests.
    pub answers: BTreeMap<String, u64>,
    /// Details of the injection in the first launch that had one.
    pub told: String,
}

/// Outcome of a fault over all launches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// The fault was never injected, so it has no figures (not even 0).
    NotDone,
    /// The server recovered in every launch.
    Recovered,
    /// The server recovered in some launches.
    Partly,
    /// The server never recovered during observation.
    NotRecovered,
    /// The main process exited in some launch and was not restarted.
    Ended,
}

/// Returns whether faults are injected into a case, which excludes it from rankings.
#[must_use]
pub fn has(case: &CaseRecord) -> bool {
    !case.load.faults.is_empty()
}

/// Returns whether a fault was injected or attempted.
#[must_use]
pub fn done(fault: &FaultRecord) -> bool {
    !fault.told.starts_with("not done")
}

/// Returns the faults of a case in order of injection.
#[must_use]
pub fn of_case(case: &CaseRecord) -> Vec<FaultFigures> {
    let rounds: Vec<&Vec<FaultRecord>> = case.candidate_rounds().map(|round| &round.faults).collect();
    let most = rounds.iter().map(|faults| faults.len()).max().unwrap_or(0);
    (0..most)
        .filter_map(|index| {
            let found: Vec<&FaultRecord> = rounds.iter().filter_map(|faults| faults.get(index)).collect();
            one(&found)
        })
        .collect()
}

fn one(found: &[&FaultRecord]) -> Option<FaultFigures> {
    let first = found.first()?;
    let (done, undone): (Vec<&FaultRecord>, Vec<&FaultRecord>) = found.iter().partition(|fault| done(fault));
    let range = |value: fn(&FaultRecord) -> f64| LaunchRange::of(done.iter().map(|fault| value(fault)));
    let back = || done.iter().filter_map(|fault| fault.recovery.recovered_after_seconds);
    let mut answers: BTreeMap<String, u64> = BTreeMap::new();
    for (answer, count) in done.iter().flat_map(|fault| &fault.answers) {
        *answers.entry(answer.clone()).or_default() += count;
    }
    Some(FaultFigures {
        action: first.action.clone(),
        launches: found.len(),
        not_done: undone.first().map(|fault| (undone.len(), fault.told.clone())),
        recovered: back().count(),
        ended: done.iter().filter(|fault| fault.server_ended).count(),
        lost: range(|fault| units::float(fault.recovery.requests_lost)),
        sent_again: range(|fault| units::float(fault.recovery.requests_sent_again)),
        seconds: LaunchRange::of(back()),
        watched: done
            .iter()
            .filter(|fault| fault.recovery.recovered_after_seconds.is_none())
            .map(|fault| fault.recovery.watched_seconds)
            .fold(0.0, f64::max),
        usual: range(|fault| fault.recovery.usual_per_second),
        lowest: range(|fault| fault.recovery.lowest_per_second),
        memory_kills: done.iter().map(|fault| fault.memory_kills).sum(),
        answers,
        told: done.first().unwrap_or(first).told.clone(),
    })
}

impl FaultFigures {
    /// Returns the launches with an injection.
    #[must_use]
    pub fn done(&self) -> usize {
        self.launches - self.not_done.as_ref().map_or(0, |(count, _)| *count)
    }

    /// Returns the outcome.
    #[must_use]
    pub fn course(&self) -> Course {
        match self.recovered {
            _ if self.done() == 0 => Course::NotDone,
            _ if self.ended > 0 => Course::Ended,
            0 => Course::NotRecovered,
            all if all == self.done() => Course::Recovered,
            _ => Course::Partly,
        }
    }

    /// Formats the lost requests; `-` if the fault was never injected.
    #[must_use]
    pub fn lost_text(&self) -> String {
        let Some(lost) = self.lost else { return "-".to_owned() };
        let lost = lost.text(range::count);
        format!("{lost}{}", self.again_text())
    }

    /// Formats the retried requests as a suffix to the lost ones; empty if there are none.
    fn again_text(&self) -> String {
        self.sent_again
            .filter(|again| again.max > 0.0)
            .map_or_else(String::new, |again| {
                format!(", {} sent again", again.text(range::count))
            })
    }

    /// Formats the time to recovery; `-` if the fault was never injected.
    #[must_use]
    pub fn recovered_text(&self) -> String {
        if self.done() == 0 {
            return "-".to_owned();
        }
        let mut text = range::recovered(self.seconds, (self.recovered, self.done(), "launches"), self.watched);
        if self.ended > 0 {
            text.push_str(": the server exited");
        }
        text
    }

    /// Formats why injection failed, and how often.
    #[must_use]
    pub fn not_done_text(&self) -> Option<String> {
        let (count, why) = self.not_done.as_ref()?;
        Some(format!("{why} ({count} of {} launches)", self.launches))
    }

    /// Formats losses and recovery on one line, with the details.
    #[must_use]
    pub fn line(&self) -> String {
        let not_done = self.not_done_text();
        let (Some(usual), Some(lowest)) = (self.usual, self.lowest) else {
            return not_done.unwrap_or_default();
        };
        let mut text = format!(
            "{} lost{}, recovered: {}; usual rate {} req/s, lowest {}",
            self.lost.map_or_else(String::new, |lost| lost.text(range::count)),
            self.again_text(),
            self.recovered_text(),
            units::rate(usual.median),
            units::rate(lowest.median)
        );
        if self.memory_kills > 0 {
            let _ = write!(text, "; the memory limit killed {} processes", self.memory_kills);
        }
        let _ = write!(text, "; {}", self.told);
        if let Some(why) = not_done {
            let _ = write!(text, "; {why}");
        }
        text
    }
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
                requests_sent_again: 0,
                recovered_after_seconds: after,
                watched_seconds: 8.0,
            },
            ..FaultRecord::default()
        }
    }

    fn undone() -> FaultRecord {
        FaultRecord {
            told: "not done: no worker process found".into(),
            ..fault(0, Some(0.0))
        }
    }

    fn figures(faults: &[FaultRecord]) -> FaultFigures {
        one(&faults.iter().collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn lines() {
        let all = figures(&[fault(16, Some(0.8)), fault(4, Some(0.2)), fault(9, Some(0.5))]);
        assert_eq!(all.course(), Course::Recovered);
        let all = all.line();
        assert!(
            all.starts_with("9 (4 to 16) lost, recovered: 0.5 s (0.2 s to 0.8 s); usual rate"),
            "{all}"
        );
        assert!(all.ends_with("; process 7 was killed"), "{all}");
        let some = figures(&[fault(1, Some(0.8)), fault(1, None)]);
        assert_eq!(some.course(), Course::Partly);
        let some = some.line();
        assert!(
            some.contains("1 lost, recovered: 0.8 s in 1 of 2 launches, else not within 8.0 s"),
            "{some}"
        );
        assert_eq!(figures(&[fault(1, None)]).course(), Course::NotRecovered);
        let mut dead = fault(1_234, None);
        dead.server_ended = true;
        let dead = figures(&[dead]);
        assert_eq!(dead.course(), Course::Ended);
        assert!(
            dead.line()
                .contains("1,234 lost, recovered: not within 8.0 s: the server exited")
        );
        assert_eq!(one(&[]), None);
    }

    #[test]
    fn retried_requests_are_shown() {
        let mut again = fault(8, Some(0.8));
        again.recovery.requests_sent_again = 3;
        let again = figures(&[again]);
        assert_eq!(again.lost_text(), "8, 3 sent again");
        assert!(
            again.line().starts_with("8 lost, 3 sent again, recovered: 0.8 s"),
            "{}",
            again.line()
        );
    }

    #[test]
    fn failed_injection_has_no_figures() {
        let never = figures(&[undone()]);
        assert_eq!(never.course(), Course::NotDone);
        assert_eq!(never.line(), "not done: no worker process found (1 of 1 launches)");
        assert_eq!((never.lost_text(), never.recovered_text()), ("-".into(), "-".into()));
        let once = figures(&[undone(), fault(9, Some(0.5))]);
        assert_eq!((once.course(), once.done()), (Course::Recovered, 1));
        let line = once.line();
        assert!(line.starts_with("9 lost, recovered: 0.5 s;"), "{line}");
        assert!(
            line.ends_with("; process 7 was killed; not done: no worker process found (1 of 2 launches)"),
            "{line}"
        );
    }
}
