//! Judges the thresholds of a run's cases on its launches.

use super::comparison::of_launch;
use crate::{
    stats::{
        Metric, Threshold, ThresholdReport,
        threshold::{ThresholdSeries, judge},
    },
    store::{
        arms::CANDIDATE,
        record::{CaseOutcome, CaseRecord, RunRecord, ValidityLevel},
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

fn series(case: &CaseRecord, threshold: Threshold) -> ThresholdSeries {
    let launches: Vec<f64> = case
        .of_arm(CANDIDATE)
        .filter_map(|launch| of_launch(launch, threshold.metric))
        .filter(|value| value.is_finite())
        .collect();
    let counts = case
        .of_arm(CANDIDATE)
        .flat_map(|launch| &launch.rounds)
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
