//! Judges the thresholds of a run's cases on its launches.

use super::comparison::of_rounds;
use crate::{
    stats::{
        Metric, Threshold, ThresholdReport,
        threshold::{ThresholdSeries, judge},
    },
    store::{
        arms::CANDIDATE,
        record::{CaseOutcome, CaseRecord, RoundRecord, RunRecord, ValidityLevel},
    },
};

/// Judges all thresholds as one family; `None` if no case has any. Cases that are ignored or not available on this machine are not
/// judged.
#[must_use]
pub fn of_run(run: &RunRecord) -> Option<ThresholdReport> {
    let judged = |case: &&CaseRecord| !matches!(case.outcome, CaseOutcome::Ignored(_) | CaseOutcome::NotAvailable(_));
    let series: Vec<ThresholdSeries> = run
        .cases
        .iter()
        .filter(judged)
        .flat_map(|case| {
            case.load
                .thresholds
                .iter()
                .map(move |&threshold| series(case, threshold))
        })
        .collect();
    let any = run.cases.iter().any(|case| !case.load.thresholds.is_empty());
    any.then(|| judge(&series))
}

/// Whether the figures of a round count: an invalid round says nothing about the server, for or against it.
pub(super) fn is_usable(round: &RoundRecord) -> bool {
    round.validity.level < ValidityLevel::Invalid
}

fn series(case: &CaseRecord, threshold: Threshold) -> ThresholdSeries {
    let launches: Vec<f64> = case
        .of_arm(CANDIDATE)
        .filter_map(|launch| of_rounds(launch, threshold.metric, is_usable))
        .filter(|value| value.is_finite())
        .collect();
    let counts = case
        .of_arm(CANDIDATE)
        .flat_map(|launch| &launch.rounds)
        .filter(|round| is_usable(round))
        .map(|round| &round.load.counts);
    let requests = counts.fold((0, 0), |(failed, all), counts| {
        let errors = counts.failed + counts.timed_out;
        (failed + errors, all + counts.done + errors)
    });
    ThresholdSeries {
        case: case.id.clone(),
        threshold,
        requests: (threshold.metric == Metric::ErrorShare).then_some(requests),
        unusable: unusable(case, threshold, launches.is_empty()),
        launches,
    }
}

/// Returns why the launches of a case cannot be judged.
fn unusable(case: &CaseRecord, threshold: Threshold, empty: bool) -> Option<String> {
    match &case.outcome {
        CaseOutcome::Failed(reason) => return Some(reason.lines().next().unwrap_or_default().to_owned()),
        CaseOutcome::Unsupported(reason) => return Some(format!("unsupported: {reason}")),
        CaseOutcome::Planned => return Some("not measured".to_owned()),
        _ => {}
    }
    if case.validity.level == ValidityLevel::Invalid {
        let mut findings = case.validity.findings.iter();
        let invalid = findings.find(|finding| finding.level == ValidityLevel::Invalid);
        return Some(format!(
            "the measurement is invalid: {}",
            invalid.map_or("", |finding| finding.text.as_str())
        ));
    }
    empty.then(|| format!("{} was not measured here", threshold.metric.title()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{
        record::{Finding, LaunchRecord},
        samples,
    };

    /// Returns a round of this p99 in microseconds, in which every request failed if it is invalid.
    fn round(p99: f64, invalid: bool) -> RoundRecord {
        let mut round = samples::round();
        round.metrics.insert(Metric::P99.id().to_owned(), p99);
        let share = if invalid { 1.0 } else { 0.0 };
        round.metrics.insert(Metric::ErrorShare.id().to_owned(), share);
        round.load.counts.done = if invalid { 0 } else { 1_000 };
        round.load.counts.failed = if invalid { 1_000 } else { 0 };
        if invalid {
            round.validity.add(Finding {
                check: "client".to_owned(),
                level: ValidityLevel::Invalid,
                value: 1.0,
                threshold: 0.0,
                text: "the client was too slow".to_owned(),
            });
        }
        round
    }

    #[test]
    fn invalid_rounds_are_no_evidence() {
        let launches: Vec<_> = (0..6)
            .map(|block| samples::launch(block, CANDIDATE, 0.1, [1.0, 1.0]))
            .collect();
        let mut run = samples::run("r", &[samples::case("a", &CaseOutcome::Measured, &launches)]);
        let case = &mut run.cases[0];
        case.load.thresholds = vec!["p99<10ms".parse().unwrap(), "errors<1%".parse().unwrap()];
        let fill = |launch: &mut LaunchRecord, invalid: bool| {
            let jitter = 10.0 * f64::from(launch.block);
            launch.rounds = vec![round(5_000.0 + jitter, false), round(5e5, invalid), round(5e5, invalid)];
        };
        case.launches.iter_mut().for_each(|launch| fill(launch, true));
        let verdicts = |run: &RunRecord| -> Vec<&str> {
            let report = of_run(run).unwrap();
            report.outcomes.iter().map(|outcome| outcome.verdict.id()).collect()
        };
        assert_eq!(verdicts(&run), ["met", "met"]);
        // The same rounds, valid.
        run.cases[0].launches.iter_mut().for_each(|launch| fill(launch, false));
        assert_eq!(verdicts(&run), ["broken", "met"]);
    }
}
