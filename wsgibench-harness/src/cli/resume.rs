//! `--resume`: resumes an interrupted run if the plan is the same.

use super::{Failure, args::Args, plan::Plan};
use crate::store::{
    Store,
    arms::BASE,
    record::{CaseOutcome, Notice, RunRecord, SCHEMA_VERSION},
};

/// Value of `--resume` without a name.
const NEWEST: &str = "newest";

/// Reads the run, checks that the plan matches, and reduces the plan to the missing launches.
pub(super) fn prepare(store: &Store, name: &str, args: &Args, plan: &mut Plan) -> Result<(), Failure> {
    if args.gate.is_some() && !args.tune {
        return Err(Failure::usage(
            "--resume with --gate continues a tuning only (--tune): the arms of a gate must be measured close together; start a new \
             run without --resume",
        ));
    }
    let mut run = find(store, name)?;
    if let Some(difference) = difference(&run, args, plan) {
        return Err(Failure::usage(format!(
            "cannot resume run {}: {difference}; start a new run without --resume",
            run.id
        )));
    }
    let whole = drop_halves(&mut run, plan);
    plan.order.seed = run.seed;
    plan.order.resumed = true;
    run.interrupted = false;
    run.finished = None;
    let text = format!(
        "resumed an interrupted run: {whole} launches were measured earlier, when the speed of the machine may have differed"
    );
    plan.notices.push(Notice {
        about: String::new(),
        text,
    });
    plan.resumes = Some(Box::new(run));
    Ok(())
}

fn find(store: &Store, name: &str) -> Result<RunRecord, Failure> {
    if name != NEWEST {
        let run = store.read(name)?;
        return if run.interrupted {
            Ok(run)
        } else {
            Err(Failure::usage(format!(
                "run {} is complete and cannot be resumed",
                run.id
            )))
        };
    }
    // An unreadable run cannot be resumed.
    let runs = store.finished().into_iter().rev().filter_map(|id| store.read(&id).ok());
    runs.into_iter()
        .find(|run| run.interrupted)
        .ok_or_else(|| Failure::usage("no interrupted run to resume"))
}

/// Returns why the plan differs from the run's.
fn difference(run: &RunRecord, args: &Args, plan: &Plan) -> Option<String> {
    let order = &plan.order;
    let version = env!("CARGO_PKG_VERSION");
    if run.harness_version != version || run.schema_version != SCHEMA_VERSION {
        return Some(format!(
            "it was started by wsgibench {}, and this is {version}",
            run.harness_version
        ));
    }
    if order.test_mode {
        return Some("this command only tries cases; use `cargo bench`".into());
    }
    let arms = run.cases.iter().flat_map(|case| &case.launches);
    if run.comparison.is_some() || arms.clone().any(|launch| launch.arm == BASE) {
        return Some("comparisons cannot be resumed, because both arms must be measured close together".into());
    }
    if args.seed.is_some_and(|seed| seed != run.seed) {
        return Some(format!("its seed was {}", run.seed));
    }
    if run.profile != order.profile {
        return Some(format!(
            "its effort differs: profile {}, {} launches of {:?} + {} x {:?}",
            run.profile.name,
            run.profile.launches,
            run.profile.warm_up_time,
            run.profile.rounds,
            run.profile.measurement_time
        ));
    }
    other_cases(run, plan)
        .or_else(|| other_machine(run, plan))
        .or_else(|| other_server(run, plan))
}

fn other_cases(run: &RunRecord, plan: &Plan) -> Option<String> {
    for case in &plan.cases {
        let Some(known) = run.cases.iter().find(|known| known.id == case.id) else {
            return Some(format!("case {} is not part of it", case.id));
        };
        if known.load != *case.work.load() || known.scripted != case.work.script().is_some() {
            return Some(format!("case {} has changed", case.id));
        }
    }
    let gone = run
        .cases
        .iter()
        .find(|known| !plan.cases.iter().any(|case| case.id == known.id));
    gone.map(|case| format!("its case {} is not selected", case.id))
}

fn other_machine(run: &RunRecord, plan: &Plan) -> Option<String> {
    let (then, now) = (&run.environment, &plan.order);
    if then.server_cpus != now.server_cpus || then.load_cpus != now.load_cpus {
        return Some(format!(
            "its servers ran on CPUs {:?} and its load generator on {:?}, instead of {:?} and {:?} now",
            then.server_cpus, then.load_cpus, now.server_cpus, now.load_cpus
        ));
    }
    None
}

fn other_server(run: &RunRecord, plan: &Plan) -> Option<String> {
    plan.order.jobs.iter().find_map(|job| {
        let known = run.servers.iter().find(|server| server.spec.name == job.spec.name)?;
        (known.spec != *job.spec).then(|| format!("the declaration of server {} has changed", job.spec.name))
    })
}

/// Removes incomplete launches, which are measured again, and returns their number.
fn drop_halves(run: &mut RunRecord, plan: &Plan) -> usize {
    let mut whole = 0;
    for case in &mut run.cases {
        let Some(job) = plan.order.jobs.iter().find(|job| job.case.id == case.id) else {
            continue;
        };
        let rounds = plan.order.rounds(&job.case.work) as usize;
        case.launches
            .retain(|launch| launch.error.is_some() || launch.rounds.len() >= rounds);
        whole += case.launches.len();
        // Unavailable cases may be available now.
        if matches!(case.outcome, CaseOutcome::Measured | CaseOutcome::NotAvailable(_)) && case.launches.is_empty() {
            case.outcome = CaseOutcome::Planned;
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::samples,
        declare::Work,
        load::{Load, get},
        store::{arms::CANDIDATE, samples as records},
    };

    #[test]
    fn unavailable_cases_are_retried_and_failed_ones_are_not() {
        let outcomes = [
            CaseOutcome::NotAvailable("no apache2".into()),
            CaseOutcome::Failed("it died".into()),
            CaseOutcome::Measured,
        ];
        let (names, ids) = (["a", "b", "c"], ["ping/a/c1", "ping/b/c1", "ping/c/c1"]);
        // The only launch has no rounds: it was interrupted.
        let half = records::launch(0, CANDIDATE, 0.1, [1.0, 1.0]);
        let cases: Vec<_> = names
            .iter()
            .zip(&outcomes)
            .map(|(name, outcome)| {
                let launches = if *outcome == CaseOutcome::Measured {
                    vec![half.clone()]
                } else {
                    Vec::new()
                };
                records::case(name, outcome, &launches)
            })
            .collect();
        let mut run = records::run("r", &cases);
        let plan = samples::plan(&ids.map(|id| (id, Work::Load(Load::closed(1).request(get("/"))))));
        assert_eq!(drop_halves(&mut run, &plan), 0);
        let after: Vec<&CaseOutcome> = run.cases.iter().map(|case| &case.outcome).collect();
        assert_eq!(after, [&CaseOutcome::Planned, &outcomes[1], &CaseOutcome::Planned]);
    }
}
