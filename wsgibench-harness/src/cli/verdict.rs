//! `verdict.json` and the exit status of a comparison.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::exit::ExitStatus;
use crate::{
    stats::{Outcome, Verdict, disturbance::Disturbance},
    store::record::{CaseOutcome, CaseRecord, RunRecord, ValidityLevel},
};

/// The decision of a run, for programs: `target/wsgibench/verdict.json`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct VerdictFile {
    /// Version of this form.
    pub version: u32,
    /// Run id.
    pub run: String,
    /// What the candidate was held against: a commit, a server, a baseline.
    pub against: String,
    /// Whether a gate was asked for.
    pub gate: bool,
    /// `pass`, `regression`, `inconclusive`, `missing`, `failed`.
    pub verdict: String,
    /// Exit status that goes with it.
    pub exit_status: i32,
    /// Why the measurement ended.
    pub ended: String,
    /// How steady the machine was.
    pub disturbance: Disturbance,
    /// What was missing or invalid, case by case.
    pub missing: Vec<String>,
    /// Cases that are in one arm only.
    pub unmatched: Vec<String>,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// Per case and metric: verdict, change, interval, p, margin, MDE, blocks.
    pub outcomes: Vec<Outcome>,
}

/// `--gate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Gate {
    /// A regression fails.
    On,
    /// What cannot be decided fails too.
    Strict,
}

/// What a gate misses: gated pairs that were not decided on sound measurements.
#[must_use]
pub fn missing(run: &RunRecord, outcomes: &[Outcome], disturbance: &Disturbance) -> Vec<String> {
    let mut missing = Vec::new();
    if outcomes.iter().all(|o| !o.gated) {
        missing.push("nothing was compared".to_owned());
    }
    for case in &run.cases {
        match &case.outcome {
            // The arm that was asked first ends the case: whether the other is like it nobody knows.
            CaseOutcome::Unsupported(reason) => {
                missing.push(format!(
                    "{}: unsupported, perhaps on one side only: {reason}; leave it out with --skip",
                    case.id
                ));
                continue;
            }
            // Of both arms alike, or the case would have failed: it is no reason to fail. Another server's case may be there.
            CaseOutcome::NotAvailable(reason) => {
                if outcomes.iter().any(|o| o.gated && o.case == case.id) {
                    missing.push(format!("{}: not available here: {reason}", case.id));
                }
                continue;
            }
            CaseOutcome::Ignored(_) => continue,
            CaseOutcome::Measured => {}
            CaseOutcome::Planned => missing.push(format!("{}: not measured", case.id)),
            CaseOutcome::Failed(reason) => {
                missing.push(format!("{}: {}", case.id, in_a_line(reason)));
            }
        }
        if case.validity.level == ValidityLevel::Invalid {
            let why = case
                .validity
                .findings
                .iter()
                .find(|f| f.level == ValidityLevel::Invalid)
                .map_or("", |f| f.text.as_str());
            missing.push(format!("{}: the measurement is invalid: {why}", case.id));
        }
    }
    let told = |id: &str| {
        missing
            .iter()
            .any(|text| text.strip_prefix(id).is_some_and(|rest| rest.starts_with(':')))
    };
    let undecided = outcomes.iter().filter(|o| o.gated && o.undecided && !told(&o.case));
    for outcome in undecided.collect::<Vec<_>>() {
        missing.push(format!(
            "{}: {} has {} usable blocks, too few to decide",
            outcome.case,
            outcome.metric.title(),
            outcome.blocks
        ));
    }
    if disturbance.invalid {
        missing.push(format!(
            "{} of {} blocks were disturbed: this machine was too unsteady to measure on",
            disturbance.repeated, disturbance.blocks
        ));
    }
    missing
}

/// A reason of many lines, such as a server's last words: how it begins, and how it ends.
fn in_a_line(reason: &str) -> String {
    let mut lines = reason.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    lines
        .next_back()
        .map_or_else(|| first.to_owned(), |last| format!("{first} {last}"))
}

/// Cases that cannot be had on this machine and so were not compared, with the reason.
#[must_use]
pub fn away(run: &RunRecord) -> Vec<String> {
    let reason = |case: &CaseRecord| match &case.outcome {
        CaseOutcome::NotAvailable(reason) => Some(format!("{}: not compared, not available here: {reason}", case.id)),
        _ => None,
    };
    run.cases.iter().filter_map(reason).collect()
}

/// Verdict and status of a comparison. Without a gate only what failed to run counts.
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
    } else if gate == Gate::Strict && gated().any(|o| o.verdict == Verdict::Inconclusive) {
        ("inconclusive", ExitStatus::Inconclusive)
    } else {
        ("pass", ExitStatus::Success)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        stats::{Decision, Design, Guard, Metric, Series},
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
            gated: true,
            validity_worse: false,
            blocks: (0..blocks).map(|block| (1.0, candidate * wobble(block))).collect(),
        };
        Decision::new(Design::standard(1)).unwrap().decide(&[series])
    }

    fn said(outcome: &CaseOutcome, outcomes: &[Outcome]) -> Vec<String> {
        let run = samples::run("r", &[samples::case("a", outcome, &[])]);
        missing(&run, outcomes, &Guard::default().judge(0, 26))
    }

    #[test]
    fn what_was_not_seen_is_missing() {
        let fine = outcomes("a", 26, 1.0);
        assert_eq!(said(&CaseOutcome::Measured, &fine), [] as [String; 0]);
        for (outcome, told) in [
            (CaseOutcome::Planned, "ping/a/c1: not measured"),
            (
                CaseOutcome::Failed("it died; it printed last:\n    booting\n    no such module\n".into()),
                "ping/a/c1: it died; it printed last: no such module",
            ),
            (CaseOutcome::Unsupported("no chunks".into()), "leave it out with --skip"),
        ] {
            let missing = said(&outcome, &outcomes("a", 0, 1.0));
            assert!(missing.len() == 1 && missing[0].contains(told), "{missing:?}");
        }
        assert_eq!(said(&CaseOutcome::Measured, &[]), ["nothing was compared"]);
        let few = said(&CaseOutcome::Measured, &outcomes("a", 3, 1.0));
        assert!(
            few.len() == 1 && few[0].contains("3 usable blocks, too few to decide"),
            "{few:?}"
        );
    }

    #[test]
    fn what_cannot_be_had_here_is_missing_only_where_nothing_else_was_compared() {
        let away = CaseOutcome::NotAvailable("no apache2".into());
        assert_eq!(said(&away, &outcomes("b", 26, 1.0)), [] as [String; 0]);
        // Another server's case stands against it: that was to be decided, and was not.
        let beside = said(&away, &outcomes("a", 0, 1.0));
        assert!(
            beside.len() == 1 && beside[0].contains("not available here: no apache2"),
            "{beside:?}"
        );
        assert_eq!(said(&away, &[]), ["nothing was compared"]);
    }

    #[test]
    fn the_status_of_a_gate() {
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
    }
}
