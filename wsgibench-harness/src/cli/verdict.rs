//! `verdict.json` and the exit status of a comparison.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::exit::ExitStatus;
use crate::{
    counts::attribution::Attribution,
    stats::{Outcome, ThresholdReport, Verdict, disturbance::Disturbance},
    store::record::{CaseOutcome, CaseRecord, RunRecord, ValidityLevel},
};

/// The decision of a run, for programs: `target/wsgibench/verdict.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct VerdictFile {
    /// Schema version.
    pub version: u32,
    /// Run id.
    pub run: String,
    /// The base of the comparison: a commit, a server, a baseline.
    pub against: String,
    /// Whether a gate was requested.
    pub gate: bool,
    /// `pass`, `regression`, `broken` (a threshold), `inconclusive`, `missing`, `failed`.
    pub verdict: String,
    /// The corresponding exit status.
    pub exit_status: i32,
    /// The reason why the measurement ended.
    pub ended: String,
    /// Stability of the machine.
    pub disturbance: Disturbance,
    /// Missing or invalid cases.
    pub missing: Vec<String>,
    /// Cases that exist in one arm only.
    pub unmatched: Vec<String>,
    /// Servers with the same image, command, limits and load in both arms.
    #[serde(default)]
    pub identical: Vec<String>,
    /// Remarks for the reader.
    pub notes: Vec<String>,
    /// Results per case and metric: verdict, change, interval, p, margin, MDE, blocks.
    pub outcomes: Vec<Outcome>,
    /// Judged thresholds, with the confidence of all together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thresholds: Option<ThresholdReport>,
    /// Changes of instructions by function and library, per case (`--count`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attribution: BTreeMap<String, Attribution>,
}

/// `--gate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Gate {
    /// Fails on a regression.
    On,
    /// Also fails on an inconclusive comparison.
    Strict,
}

/// Returns gaps in a gate: gated pairs that were not decided on valid measurements.
#[must_use]
pub fn missing(gate: Option<Gate>, run: &RunRecord, outcomes: &[Outcome], disturbance: &Disturbance) -> Vec<String> {
    let gated = || outcomes.iter().filter(|outcome| outcome.gated);
    // If the case itself is missing, its number of blocks adds no information.
    let lost: BTreeMap<&str, String> = run
        .cases
        .iter()
        .filter_map(|case| {
            let compared = gated().any(|outcome| outcome.case == case.id);
            Some((case.id.as_str(), lost(case, compared || gate == Some(Gate::Strict))?))
        })
        .collect();
    let nothing = gated().next().is_none().then(|| "nothing was compared".to_owned());
    let of_cases = lost.iter().map(|(id, why)| format!("{id}: {why}"));
    let of_pairs = gated()
        .filter(|outcome| outcome.undecided && !lost.contains_key(outcome.case.as_str()))
        .map(|outcome| {
            format!(
                "{}: {} has {} usable blocks, too few to decide",
                outcome.case,
                outcome.metric.title(),
                outcome.blocks
            )
        });
    let of_machine = disturbance.invalid.then(|| {
        format!(
            "{} of {} blocks were disturbed: this machine was too unstable",
            disturbance.repeated, disturbance.blocks
        )
    });
    nothing
        .into_iter()
        .chain(of_cases)
        .chain(of_pairs)
        .chain(of_machine)
        .collect()
}

/// Returns why a case does not count for a gate. An unavailable case counts only if it was `wanted`: unavailability affects
/// both arms alike, unless they are different servers.
fn lost(case: &CaseRecord, wanted: bool) -> Option<String> {
    match &case.outcome {
        CaseOutcome::Ignored(_) => None,
        CaseOutcome::NotAvailable(reason) => wanted.then(|| format!("not available here: {reason}")),
        // The first arm ends the case, so the state of the other is unknown.
        CaseOutcome::Unsupported(reason) => Some(format!(
            "unsupported, perhaps in one arm only: {reason}; exclude it with --skip"
        )),
        CaseOutcome::Planned => Some("not measured".to_owned()),
        CaseOutcome::Failed(reason) => Some(in_a_line(reason)),
        CaseOutcome::Measured => (case.validity.level == ValidityLevel::Invalid).then(|| {
            let invalid = case
                .validity
                .findings
                .iter()
                .find(|f| f.level == ValidityLevel::Invalid);
            format!(
                "the measurement is invalid: {}",
                invalid.map_or("", |f| f.text.as_str())
            )
        }),
    }
}

/// Shortens a reason of many lines, such as a server's last output, to its beginning and end.
fn in_a_line(reason: &str) -> String {
    let mut lines = reason.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    lines
        .next_back()
        .map_or_else(|| first.to_owned(), |last| format!("{first} {last}"))
}

/// Returns cases unavailable on this machine and hence not compared, with the reason.
#[must_use]
pub fn away(run: &RunRecord) -> Vec<String> {
    let reason = |case: &CaseRecord| match &case.outcome {
        CaseOutcome::NotAvailable(reason) => Some(format!("{}: not compared, not available here: {reason}", case.id)),
        _ => None,
    };
    run.cases.iter().filter_map(reason).collect()
}

/// Returns verdict and status of a comparison. Without a gate, only failed cases count.
#[must_use]
pub fn status(
    gate: Option<Gate>,
    of_run: ExitStatus,
    missing: &[String],
    outcomes: &[Outcome],
) -> (&'static str, ExitStatus) {
    let Some(gate) = gate else {
        return ("advisory", of_run);
    };
    let gated = || outcomes.iter().filter(|o| o.gated);
    if !missing.is_empty() {
        ("missing", ExitStatus::GateMissing)
    } else if gated().any(|o| o.verdict == Verdict::Regression) {
        ("regression", ExitStatus::Regression)
    } else if of_run != ExitStatus::Success {
        ("failed", of_run)
    } else if gate == Gate::Strict && gated().any(is_inconclusive) {
        ("inconclusive", ExitStatus::Inconclusive)
    } else {
        ("pass", ExitStatus::Success)
    }
}

/// Returns whether a strict gate fails on the pair: it has no verdict on a primary metric, or on a secondary one sensitive
/// enough to detect its margin. A secondary metric whose MDE exceeds its margin never blocks.
fn is_inconclusive(outcome: &Outcome) -> bool {
    let sees_its_margin = outcome.mde.is_some_and(|mde| mde <= outcome.margin.value());
    outcome.verdict == Verdict::Inconclusive && (outcome.primary || sees_its_margin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        stats::{Decision, Design, Family, GateRole, Guard, Metric, Series},
        store::samples,
    };

    fn outcomes(case: &str, blocks: usize, candidate: f64) -> Vec<Outcome> {
        scattered(case, blocks, candidate, 0.001)
    }

    fn scattered(case: &str, blocks: usize, candidate: f64, by: f64) -> Vec<Outcome> {
        let wobble = |block: usize| if block.is_multiple_of(2) { 1.0 + by } else { 1.0 - by };
        let series = Series {
            case: format!("ping/{case}/c1"),
            metric: Metric::CpuPerRequest,
            margin: Metric::CpuPerRequest.default_margin(),
            role: GateRole::Primary(0.5),
            validity_worse: false,
            blocks: (0..blocks).map(|block| (1.0, candidate * wobble(block))).collect(),
        };
        Decision::new(Design::standard()).unwrap().decide(&[series])
    }

    fn missing_texts(outcome: &CaseOutcome, outcomes: &[Outcome]) -> Vec<String> {
        let run = samples::run("r", &[samples::case("a", outcome, &[])]);
        missing(Some(Gate::On), &run, outcomes, &Guard::default().judge(0, 26))
    }

    #[test]
    fn unmeasured_cases_are_missing() {
        let fine = outcomes("a", 26, 1.0);
        assert_eq!(missing_texts(&CaseOutcome::Measured, &fine), [] as [String; 0]);
        for (outcome, told) in [
            (CaseOutcome::Planned, "ping/a/c1: not measured"),
            (
                CaseOutcome::Failed("it died; last output:\n    booting\n    no such module\n".into()),
                "ping/a/c1: it died; last output: no such module",
            ),
            (CaseOutcome::Unsupported("no chunks".into()), "exclude it with --skip"),
        ] {
            let missing = missing_texts(&outcome, &outcomes("a", 0, 1.0));
            assert!(missing.len() == 1 && missing[0].contains(told), "{missing:?}");
        }
        assert_eq!(missing_texts(&CaseOutcome::Measured, &[]), ["nothing was compared"]);
        let unsteady = missing(
            None,
            &samples::run("r", &[samples::case("a", &CaseOutcome::Measured, &[])]),
            &fine,
            &Guard::default().judge(14, 40),
        );
        assert!(
            unsteady.len() == 1 && unsteady[0].starts_with("14 of 40 blocks"),
            "{unsteady:?}"
        );
        let few = missing_texts(&CaseOutcome::Measured, &outcomes("a", 3, 1.0));
        assert!(
            few.len() == 1 && few[0].contains("3 usable blocks, too few to decide"),
            "{few:?}"
        );
    }

    #[test]
    fn unavailable_cases_are_missing_only_if_nothing_else_was_compared() {
        let away = CaseOutcome::NotAvailable("no apache2".into());
        assert_eq!(missing_texts(&away, &outcomes("b", 26, 1.0)), [] as [String; 0]);
        // Another server's case is compared with it: it was to be decided and was not.
        let other = missing_texts(&away, &outcomes("a", 0, 1.0));
        assert!(
            other.len() == 1 && other[0].contains("not available here: no apache2"),
            "{other:?}"
        );
        assert_eq!(missing_texts(&away, &[]), ["nothing was compared"]);
        let run = samples::run("r", &[samples::case("a", &away, &[])]);
        let calm = Guard::default().judge(0, 26);
        let strict = missing(Some(Gate::Strict), &run, &outcomes("b", 26, 1.0), &calm);
        assert_eq!(strict, ["ping/a/c1: not available here: no apache2"]);
    }

    #[test]
    fn gate_status_follows_the_verdict() {
        let (same, slower, unclear) = (
            outcomes("a", 26, 1.0),
            outcomes("a", 26, 1.1),
            scattered("a", 26, 1.0, 0.1),
        );
        let ask = |gate, run, missing: &[&str], outcomes: &[Outcome]| {
            let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
            status(gate, run, &missing, outcomes)
        };
        let (on, strict, fine) = (Some(Gate::On), Some(Gate::Strict), ExitStatus::Success);
        assert_eq!(ask(on, fine, &[], &same), ("pass", ExitStatus::Success));
        assert_eq!(ask(on, fine, &[], &slower), ("regression", ExitStatus::Regression));
        assert_eq!(ask(None, fine, &[], &slower), ("advisory", ExitStatus::Success));
        assert_eq!(ask(on, fine, &["x"], &slower), ("missing", ExitStatus::GateMissing));
        assert_eq!(
            ask(on, ExitStatus::CaseFailed, &[], &same),
            ("failed", ExitStatus::CaseFailed)
        );
        assert_eq!(unclear[0].verdict, Verdict::Inconclusive, "{unclear:?}");
        assert_eq!(ask(on, fine, &[], &unclear), ("pass", ExitStatus::Success));
        assert_eq!(
            ask(strict, fine, &[], &unclear),
            ("inconclusive", ExitStatus::Inconclusive)
        );
        // As a secondary pair, it is too noisy to detect its margin and does not block even a strict gate.
        let mut secondary = unclear;
        secondary[0].primary = false;
        assert_eq!(ask(strict, fine, &[], &secondary), ("pass", ExitStatus::Success));
        secondary[0].mde = Some(0.01);
        assert_eq!(
            ask(strict, fine, &[], &secondary),
            ("inconclusive", ExitStatus::Inconclusive)
        );
    }

    /// An additional wait of 2 ms, invisible in CPU time per request, ends a gate with status 3: even at ten blocks, at
    /// which the other metrics are undecided, nothing is missing.
    #[test]
    fn additional_wait_ends_a_gate_as_a_regression() {
        let family = Family::standard(1);
        let judged = |blocks: usize, slower: f64| {
            let series: Vec<Series> = family
                .metrics()
                .iter()
                .map(|&metric| {
                    let ratio = match metric {
                        Metric::P50 | Metric::P99 => slower,
                        Metric::Throughput => 1.0 / slower,
                        _ => 1.0,
                    };
                    let pair = |block: usize| {
                        let wobble = if block.is_multiple_of(2) { 1.002 } else { 0.998 };
                        match metric {
                            Metric::ErrorShare => (0.0, 0.0),
                            _ => (10.0, 10.0 * ratio * wobble),
                        }
                    };
                    Series {
                        case: "ping/a/c1".to_owned(),
                        metric,
                        margin: metric.default_margin(),
                        role: family.role(metric),
                        validity_worse: false,
                        blocks: (0..blocks).map(pair).collect(),
                    }
                })
                .collect();
            Decision::new(Design::within(blocks).unwrap()).unwrap().decide(&series)
        };
        let run = samples::run("r", &[samples::case("a", &CaseOutcome::Measured, &[])]);
        let calm = Guard::default().judge(0, 26);
        let ends = |outcomes: &[Outcome]| {
            let missing = missing(Some(Gate::On), &run, outcomes, &calm);
            status(Some(Gate::On), ExitStatus::Success, &missing, outcomes)
        };
        assert_eq!(ends(&judged(16, 1.2)), ("regression", ExitStatus::Regression));
        assert_eq!(ends(&judged(16, 1.0)), ("pass", ExitStatus::Success));
        assert_eq!(ends(&judged(10, 1.2)), ("pass", ExitStatus::Success));
    }

    #[cfg(feature = "schemas")]
    #[test]
    fn the_form_of_verdict_json() {
        insta::assert_json_snapshot!(schemars::schema_for!(VerdictFile));
    }
}
