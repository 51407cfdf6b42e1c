//! Thresholds of a run: those of the scenarios and of `--threshold`, judged after the last launch.

use std::collections::BTreeMap;

use super::{
    Failure,
    args::{Args, Count},
    compare::VERDICT_VERSION,
    exit::{self, ExitStatus},
    plan::Plan,
    run::Run,
    verdict::{Gate, VerdictFile},
};
use crate::{
    declare::Case,
    load::{Load, request_names},
    measure::{comparison, thresholds},
    stats::{Threshold, ThresholdReport, ThresholdVerdict},
    store::{
        record::{CaseOutcome, RunRecord},
        write_json,
    },
};

/// Applies the thresholds of the command line to all cases of the plan, in place of those that the scenarios have for the same
/// metrics.
pub(super) fn apply(run: &Run, args: &Args, plan: &mut Plan) -> Result<(), Failure> {
    let given = given(args)?;
    if given.is_empty() {
        return Ok(());
    }
    let faulty: Vec<String> = plan
        .cases
        .iter()
        .filter(|case| has_faults(case))
        .map(|case| case.id.clone())
        .collect();
    if faulty.len() == plan.cases.len() {
        return Err(Failure::usage(format!(
            "--threshold: cases with faults have no rate to judge, and only such are selected: {}",
            faulty.join(", ")
        )));
    }
    if !faulty.is_empty() {
        let text = format!(
            "no thresholds, because cases with faults have no rate: {}",
            faulty.join(", ")
        );
        run.listeners.notice("", text);
    }
    if let Some(problem) = nowhere(&given, &plan.cases) {
        return Err(Failure::usage(problem));
    }
    let jobs = plan.order.jobs.iter_mut().map(|job| &mut job.case);
    for case in plan.cases.iter_mut().chain(jobs).filter(|case| !has_faults(case)) {
        let load = with(case.work.load(), &given);
        case.work = case.work.clone().with_load(load);
    }
    Ok(())
}

fn has_faults(case: &Case) -> bool {
    !case.work.load().faults.is_empty()
}

/// Whether a threshold applies to a load: one of a single request only where the mix has it. The steps of a script are known once it
/// has run.
fn applies(threshold: &Threshold, load: &Load) -> bool {
    let known = request_names(&load.requests);
    let name = threshold.request.as_ref();
    name.is_none_or(|name| load.requests.is_empty() || known.contains(name))
}

/// Returns the problem of a threshold that applies to no case.
fn nowhere(given: &[Threshold], cases: &[Case]) -> Option<String> {
    let threshold = given
        .iter()
        .find(|threshold| !cases.iter().any(|case| applies(threshold, case.work.load())))?;
    let mut known: Vec<String> = cases
        .iter()
        .flat_map(|case| request_names(&case.work.load().requests))
        .collect();
    known.sort_unstable();
    known.dedup();
    let known = if known.is_empty() {
        "they have a single request each; leave out the name".to_owned()
    } else {
        format!("they have {}", known.join(", "))
    };
    Some(format!(
        "--threshold {threshold}: request not found in the selected cases; {known}"
    ))
}

fn with(load: &Load, given: &[Threshold]) -> Load {
    let mut load = load.clone();
    let given: Vec<Threshold> = given
        .iter()
        .filter(|threshold| applies(threshold, &load))
        .cloned()
        .collect();
    load.thresholds
        .retain(|threshold| given.iter().all(|other| !other.is_about_the_same(threshold)));
    load.thresholds.extend(given);
    load
}

/// Parses the thresholds of the command line.
pub(super) fn given(args: &Args) -> Result<Vec<Threshold>, Failure> {
    let parse = |text: &String| text.parse().map_err(|e| Failure::usage(format!("--threshold {e}")));
    let given: Vec<Threshold> = args.threshold.iter().map(parse).collect::<Result<_, _>>()?;
    if let Some(problem) = Threshold::contradiction(&given) {
        return Err(Failure::usage(format!("--threshold: {problem}")));
    }
    if !given.is_empty() && args.count == Some(Count::Alone) {
        return Err(Failure::usage(
            "--threshold judges time and --count measures none; leave one out, or count first with --gate --count=first",
        ));
    }
    Ok(given)
}

/// Returns whether a case of the plan has a threshold.
pub(super) fn any(plan: &Plan) -> bool {
    plan.cases.iter().any(|case| !case.work.load().thresholds.is_empty())
}

/// Judges the thresholds of a run, adds them to its record and to `verdict.json`, and returns the exit status. `status` is that
/// of the run and, with a base, of its comparison.
pub(super) fn conclude(
    run: &Run,
    args: &Args,
    record: &mut RunRecord,
    status: ExitStatus,
) -> Result<ExitStatus, Failure> {
    if record.counted.is_some() || args.self_check || args.test || !args.bench {
        return Ok(status);
    }
    let Some(report) = thresholds::of_run(record) else {
        return Ok(status);
    };
    let earlier = record
        .comparison
        .clone()
        .and_then(|comparison| serde_json::from_value::<VerdictFile>(comparison).ok());
    let compared = earlier.is_some();
    let mut file = earlier.unwrap_or_else(|| alone(args, record, status));
    file.missing.extend(missing(args.gate, record, &report));
    let of_run = exit::of_run(record);
    let (word, status) = decide(
        args.gate,
        (file.verdict.as_str(), status),
        of_run,
        &file.missing,
        &report,
    );
    file.verdict = word;
    file.exit_status = status as i32;
    file.thresholds = Some(report.clone());
    write_json(&run.store.root().join("verdict.json"), &file)?;
    record.thresholds = Some(report);
    if compared {
        record.comparison = serde_json::to_value(&file).ok();
    }
    run.store.rewrite(record)?;
    Ok(status)
}

/// Returns the verdict of a run without a base.
fn alone(args: &Args, record: &RunRecord, status: ExitStatus) -> VerdictFile {
    VerdictFile {
        version: VERDICT_VERSION,
        run: record.id.clone(),
        against: String::new(),
        gate: args.gate.is_some(),
        verdict: if args.gate.is_some() { "pass" } else { "advisory" }.to_owned(),
        exit_status: status as i32,
        ended: if record.interrupted {
            "interrupted"
        } else {
            "all launches"
        }
        .to_owned(),
        disturbance: comparison::disturbance(record),
        missing: Vec::new(),
        unmatched: Vec::new(),
        identical: Vec::new(),
        notes: Vec::new(),
        outcomes: Vec::new(),
        thresholds: None,
        attribution: BTreeMap::new(),
    }
}

/// Returns gaps of a gate: thresholds without figures. A case that is not available on this machine is one for a strict gate only.
fn missing(gate: Option<Gate>, record: &RunRecord, report: &ThresholdReport) -> Vec<String> {
    let unusable = report.outcomes.iter().filter_map(|outcome| {
        let reason = outcome.unusable.as_ref()?;
        Some(format!("{}: threshold `{}`: {reason}", outcome.case, outcome.threshold))
    });
    let away = record.cases.iter().filter_map(|case| match &case.outcome {
        CaseOutcome::NotAvailable(reason) if gate == Some(Gate::Strict) && !case.load.thresholds.is_empty() => {
            Some(format!("{}: not available here: {reason}", case.id))
        }
        _ => None,
    });
    let nothing = report.outcomes.is_empty().then(|| "no threshold was judged".to_owned());
    unusable.chain(away).chain(nothing).collect()
}

/// Joins the verdict of a comparison, if there was one, with that of the thresholds.
fn decide(
    gate: Option<Gate>,
    (word, status): (&str, ExitStatus),
    of_run: ExitStatus,
    missing: &[String],
    report: &ThresholdReport,
) -> (String, ExitStatus) {
    let Some(gate) = gate else {
        return (word.to_owned(), status);
    };
    let any = |verdict| report.outcomes.iter().any(|outcome| outcome.verdict == verdict);
    let (word, status) = match status {
        ExitStatus::Interrupted => ("interrupted", status),
        // Without a base, nothing has looked at the run's own status yet.
        _ if of_run == ExitStatus::Interrupted && status == ExitStatus::Success => ("interrupted", of_run),
        ExitStatus::GateMissing => ("missing", status),
        _ if !missing.is_empty() => ("missing", ExitStatus::GateMissing),
        ExitStatus::Regression => (word, status),
        _ if any(ThresholdVerdict::Broken) => ("broken", ExitStatus::Regression),
        ExitStatus::CaseFailed => ("failed", status),
        ExitStatus::Success if gate == Gate::Strict && any(ThresholdVerdict::Undecided) => {
            ("inconclusive", ExitStatus::Inconclusive)
        }
        _ => (word, status),
    };
    (word.to_owned(), status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        load::get,
        stats::threshold::{ThresholdSeries, judge},
    };

    fn args(arguments: &[&str]) -> Args {
        let line = ["bench"].iter().chain(arguments).map(std::ffi::OsString::from);
        Args::parse_from_os(line).unwrap()
    }

    fn report(launches: [f64; 3]) -> ThresholdReport {
        judge(&[ThresholdSeries {
            case: "ping/a/c1".into(),
            threshold: "p99<50ms".parse().unwrap(),
            launches: launches.to_vec(),
            requests: None,
            unusable: None,
        }])
    }

    #[test]
    fn invalid_thresholds_of_the_command_line_name_the_option() {
        let text = |arguments: &[&str]| given(&args(arguments)).unwrap_err().text;
        assert!(text(&["--threshold", "p99<50"]).starts_with("--threshold `p99<50`: a time needs a unit"));
        let twice = text(&["--threshold", "p99<50ms,p99<60ms"]);
        assert!(twice.contains("p99 has two thresholds"), "{twice}");
        let counted = text(&["--count", "--threshold", "p99<50ms"]);
        assert!(counted.contains("--count measures none"), "{counted}");
        assert_eq!(
            given(&args(&["--threshold", "p99<50ms", "--threshold", "errors<1%"]))
                .unwrap()
                .len(),
            2
        );
    }

    #[test]
    fn command_line_replaces_the_threshold_of_the_same_metric() {
        let limit = |text: &str| text.parse::<Threshold>().unwrap();
        let load = Load::closed(1)
            .for_script()
            .threshold(limit("p99<9ms"))
            .threshold(limit("errors<1%"));
        let texts: Vec<String> = with(&load, &[limit("p99<50ms")])
            .thresholds
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(texts, ["error_share<1%", "p99<50ms"]);
    }

    #[test]
    fn thresholds_of_a_request_apply_where_the_mix_has_it() {
        let limit = |text: &str| text.parse::<Threshold>().unwrap();
        let mix = Load::closed(1).request(get("/")).request(get("/health"));
        let given = [limit("p99{GET /health}<50ms"), limit("p99<9s")];
        assert_eq!(with(&mix, &given).thresholds, given);
        let single = Load::closed(1).request(get("/"));
        assert_eq!(with(&single, &given).thresholds, given[1..]);
        assert_eq!(with(&Load::closed(1).for_script(), &given).thresholds, given);
    }

    #[test]
    fn verdict_of_thresholds_joins_that_of_a_comparison() {
        let (met, broken, unclear) = (
            report([9_000.0, 9_100.0, 9_050.0]),
            report([90_000.0, 91_000.0, 90_500.0]),
            report([40_000.0, 60_000.0, 50_000.0]),
        );
        let (on, strict) = (Some(Gate::On), Some(Gate::Strict));
        let pass = ("pass", ExitStatus::Success);
        let ask = |gate, compared: (&str, ExitStatus), missing: &[String], report: &ThresholdReport| {
            let (word, status) = decide(gate, compared, ExitStatus::Success, missing, report);
            format!("{word} {}", status as i32)
        };
        assert_eq!(ask(on, pass, &[], &met), "pass 0");
        assert_eq!(ask(on, pass, &[], &broken), "broken 3");
        assert_eq!(ask(on, pass, &[], &unclear), "pass 0");
        assert_eq!(ask(strict, pass, &[], &unclear), "inconclusive 4");
        assert_eq!(ask(strict, pass, &[], &met), "pass 0");
        assert_eq!(ask(None, ("advisory", ExitStatus::Success), &[], &broken), "advisory 0");
        assert_eq!(ask(on, pass, &["x".into()], &broken), "missing 5");
        assert_eq!(
            ask(on, ("regression", ExitStatus::Regression), &[], &broken),
            "regression 3"
        );
        assert_eq!(
            ask(on, ("regression", ExitStatus::Regression), &[], &met),
            "regression 3"
        );
        assert_eq!(ask(on, ("failed", ExitStatus::CaseFailed), &[], &met), "failed 1");
        assert_eq!(
            ask(on, ("interrupted", ExitStatus::Interrupted), &[], &broken),
            "interrupted 130"
        );
        assert_eq!(
            ask(strict, ("inconclusive", ExitStatus::Inconclusive), &[], &met),
            "inconclusive 4"
        );
    }
}
