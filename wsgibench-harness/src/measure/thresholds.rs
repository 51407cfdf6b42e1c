//! Judges the thresholds of a run's cases on its launches.

use super::comparison::{median_of_rounds, of_rounds};
use crate::{
    load::RoundResult,
    stats::{
        Metric, Threshold, ThresholdReport,
        threshold::{ThresholdSeries, judge},
    },
    store::{
        arms::CANDIDATE,
        record::{CaseOutcome, CaseRecord, LaunchRecord, RoundRecord, RunRecord, ValidityLevel},
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
                .map(move |threshold| series(case, threshold))
        })
        .collect();
    let any = run.cases.iter().any(|case| !case.load.thresholds.is_empty());
    any.then(|| judge(&series))
}

/// Whether the figures of a round count: an invalid round says nothing about the server, for or against it.
pub(super) fn is_usable(round: &RoundRecord) -> bool {
    round.validity.level < ValidityLevel::Invalid
}

/// Returns the value of a threshold's metric in a launch: the median of its usable rounds, of the threshold's request alone if it
/// has one.
pub(super) fn of_launch(launch: &LaunchRecord, threshold: &Threshold) -> Option<f64> {
    let value = match &threshold.request {
        None => of_rounds(launch, threshold.metric, is_usable),
        Some(name) => median_of_rounds(launch, is_usable, |round| {
            of_request(&round.load, threshold.metric, name)
        }),
    };
    value.filter(|value| value.is_finite())
}

/// Returns the latency of one request or step of a round, microseconds; `None` if the round has none of that name.
pub(super) fn of_request(round: &RoundResult, metric: Metric, name: &str) -> Option<f64> {
    let quantile = match metric {
        Metric::P50 => 0.5,
        Metric::P99 => 0.99,
        _ => return None,
    };
    let requests = round.requests.iter().map(|request| (&request.name, &request.latency));
    let steps = round.steps.iter().map(|step| (&step.name, &step.latency));
    let (_, latency) = requests.chain(steps).find(|(known, _)| *known == name)?;
    let at = latency.quantile(quantile);
    #[expect(clippy::cast_precision_loss, reason = "nanoseconds of a round are far below 2^53")]
    (!latency.histogram.is_empty()).then_some(at.ns as f64 / 1e3)
}

fn series(case: &CaseRecord, threshold: &Threshold) -> ThresholdSeries {
    let launches: Vec<f64> = case
        .of_arm(CANDIDATE)
        .filter_map(|launch| of_launch(launch, threshold))
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
        threshold: threshold.clone(),
        requests: (threshold.metric == Metric::ErrorShare).then_some(requests),
        unusable: unusable(case, threshold, launches.is_empty()),
        launches,
    }
}

/// Returns why the launches of a case cannot be judged.
fn unusable(case: &CaseRecord, threshold: &Threshold, empty: bool) -> Option<String> {
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
    empty.then(|| match &threshold.request {
        None => format!("{} was not measured here", threshold.metric.title()),
        Some(name) => {
            let known = names(case);
            let known = if known.is_empty() {
                "no request was measured individually".to_owned()
            } else {
                format!("measured are {}", known.join(", "))
            };
            format!("no response of `{name}` was measured; {known}")
        }
    })
}

/// Returns the names of the requests and steps that were measured individually.
fn names(case: &CaseRecord) -> Vec<String> {
    let rounds = case.of_arm(CANDIDATE).flat_map(|launch| &launch.rounds);
    let mut names: Vec<String> = rounds
        .flat_map(|round| {
            let requests = round.load.requests.iter().map(|request| &request.name);
            requests.chain(round.load.steps.iter().map(|step| &step.name)).cloned()
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        load::{Latency, RequestResult},
        store::{record::Finding, samples},
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
    fn a_threshold_of_a_request_is_judged_on_its_own_responses() {
        let launches: Vec<_> = (0..6)
            .map(|block| samples::launch(block, CANDIDATE, 0.1, [1.0, 1.0]))
            .collect();
        let mut run = samples::run("r", &[samples::case("a", &CaseOutcome::Measured, &launches)]);
        let case = &mut run.cases[0];
        let texts = [
            "p99<10ms",
            "p99{GET /health}<10ms",
            "p99{GET /slow}<10ms",
            "p99{GET /other}<10ms",
        ];
        case.load.thresholds = texts.iter().map(|text| text.parse().unwrap()).collect();
        for launch in &mut case.launches {
            let mut round = round(5_000.0, false);
            round.load.requests = [("GET /health", 2), ("GET /slow", 60)]
                .map(|(name, milliseconds)| request(name, milliseconds + u64::from(launch.block % 2)))
                .into();
            launch.rounds = vec![round];
        }
        let report = of_run(&run).unwrap();
        let verdicts: Vec<&str> = report.outcomes.iter().map(|outcome| outcome.verdict.id()).collect();
        assert_eq!(verdicts, ["met", "met", "broken", "undecided"]);
        let unknown = report.outcomes[3].unusable.as_deref().unwrap();
        assert!(
            unknown.contains("`GET /other` was measured; measured are GET /health, GET /slow"),
            "{unknown}"
        );
    }

    fn request(name: &str, milliseconds: u64) -> RequestResult {
        let mut latency = Latency::new();
        (0..200).for_each(|_| latency.record(Duration::from_millis(milliseconds)));
        let mut result = RequestResult::new(name);
        result.done = 200;
        result.latency = latency;
        result
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
