//! The plan of a counted run: its cases and settings.

use std::sync::Arc;

use super::super::{args::Args, compare, plan::Plan, run::Run};
use crate::{
    declare::{Case, Work},
    load::Model,
    measure::counting::{CountPlan, Valgrind, counts_alike, is_of_load},
};

/// Turns a plan into one that counts, and says what changes by it.
pub(super) fn prepare(run: &Run, args: &Args, plan: &mut Plan, valgrind: Valgrind) {
    compare::leave_out_faults(run, plan);
    leave_out_alike(run, plan);
    let open: Vec<&str> = plan
        .order
        .jobs
        .iter()
        .filter(|job| matches!(job.case.work.load().model, Model::Open { .. }))
        .map(|job| job.case.id.as_str())
        .collect();
    if !open.is_empty() {
        let text = format!(
            "counted without their arrival schedules, one request after the other: {}",
            open.join(", ")
        );
        run.listeners.notice("", text);
    }
    let slow: Vec<&str> = plan
        .order
        .jobs
        .iter()
        .filter(|job| !job.case.work.load().background_clients.is_empty())
        .map(|job| job.case.id.as_str())
        .collect();
    if !slow.is_empty() {
        run.listeners
            .notice("", format!("counted without their slow clients: {}", slow.join(", ")));
    }
    run.listeners.notice(
        "",
        format!(
            "counting under valgrind {}: memory limits and start-up times of the servers are multiplied by 5, timeouts of requests by 20",
            valgrind.version()
        ),
    );
    let mut cpus: Vec<usize> = plan
        .order
        .server_cpus
        .iter()
        .chain(&plan.order.load_cpus)
        .copied()
        .collect();
    cpus.sort_unstable();
    cpus.dedup();
    plan.order.counting = Some(Arc::new(CountPlan::new(valgrind, cpus)));
    plan.order.reference = false;
    // Counts of another run can be compared only if the requests are the same.
    plan.order.seed = args.seed.unwrap_or(0);
}

/// Keeps one case of those that differ in connections, rate or duration only.
fn leave_out_alike(run: &Run, plan: &mut Plan) {
    let mut kept: Vec<Case> = Vec::new();
    let mut left: Vec<String> = Vec::new();
    for job in &plan.order.jobs {
        match kept.iter().find(|known| is_alike(known, &job.case)) {
            Some(known) => left.push(format!("{} (as {})", job.case.id, known.id)),
            None => kept.push(job.case.clone()),
        }
    }
    if left.is_empty() {
        return;
    }
    let keeps = |id: &str| kept.iter().any(|case| case.id == id);
    plan.order.jobs.retain(|job| keeps(&job.case.id));
    plan.cases.retain(|case| keeps(&case.id) || case.ignored.is_some());
    run.listeners.notice(
        "",
        format!(
            "cases that differ only in connections or rate are counted once; left out: {}",
            left.join(", ")
        ),
    );
}

fn is_alike(a: &Case, b: &Case) -> bool {
    let values = |case: &Case| -> Vec<(String, String)> {
        let of_content = case.values.iter().filter(|(name, _)| !is_of_load(name));
        of_content.cloned().collect()
    };
    let same_script = match (&a.work, &b.work) {
        (Work::Load(_), Work::Load(_)) => true,
        // Scripts of one scenario are the same code; parameters of content are compared below.
        (Work::Script { .. }, Work::Script { .. }) => a.scenario == b.scenario,
        _ => false,
    };
    a.server == b.server
        && same_script
        && (a.scenario == b.scenario || a.work.script().is_none())
        && values(a) == values(b)
        && counts_alike(a.work.load(), b.work.load())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::samples::plan,
        load::{Load, get},
    };

    fn case(id: &str, load: Load, values: &[(&str, &str)]) -> Case {
        let mut case = plan(&[(id, Work::Load(load))]).cases.remove(0);
        case.values = values.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        case
    }

    #[test]
    fn cases_alike_differ_in_the_amount_of_load_only() {
        let ask = |path: &str| Load::closed(4).request(get(path).expect_status(200));
        let few = case("a", ask("/"), &[("connections", "4")]);
        let many = case(
            "b",
            Load::closed(64).request(get("/").expect_status(200)),
            &[("connections", "64")],
        );
        assert!(is_alike(&few, &many));
        assert!(!is_alike(&few, &case("c", ask("/other"), &[])));
        assert!(!is_alike(&few, &case("d", ask("/"), &[("bytes", "10")])));
        let elsewhere = Case {
            server: "two".into(),
            ..many
        };
        assert!(!is_alike(&few, &elsewhere));
    }
}
