//! `--count`: counted runs, their gate, and `counts.toml`.

mod file;
mod gate;
mod prepare;

use std::collections::BTreeMap;

use self::{
    file::Files,
    gate::{against, on_baseline},
    prepare::prepare,
};
use super::{
    Failure,
    args::{Args, Count},
    compare, exit,
    exit::ExitStatus,
    plan::Plan,
    run::{self, Run},
};
use crate::{
    counts::decision::{self, launches_needed},
    declare::Declarations,
    measure::{
        comparison::{Judged, Pairing},
        counting::Valgrind,
    },
    stats::{Family, Margin, Metric, compare::design::ALPHA},
    store::{BaselineRun, record::RunRecord},
};

/// Launches of a case without a gate.
const LAUNCHES: u32 = 3;
/// Error rate of counts that are gated before time; time has the rest.
pub(super) const ALPHA_FIRST: f64 = 0.002;

/// A counted run and its consequences.
pub(super) struct Counted {
    pub(super) record: RunRecord,
    pub(super) status: ExitStatus,
}

/// Counts, compares and decides. `earlier` is the baseline of `--baseline`.
pub(super) fn run(
    run: &Run,
    args: &Args,
    plan: &mut Plan,
    bench: &str,
    earlier: Option<&[BaselineRun]>,
    declarations: &Declarations,
) -> Result<Counted, Failure> {
    let valgrind = Valgrind::find(run.store.root()).map_err(|error| Failure::usage(format!("--count: {error}")))?;
    let files = Files::read(args, &plan.order.manifest_dir)?;
    files.refuse_undeclared(declarations)?;
    prepare(run, args, plan, valgrind);
    let judged = judged(args, ALPHA)?;
    if args.base().is_some() || args.versus.is_some() {
        return against(run, args, plan, bench, &judged);
    }
    if args.gate.is_some() && earlier.is_none() && files.check.is_none() {
        return Err(Failure::usage(
            "--count --gate needs something to compare with: --against GIT_REF, --versus SERVER, --baseline NAME, or --check-counts",
        ));
    }
    let launches = match (args.launches, args.gate.is_some() && earlier.is_some()) {
        (Some(launches), _) => launches,
        (None, true) => planned(&judged, plan)?,
        (None, false) => LAUNCHES,
    };
    plan.order.profile.launches = launches;
    let mut record = run.measure(args, plan, &mut run::fixed(plan))?;
    describe(run, plan, &mut record)?;
    let mut status = exit::of_run(&record);
    if let Some(earlier) = earlier.filter(|_| args.gate.is_some()) {
        status = worst(status, on_baseline(run, args, &judged, &mut record, earlier)?);
    }
    status = worst(status, files.conclude(run, &judged, plan, &record)?);
    Ok(Counted { record, status })
}

/// Counts both arms of `--against` before they are timed, with a share of the error rate. The plan is left as it was; the one of
/// the counts, with both arms, is returned.
pub(super) fn first(run: &Run, args: &Args, plan: &Plan, bench: &str) -> Result<(Counted, Plan), Failure> {
    let valgrind =
        Valgrind::find(run.store.root()).map_err(|error| Failure::usage(format!("--count=first: {error}")))?;
    let mut counted = Plan {
        cases: plan.cases.clone(),
        order: plan.order.clone(),
        notices: Vec::new(),
        target_dir: plan.target_dir.clone(),
        resumes: None,
    };
    prepare(run, args, &mut counted, valgrind);
    let judged = judged(args, ALPHA_FIRST)?;
    let outcome = against(run, args, &mut counted, bench, &judged)?;
    Ok((outcome, counted))
}

/// Returns the judged metrics and margins.
fn judged(args: &Args, alpha: f64) -> Result<Judged, Failure> {
    let mut margins: BTreeMap<Metric, Margin> = BTreeMap::new();
    for given in compare::margins(args)? {
        margins.insert(given.metric, given.margin);
    }
    let named = compare::metrics("--gate-metric", &args.gate_metric)?;
    let ungated = compare::metrics("--ungate", &args.ungate)?;
    let mut gated: Vec<Metric> = named.into_iter().filter(|metric| metric.is_count()).collect();
    if gated.is_empty() {
        gated = Metric::COUNTS.to_vec();
    }
    gated.retain(|metric| !ungated.contains(metric));
    Ok(Judged {
        pairing: args.versus.clone().map_or(Pairing::Arms, Pairing::Versus),
        gated,
        margins,
        alpha,
    })
}

/// Returns the family of gated pairs: statements only where a companion counts them.
fn family(judged: &Judged, plan: &Plan, cases: usize) -> Family {
    let counts_statements = plan.order.jobs.iter().any(|job| {
        job.spec
            .companions
            .iter()
            .any(|companion| !companion.statement_counter.is_empty())
    });
    let metrics: Vec<Metric> = judged
        .gated
        .iter()
        .copied()
        .filter(|metric| counts_statements || *metric != Metric::StatementsPerRequest)
        .collect();
    Family::new(&metrics, cases)
}

/// Returns the launches that each arm needs.
fn planned(judged: &Judged, plan: &Plan) -> Result<u32, Failure> {
    let mut cases: Vec<&str> = plan.order.jobs.iter().map(|job| job.case.id.as_str()).collect();
    cases.sort_unstable();
    cases.dedup();
    let pairs = family(judged, plan, cases.len()).metrics().len() * cases.len();
    let needed = launches_needed(pairs, judged.alpha).ok_or_else(|| {
        Failure::usage(format!(
            "{} cases are too many for one gate on counts: {} launches of each arm cannot decide {pairs} pairs; select fewer",
            cases.len(),
            decision::MAX_LAUNCHES
        ))
    })?;
    Ok(u32::try_from(needed).unwrap_or(u32::MAX))
}

/// Records what the counts depend on.
fn describe(run: &Run, plan: &Plan, record: &mut RunRecord) -> Result<(), Failure> {
    if let Some(counting) = &plan.order.counting {
        let environment = &record.environment;
        let cpus = plan
            .order
            .jobs
            .iter()
            .map(|job| job.spec.limits.cpus)
            .max()
            .unwrap_or(1);
        record.counted = Some(
            counting
                .valgrind
                .environment(&environment.sandbox, &environment.kernel, cpus),
        );
        run.store.rewrite(record)?;
    }
    Ok(())
}

/// Returns the status that takes precedence.
fn worst(a: ExitStatus, b: ExitStatus) -> ExitStatus {
    let order = [
        ExitStatus::Interrupted,
        ExitStatus::Usage,
        ExitStatus::GateMissing,
        ExitStatus::Regression,
        ExitStatus::CaseFailed,
        ExitStatus::Inconclusive,
        ExitStatus::Success,
    ];
    order
        .into_iter()
        .find(|status| *status == a || *status == b)
        .unwrap_or(a)
}

/// Refuses options that mean nothing without `--count`, or with it.
pub(super) fn check_usage(args: &Args) -> Result<(), Failure> {
    let files = [
        (&args.check_counts, "--check-counts"),
        (&args.bless_counts, "--bless-counts"),
    ];
    if let Some((_, option)) = files.iter().find(|(file, _)| file.is_some() && !is_alone(args)) {
        return Err(Failure::usage(format!("{option} needs --count")));
    }
    if args.count == Some(Count::First) && (args.gate.is_none() || args.base().is_none()) {
        return Err(Failure::usage(
            "--count=first gates on counts before time, so it needs --against GIT_REF --gate; use --count to count alone",
        ));
    }
    Ok(())
}

/// Whether the command line counts and does nothing else.
pub(super) fn is_alone(args: &Args) -> bool {
    args.count == Some(Count::Alone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_precedes_regression_and_failure() {
        assert_eq!(
            worst(ExitStatus::Success, ExitStatus::Regression),
            ExitStatus::Regression
        );
        assert_eq!(
            worst(ExitStatus::CaseFailed, ExitStatus::GateMissing),
            ExitStatus::GateMissing
        );
        assert_eq!(worst(ExitStatus::Success, ExitStatus::Success), ExitStatus::Success);
    }
}
