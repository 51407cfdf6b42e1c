//! `JUnit` XML: each case is a test, each gated regression and each broken threshold a failure with its figures. The gate of a
//! tuning is one test.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::{ExportError, Format};
use crate::{
    profile::CaseExplanation,
    report::{
        comparison::{Comparison, change},
        display, explanation,
        figures::Figures,
        terminal::{case_text, explanation_text},
        thresholds, tuning,
    },
    stats::{Outcome, Verdict},
    store::{
        record::{CaseOutcome, CaseRecord, RunRecord, ValidityLevel},
        tuning::TuneRecord,
    },
};

pub(super) fn render(run: &RunRecord) -> Result<Vec<u8>, ExportError> {
    let comparison = match Comparison::of(run) {
        None => Comparison::default(),
        Some(read) => read.map_err(|e| ExportError::form(Format::Junit, e))?,
    };
    let mut report = Report::new("wsgibench");
    let mut suites: Vec<TestSuite> = Vec::new();
    let judged = thresholds::rows(run);
    for case in &run.cases {
        let explained = run
            .explanation
            .as_ref()
            .and_then(|all| all.cases.iter().find(|one| one.case == case.id));
        let mut test = test(case, &comparison, explained, &judged);
        if let (Some(_), CaseOutcome::Failed(why)) = (&run.tuning, &case.outcome) {
            // A tuning drops a setting that cannot be measured.
            let mut status = TestCaseStatus::skipped();
            status.set_message(why.as_str());
            test.status = status;
        }
        if !suites.iter().any(|s| s.name.as_str() == case.scenario) {
            suites.push(TestSuite::new(case.scenario.as_str()));
        }
        if let Some(suite) = suites.iter_mut().find(|s| s.name.as_str() == case.scenario) {
            suite.add_test_case(test);
        }
    }
    // A gate that fails because of missing measurements must fail here too.
    if comparison.gate && !comparison.missing.is_empty() {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status.set_type("missing").set_message(comparison.missing.join("; "));
        let mut suite = TestSuite::new("gate");
        suite.add_test_case(TestCase::new("everything gated was measured", status));
        suites.push(suite);
    }
    suites.extend(run.tuning.as_deref().filter(|tuning| tuning.gate).map(present_setting));
    report.add_test_suites(suites);
    report
        .to_string()
        .map(String::into_bytes)
        .map_err(|e| ExportError::form(Format::Junit, e))
}

/// Returns the verdict of a tuning's gate as a test.
fn present_setting(record: &TuneRecord) -> TestSuite {
    let sentences = tuning::answer(record).join(" ");
    let status = match record.verdict.as_str() {
        "pass" => TestCaseStatus::success(),
        "worse" => failure("worse", &[sentences], None),
        other => error(other, &sentences),
    };
    let mut suite = TestSuite::new("gate");
    suite.add_test_case(TestCase::new("the present setting is as good as the best", status));
    suite
}

fn test(
    case: &CaseRecord,
    comparison: &Comparison,
    explained: Option<&CaseExplanation>,
    judged: &[thresholds::Row],
) -> TestCase {
    let figures = Figures::of(case);
    let outcomes: Vec<&Outcome> = comparison.outcomes.iter().filter(|o| o.case == case.id).collect();
    let worse: Vec<String> = outcomes
        .iter()
        .filter(|o| o.gated && o.verdict == Verdict::Regression)
        .map(|o| sentence(o, comparison))
        .collect();
    let thresholds: Vec<thresholds::Row> = judged.iter().filter(|row| row.case == case.id).cloned().collect();
    let broken: Vec<String> = thresholds
        .iter()
        .filter(|row| row.verdict == "broken")
        .map(thresholds::Row::sentence)
        .collect();
    let status = match &case.outcome {
        CaseOutcome::Failed(why) => error("failed", why),
        CaseOutcome::Measured if !worse.is_empty() => failure(
            "regression",
            &[worse, broken].concat(),
            explained.map(explanation::summary),
        ),
        CaseOutcome::Measured if !broken.is_empty() => failure("broken_threshold", &broken, None),
        CaseOutcome::Measured if figures.level == ValidityLevel::Invalid => {
            let texts: Vec<&str> = figures.findings.iter().map(|f| f.text.as_str()).collect();
            error("invalid", &texts.join("; "))
        }
        CaseOutcome::Measured => TestCaseStatus::success(),
        other => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(display::unmeasured(other).unwrap_or_default());
            status
        }
    };
    let mut test = TestCase::new(format!("{}/{}", case.server, case.param), status);
    test.set_classname(case.scenario.as_str());
    let seconds: f64 = case
        .launches
        .iter()
        .flat_map(|l| &l.rounds)
        .map(|r| r.load.seconds)
        .sum();
    test.set_time(Duration::try_from_secs_f64(seconds).unwrap_or_default());
    let mut output = console::strip_ansi_codes(&case_text(case)).into_owned();
    for outcome in outcomes {
        output.push_str(&sentence(outcome, comparison));
        output.push('\n');
    }
    if let Some(explained) = explained {
        output.push_str(&console::strip_ansi_codes(&explanation_text(explained)));
    }
    for row in thresholds {
        output.push_str(&row.sentence());
        output.push('\n');
    }
    test.set_system_out(output);
    test
}

/// Returns a failure with its sentences; `more` is added to its description.
fn failure(kind: &str, sentences: &[String], more: Option<String>) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_type(kind).set_message(sentences.join("; "));
    status.set_description(sentences.iter().cloned().chain(more).collect::<Vec<_>>().join("\n"));
    status
}

fn error(kind: &str, why: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_type(kind).set_message(why);
    status
}

fn sentence(outcome: &Outcome, comparison: &Comparison) -> String {
    let interval = outcome.interval.map_or_else(String::new, |i| {
        format!(" [{}, {}]", change(outcome, i.low), change(outcome, i.high))
    });
    let figure = outcome
        .change
        .map_or_else(|| "no figure".into(), |c| change(outcome, c));
    format!(
        "{}: {} {figure}{interval} against {}: {} (margin {}, p = {:.2e}, {} blocks)",
        outcome.case,
        outcome.metric.title(),
        comparison.against,
        outcome.verdict,
        outcome.margin,
        outcome.p,
        outcome.blocks
    )
}
