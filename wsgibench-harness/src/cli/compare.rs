//! `--against`, `--versus`: both arms in one run, block by block, and the decision.

use std::collections::BTreeMap;

use super::{
    Failure,
    args::Args,
    arms::{self, OtherArm},
    exit::{self, ExitStatus},
    identical::Identical,
    ignored_files,
    plan::Plan,
    run::Run,
    self_check,
    verdict::{self, Gate, VerdictFile},
};
use crate::{
    against::Base,
    declare::Case,
    measure::{
        comparison::{Judged, Pairing},
        event::Event,
        gate::{self, Ended, GatePolicy},
    },
    stats::{
        StopReason,
        metric::{Margin, MarginOverride, Metric},
    },
    store::{arms::BASE, record::RunRecord, write_json},
};

/// Version of `verdict.json`.
const VERDICT_VERSION: u32 = 1;

/// Whether the command line asks for a comparison within the run.
pub(super) fn wanted(args: &Args) -> bool {
    args.base().is_some() || args.versus.is_some() || args.gate.is_some()
}

/// Measures both arms and decides.
pub(super) fn run(run: &Run, args: &Args, plan: &mut Plan, bench: &str) -> Result<(RunRecord, ExitStatus), Failure> {
    if args.gate.is_some() {
        let text = self_check::before_gate(&run.store, &plan.order.manifest_dir)?;
        run.listeners.notice("", text);
    }
    plan.order.reference = true;
    leave_out_faults(run, plan);
    // What is wrong with the command line is said before another commit is built.
    let judged = judged(args)?;
    if args.base().is_some() {
        // Nor is a budget without a decision worth a build. What the other commit has is not known yet: all that is chosen.
        gate::plan(&judged, plan.cases.len(), plan.order.block_time() * 2, args.budget)?;
    }
    let other = arms::add(run, args, plan, bench)?;
    let compared = match &judged.pairing {
        Pairing::Arms => plan.order.jobs.iter().filter(|job| job.arm == BASE).count(),
        Pairing::Versus(server) => plan.order.jobs.iter().filter(|job| job.case.server != *server).count(),
    };
    let design = gate::plan(&judged, compared, plan.order.block_time(), args.budget)?;
    let mut policy = GatePolicy::new(judged, design, args.budget).map_err(|e| Failure::usage(e.to_string()))?;
    let mut record = run.measure(args, plan, &mut policy)?;
    let identical = match &other.checkout {
        Some(checkout) => {
            ignored_files::explain_failures(&mut record, plan, checkout)?;
            Identical::find(&record, plan, checkout)?
        }
        None => Identical::default(),
    };
    let (file, status) = decide(args, &record, &policy, other, &identical);
    keep(run, &mut record, &file)?;
    run.listeners.tell(&Event::Compared {
        verdict: Box::new(serde_json::to_value(&file).unwrap_or_default()),
        outcomes: file.outcomes.clone(),
    });
    Ok((record, status))
}

/// A server to which something is done has no rate, and so nothing that could be compared.
fn leave_out_faults(run: &Run, plan: &mut Plan) {
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
            "not compared, since what is lost to a fault is no rate: {}",
            left.join(", ")
        );
        run.listeners.notice("", text);
    }
}

/// What is held against what, what the gate fails on, and by which margins.
fn judged(args: &Args) -> Result<Judged, Failure> {
    let mut margins: BTreeMap<Metric, Margin> = BTreeMap::new();
    for text in &args.margin {
        let given: MarginOverride = text.parse().map_err(|e| Failure::usage(format!("--margin: {e}")))?;
        margins.insert(given.metric, given.margin);
    }
    let mut gated: Vec<Metric> = Vec::new();
    for text in &args.gate_metric {
        gated.push(
            text.parse()
                .map_err(|e| Failure::usage(format!("--gate-metric: {e}")))?,
        );
    }
    if gated.is_empty() {
        gated = Metric::ALL.into_iter().filter(|m| m.gated_by_default()).collect();
    }
    gated.sort_unstable();
    gated.dedup();
    Ok(Judged {
        pairing: args.versus.clone().map_or(Pairing::Arms, Pairing::Versus),
        gated,
        margins,
    })
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
    let missing = verdict::missing(args.gate, record, &outcomes, &disturbance);
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
    };
    (file, status)
}

/// The verdict and status where something else counts more: an interrupt before a decision, and a strict gate that compared a server with
/// itself although its files differ.
fn overruled(
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

/// What a reader of a verdict on scripts must know beside it.
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
        Some(Ended::Disturbed) => "the machine was too unsteady",
        Some(Ended::Missing) => "a gated figure is missing in too many blocks",
        Some(Ended::Budget) => "the budget is spent",
        None if interrupted => "interrupted",
        None => "no case could go on",
    }
}

/// `verdict.json`, and the same in the run's own record.
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
    fn an_interrupt_before_a_decision_and_a_blind_strict_gate_decide_nothing() {
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
}
