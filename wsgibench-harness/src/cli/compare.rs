//! `--against`, `--versus`: measures both arms in one run, block by block, and decides.

use std::collections::BTreeMap;

use super::{
    Failure,
    args::{Args, Count},
    arms::{self, OtherArm},
    counts,
    exit::{self, ExitStatus},
    explain,
    identical::Identical,
    ignored_files,
    plan::Plan,
    run::Run,
    self_check, thresholds,
    verdict::{self, Gate, VerdictFile},
};
use crate::{
    against::Base,
    declare::{Case, Profile},
    measure::{
        budget,
        comparison::{Judged, Pairing},
        event::Event,
        gate::{self, Ended, GatePlan, GatePolicy},
    },
    stats::{
        Outcome, StopReason, Verdict,
        compare::design::ALPHA,
        metric::{Margin, MarginOverride, Metric},
    },
    store::{arms::BASE, record::RunRecord, write_json},
};

/// Schema version of `verdict.json`.
pub(super) const VERDICT_VERSION: u32 = 2;

/// Returns whether the command line asks for a comparison within the run. A gate does, unless thresholds alone decide it.
pub(super) fn wanted(args: &Args, plan: &Plan) -> bool {
    args.base().is_some() || args.versus.is_some() || (args.gate.is_some() && !thresholds::any(plan))
}

/// Measures both arms and decides.
pub(super) fn run(run: &Run, args: &Args, plan: &mut Plan, bench: &str) -> Result<(RunRecord, ExitStatus), Failure> {
    if args.gate.is_some() {
        let text = self_check::before_gate(&run.store, &plan.order.manifest_dir)?;
        run.listeners.notice("", text);
    }
    plan.order.reference = true;
    leave_out_faults(run, plan);
    // Errors of the command line are reported before another commit is built.
    let judged = judged(args, &plan.order.profile)?;
    if let Some(text) = fit_budget(args, plan, &judged) {
        run.listeners.notice("", text);
    }
    if args.base().is_some() {
        // So is a budget that is too short. The other commit's cases are not known yet: assumes all that are selected.
        let selected: Vec<String> = plan.cases.iter().map(|case| case.id.clone()).collect();
        gate::plan(&judged, &selected, plan.order.block_time() * 2, args.budget)?;
    }
    let other = arms::add(run, args, plan, bench)?;
    let compared: Vec<String> = plan
        .order
        .jobs
        .iter()
        .filter(|job| match &judged.pairing {
            Pairing::Arms => job.arm == BASE,
            Pairing::Versus(server) => job.case.server != *server,
        })
        .map(|job| job.case.id.clone())
        .collect();
    let gate_plan = gate::plan(&judged, &compared, plan.order.block_time(), args.budget)?;
    let limits = args.gate.and_then(|_| gate_plan.limits());
    if let Some(limits) = &limits {
        run.listeners.notice("", limits.clone());
    }
    let mut policy = policy(judged, gate_plan, args)?;
    let mut record = run.measure(args, plan, &mut policy)?;
    let identical = match &other.checkout {
        Some(checkout) => {
            ignored_files::explain_failures(&mut record, plan, checkout)?;
            Identical::find(&record, plan, checkout)?
        }
        None => Identical::default(),
    };
    let (mut file, status) = decide(args, &record, &policy, other, &identical);
    file.notes.extend(limits);
    file.notes.extend(explain::hint(args, &file));
    keep(run, &mut record, &file)?;
    run.listeners.tell(&Event::Compared {
        verdict: Box::new(serde_json::to_value(&file).unwrap_or_default()),
        outcomes: file.outcomes.clone(),
    });
    Ok((record, status))
}

/// Shortens the rounds if the budget requires it and the command line does not set their length. Returns a notice.
fn fit_budget(args: &Args, plan: &mut Plan, judged: &Judged) -> Option<String> {
    let budget = args.budget?;
    if args.rounds.is_some() || args.measurement_time.is_some() || args.warm_up_time.is_some() {
        return None;
    }
    let blocks = gate::blocks_for_all_metrics(&judged.family(plan.cases.len()), judged.alpha)?;
    let blocks = u32::try_from(blocks).ok()?;
    let launches_per_job = if args.base().is_some() { 2 } else { 1 };
    let block = |profile: &Profile| {
        let mut order = plan.order.clone();
        order.profile = profile.clone();
        order.block_time() * launches_per_job
    };
    // Leaves time to repeat a tenth of the blocks.
    let shorter = budget::shorten_rounds(&plan.order.profile, block, blocks, budget * 10 / 11)?;
    let text = format!(
        "rounds are shortened to {} after a warm-up of {}, so that {blocks} blocks fit in the budget of {}",
        humantime::format_duration(shorter.measurement_time),
        humantime::format_duration(shorter.warm_up_time),
        humantime::format_duration(budget),
    );
    plan.order.profile = shorter;
    Some(text)
}

/// Creates the policy of a gate.
pub(super) fn policy(judged: Judged, plan: GatePlan, args: &Args) -> Result<GatePolicy, Failure> {
    GatePolicy::new(judged, plan, args.budget).map_err(|e| Failure::usage(e.to_string()))
}

/// Leaves out cases with faults: a server under a fault has no rate to compare.
pub(super) fn leave_out_faults(run: &Run, plan: &mut Plan) {
    let faulty = |case: &Case| !case.work.load().faults.is_empty();
    let left: Vec<String> = plan
        .cases
        .iter()
        .filter(|case| faulty(case))
        .map(|case| case.id.clone())
        .collect();
    if !left.is_empty() {
        plan.cases.retain(|case| !faulty(case));
        plan.order.jobs.retain(|job| !faulty(&job.case));
        let text = format!(
            "not compared, because cases with faults have no rate: {}",
            left.join(", ")
        );
        run.listeners.notice("", text);
    }
}

/// Returns the pairs of compared cases, the gated metrics and the margins.
pub(super) fn judged(args: &Args, profile: &Profile) -> Result<Judged, Failure> {
    let margins: BTreeMap<Metric, Margin> = margins(args)?
        .into_iter()
        .map(|given| (given.metric, given.margin))
        .collect();
    Ok(Judged {
        pairing: args.versus.clone().map_or(Pairing::Arms, Pairing::Versus),
        gated: gated(args, profile)?,
        margins,
        alpha: match args.count {
            Some(Count::First) => ALPHA - counts::ALPHA_FIRST,
            _ => ALPHA,
        },
    })
}

/// Parses the metrics of an option.
pub(super) fn metrics(option: &str, texts: &[String]) -> Result<Vec<Metric>, Failure> {
    let parse = |text: &String| text.parse().map_err(|e| Failure::usage(format!("{option}: {e}")));
    texts.iter().map(parse).collect()
}

/// Returns the margins of the command line.
pub(super) fn margins(args: &Args) -> Result<Vec<MarginOverride>, Failure> {
    let parse = |text: &String| text.parse().map_err(|e| Failure::usage(format!("--margin: {e}")));
    args.margin.iter().map(parse).collect()
}

/// Returns the metrics whose regression fails the gate: those of `--gate-metric`, else the default ones, without those that
/// `--ungate` or the profile takes out.
fn gated(args: &Args, profile: &Profile) -> Result<Vec<Metric>, Failure> {
    let named = metrics("--gate-metric", &args.gate_metric)?;
    let mut ungated = metrics("--ungate", &args.ungate)?;
    if let Some(both) = named.iter().find(|metric| ungated.contains(metric)) {
        return Err(Failure::usage(format!(
            "{both} is given to both --gate-metric and --ungate; remove it from one of them"
        )));
    }
    if let Some(counted) = named.iter().find(|metric| metric.is_count()) {
        return Err(Failure::usage(format!(
            "--gate-metric {counted} is counted and not timed; add --count"
        )));
    }
    // The command line takes precedence over the profile.
    ungated.extend(profile.ungated.iter().filter(|metric| !named.contains(metric)));
    let mut gated = if named.is_empty() { Metric::gated() } else { named };
    gated.retain(|metric| !ungated.contains(metric));
    gated.sort_unstable();
    gated.dedup();
    Ok(gated)
}

fn decide(
    args: &Args,
    record: &RunRecord,
    policy: &GatePolicy,
    other: OtherArm,
    identical: &Identical,
) -> (VerdictFile, ExitStatus) {
    let outcomes = policy.outcomes(record);
    let disturbance = policy.disturbance(record);
    let mut missing = verdict::missing(args.gate, record, &outcomes, &disturbance);
    // A regression that was found needs no more blocks.
    let found = |outcome: &Outcome| outcome.gated && outcome.verdict == Verdict::Regression;
    if args.gate.is_some() && missing.is_empty() && !outcomes.iter().any(found) {
        missing.extend(policy.lost(record));
    }
    let decided = verdict::status(args.gate, exit::of_run(record), &missing, &outcomes);
    let interrupted = record.interrupted && policy.ended().is_none();
    let (word, status) = overruled(decided, interrupted, args.gate, identical);
    let file = VerdictFile {
        version: VERDICT_VERSION,
        run: record.id.clone(),
        against: other.against,
        gate: args.gate.is_some(),
        verdict: word.to_owned(),
        exit_status: status as i32,
        ended: ended(policy.ended(), record.interrupted).to_owned(),
        disturbance,
        missing,
        unmatched: other.unmatched,
        identical: identical.servers.clone(),
        notes: verdict::away(record)
            .into_iter()
            .chain(identical.note(args.base().map_or("", Base::reference)))
            .chain(of_scripts(args, record))
            .collect(),
        outcomes,
        thresholds: None,
        attribution: BTreeMap::new(),
    };
    (file, status)
}

/// Overrides verdict and status after an interrupt before the decision, or if a strict gate compared a server with itself
/// although its files differ.
pub(super) fn overruled(
    decided: (&'static str, ExitStatus),
    interrupted: bool,
    gate: Option<Gate>,
    identical: &Identical,
) -> (&'static str, ExitStatus) {
    if interrupted {
        return ("interrupted", ExitStatus::Interrupted);
    }
    let blind = gate == Some(Gate::Strict) && !identical.differing.is_empty();
    if blind && decided.1 == ExitStatus::Success {
        return ("inconclusive", ExitStatus::Inconclusive);
    }
    decided
}

/// Notes on comparisons of scripts.
fn of_scripts(args: &Args, record: &RunRecord) -> Option<String> {
    let scripted = args.base().is_some() && record.cases.iter().any(|case| case.scripted);
    scripted.then(|| {
        "scripted scenarios: the working tree's scripts were run against both arms, since a script is code and not \
         a value"
            .to_owned()
    })
}

fn ended(ended: Option<Ended>, interrupted: bool) -> &'static str {
    match ended {
        Some(Ended::Decided(StopReason::Regression)) => "a regression is certain",
        Some(Ended::Decided(StopReason::Equivalent)) => "everything gated is equivalent",
        Some(Ended::Decided(StopReason::LastLook)) => "the last planned look",
        Some(Ended::Disturbed) => "the machine was too unstable",
        Some(Ended::Missing) => "a gated figure is missing in too many blocks",
        Some(Ended::Budget) => "the budget is spent",
        None if interrupted => "interrupted",
        None => "no case could be continued",
    }
}

/// Writes `verdict.json` and adds it to the run's record.
fn keep(run: &Run, record: &mut RunRecord, file: &VerdictFile) -> Result<(), Failure> {
    write_json(&run.store.root().join("verdict.json"), file)?;
    record.comparison = serde_json::to_value(file).ok();
    run.store.rewrite(record)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupted_and_blind_strict_gates_are_undecided() {
        let passed = ("pass", ExitStatus::Success);
        let missing = ("missing", ExitStatus::GateMissing);
        let regression = ("regression", ExitStatus::Regression);
        let (on, strict) = (Some(Gate::On), Some(Gate::Strict));
        let none = Identical::default();
        let same = Identical {
            servers: vec!["one".into()],
            differing: Vec::new(),
        };
        let blind = Identical {
            servers: vec!["one".into()],
            differing: vec!["app/application.py".into()],
        };
        assert_eq!(
            overruled(missing, true, on, &none),
            ("interrupted", ExitStatus::Interrupted)
        );
        assert_eq!(
            overruled(passed, true, None, &none),
            ("interrupted", ExitStatus::Interrupted)
        );
        assert_eq!(overruled(missing, false, on, &none), missing);
        assert_eq!(
            overruled(passed, false, strict, &blind),
            ("inconclusive", ExitStatus::Inconclusive)
        );
        assert_eq!(overruled(passed, false, strict, &same), passed);
        assert_eq!(overruled(passed, false, on, &blind), passed);
        assert_eq!(overruled(regression, false, strict, &blind), regression);
    }

    #[test]
    fn time_has_the_error_rate_that_counts_leave() {
        let alpha = |arguments: &[&str]| {
            let command_line = ["bench", "--gate", "--against", "main"].iter().chain(arguments);
            let args = Args::parse_from_os(command_line.map(std::ffi::OsString::from)).unwrap();
            judged(&args, &Profile::default()).unwrap().alpha
        };
        assert!((alpha(&[]) - ALPHA).abs() < f64::EPSILON);
        assert!((alpha(&["--count=first"]) + counts::ALPHA_FIRST - ALPHA).abs() < f64::EPSILON);
    }

    fn gated_by(arguments: &[&str], profile: &Profile) -> Result<Vec<Metric>, String> {
        let command_line = ["bench", "--gate"].iter().chain(arguments).map(Into::into);
        let args = Args::parse_from_os(command_line).map_err(|error| error.to_string())?;
        judged(&args, profile)
            .map(|judged| judged.gated)
            .map_err(|failure| failure.text)
    }

    fn without(left_out: &[Metric]) -> Vec<Metric> {
        let mut gated = Metric::gated();
        gated.retain(|metric| !left_out.contains(metric));
        gated
    }

    #[test]
    fn command_line_and_profile_exclude_metrics_from_the_gate() {
        let profile = Profile {
            ungated: vec![Metric::PeakMemory],
            ..Profile::default()
        };
        let plain = Profile::default();
        assert_eq!(gated_by(&[], &plain), Ok(Metric::gated()));
        assert_eq!(
            gated_by(&["--ungate", "p99,throughput"], &plain),
            Ok(without(&[Metric::P99, Metric::Throughput]))
        );
        assert_eq!(gated_by(&[], &profile), Ok(without(&[Metric::PeakMemory])));
        assert_eq!(
            gated_by(&["--ungate", "peak-memory", "--ungate", "p99"], &profile),
            Ok(without(&[Metric::PeakMemory, Metric::P99]))
        );
        // The command line takes precedence over the profile.
        assert_eq!(
            gated_by(&["--gate-metric", "peak_memory"], &profile),
            Ok(vec![Metric::PeakMemory])
        );
    }

    #[test]
    fn contradictory_and_unknown_metrics_are_refused() {
        let plain = Profile::default();
        let both = gated_by(&["--gate-metric", "p99", "--ungate", "p99"], &plain).unwrap_err();
        assert!(both.contains("p99 is given to both"), "{both}");
        let unknown = gated_by(&["--ungate", "p90"], &plain).unwrap_err();
        assert!(unknown.starts_with("--ungate: there is no metric `p90`"), "{unknown}");
    }

    #[test]
    fn profile_file_excludes_a_metric_from_the_gate() {
        let profile: Profile = toml::from_str("ungated = [\"p99\"]").unwrap();
        assert_eq!(profile.ungated, [Metric::P99]);
    }
}
