//! `--explain`: profiles launches after the measurement, and compares the functions of both arms.

use std::{collections::BTreeMap, fs, sync::Arc, time::Duration};

use super::{
    Failure,
    args::{Args, Explain, SandboxArg},
    plan::Plan,
    run::{self, Run},
    verdict::VerdictFile,
};
use crate::{
    against::Base,
    measure::profiling::{ProfilePlan, ProfiledLaunch},
    profile::{Explanation, LaunchProfile, explain::explain, permission},
    report::export::Format,
    stats::Verdict,
    store::{
        arms::{BASE, CANDIDATE},
        record::{CaseOutcome, RunRecord},
        write_json,
    },
};

/// Launches of each arm if two are compared, and length of the sampled round.
const COMPARED: Effort = Effort {
    launches: 8,
    round: Duration::from_secs(5),
};
/// The same with `--quick`: as few launches as can name a function.
const COMPARED_QUICKLY: Effort = Effort {
    launches: 6,
    round: Duration::from_secs(2),
};
/// Launches if one arm is profiled.
const ALONE: Effort = Effort {
    launches: 3,
    round: Duration::from_secs(5),
};
/// The same with `--quick`.
const ALONE_QUICKLY: Effort = Effort {
    launches: 2,
    round: Duration::from_secs(2),
};
/// Longest warm-up.
const WARM_UP: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug)]
struct Effort {
    launches: u32,
    round: Duration,
}

/// Refuses options without a meaning, and says what permission is missing, before anything is measured.
pub(super) fn check_usage(run: &Run, args: &Args, exports: &[Format]) -> Result<(), Failure> {
    let Some(when) = args.explain else {
        return match exports.iter().find(|format| format.is_profile()) {
            Some(format) => Err(Failure::usage(format!(
                "--export {format} writes profiles, and none are taken; add --explain"
            ))),
            None => Ok(()),
        };
    };
    if when == Explain::OnRegression && args.gate.is_none() {
        return Err(Failure::usage(
            "--explain=on-regression needs --gate; use --explain to profile in any case",
        ));
    }
    if !permission::reads_other_users() {
        let text = format!(
            "--explain cannot read the servers' memory in containers without root or CAP_SYS_PTRACE: {}",
            permission::REMEDY
        );
        if args.sandbox == SandboxArg::Docker && when == Explain::On {
            return Err(Failure::usage(text));
        }
        run.listeners.notice("", text);
    }
    Ok(())
}

/// Names the command that explains a regression, if none was asked for.
pub(super) fn hint(args: &Args, verdict: &VerdictFile) -> Option<String> {
    if args.explain.is_some() {
        return None;
    }
    let base = match args.base()? {
        Base::MergeBase(reference) => format!("--against {}", quoted(reference)),
        Base::Tip(reference) => format!("--against-tip {}", quoted(reference)),
    };
    let cases = regressed(verdict);
    if cases.is_empty() {
        return None;
    }
    let cases: Vec<String> = cases.iter().map(|case| quoted(case)).collect();
    Some(format!(
        "to see which functions became slower: cargo bench -- {base} --exact {} --explain",
        cases.join(" ")
    ))
}

fn quoted(word: &str) -> String {
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), std::borrow::Cow::into_owned)
}

/// Cases with a gated regression.
fn regressed(verdict: &VerdictFile) -> Vec<&str> {
    let mut cases: Vec<&str> = verdict
        .outcomes
        .iter()
        .filter(|outcome| outcome.gated && outcome.verdict == Verdict::Regression)
        .map(|outcome| outcome.case.as_str())
        .collect();
    cases.dedup();
    cases
}

/// Profiles the cases of a finished run if the command line asks for it, and adds the result to the run's record. A failure is a
/// notice: the run and its status stand.
pub(super) fn after(run: &Run, args: &Args, plan: &Plan, record: &mut RunRecord) {
    let Some(cases) = wanted(args, record) else {
        return;
    };
    if plan.order.test_mode || run.interrupt.asked() || cases.is_empty() {
        return;
    }
    if let Err(failure) = profile(run, args, plan, record, &cases) {
        run.listeners.notice("", format!("--explain: {}", failure.text));
    }
}

/// Returns the cases to be profiled; `None` if none is asked for.
fn wanted(args: &Args, record: &RunRecord) -> Option<Vec<String>> {
    let measured = || record.cases.iter().filter(|case| case.outcome == CaseOutcome::Measured);
    let all = || measured().map(|case| case.id.clone()).collect();
    match args.explain? {
        Explain::On => Some(all()),
        Explain::OnRegression => {
            let verdict: VerdictFile = serde_json::from_value(record.comparison.clone()?).ok()?;
            let cases = regressed(&verdict);
            Some(cases.into_iter().map(str::to_owned).collect())
        }
    }
}

fn profile(run: &Run, args: &Args, plan: &Plan, record: &mut RunRecord, cases: &[String]) -> Result<(), Failure> {
    let results = Arc::new(ProfilePlan::default());
    let mut extra = Plan {
        cases: plan
            .cases
            .iter()
            .filter(|case| cases.contains(&case.id))
            .cloned()
            .collect(),
        order: plan.order.clone(),
        notices: Vec::new(),
        target_dir: plan.target_dir.clone(),
        resumes: None,
    };
    let order = &mut extra.order;
    order
        .jobs
        .retain(|job| cases.contains(&job.case.id) && job.case.work.load().faults.is_empty());
    if order.jobs.is_empty() {
        return Err(Failure::usage("no case can be profiled: cases with faults are not"));
    }
    let compared = order.jobs.iter().any(|job| job.arm == BASE);
    let effort = match (compared, args.quick) {
        (true, false) => COMPARED,
        (true, true) => COMPARED_QUICKLY,
        (false, false) => ALONE,
        (false, true) => ALONE_QUICKLY,
    };
    order.profiling = Some(Arc::clone(&results));
    order.counting = None;
    order.reference = false;
    order.resumed = false;
    order.profile.launches = effort.launches;
    order.profile.rounds = 1;
    order.profile.warm_up_time = order.profile.warm_up_time.min(WARM_UP);
    order.profile.measurement_time = effort.round;
    run.listeners.notice(
        "",
        format!(
            "profiling {} launches of each case{}; they are part of no figure",
            effort.launches,
            if compared { " and arm" } else { "" }
        ),
    );
    let store = run.store.of_profiles();
    let outcome = run.measure_in(&store, args, &extra, &mut run::fixed(&extra));
    let taken = results.take();
    let finished = outcome?;
    let mut explanation = explanation(record, &taken, compared);
    for case in &finished.cases {
        if let CaseOutcome::Failed(why) | CaseOutcome::Unsupported(why) | CaseOutcome::NotAvailable(why) = &case.outcome
        {
            explanation
                .notes
                .push(format!("{}: profiled launches failed: {why}", case.id));
        }
    }
    if finished.interrupted {
        explanation
            .notes
            .push("the profiled launches were interrupted".to_owned());
    }
    let complete = explanation.notes.is_empty();
    write_json(&run.store.root().join("explain.json"), &without_stacks(&explanation))?;
    record.explanation = Some(Box::new(explanation));
    run.store.rewrite(record)?;
    // Logs are of use where a launch failed.
    if complete {
        let _ = fs::remove_dir_all(store.run_dir(&finished.id));
    }
    Ok(())
}

fn explanation(record: &RunRecord, taken: &[ProfiledLaunch], compared: bool) -> Explanation {
    let mut arms: BTreeMap<&str, [Vec<LaunchProfile>; 2]> = BTreeMap::new();
    for launch in taken {
        let arm = usize::from(launch.arm == CANDIDATE);
        arms.entry(&launch.case).or_default()[arm].push(launch.profile.clone());
    }
    let against = record.comparison.as_ref().filter(|_| compared);
    let against = against.and_then(|comparison| comparison.get("against")?.as_str().map(str::to_owned));
    Explanation {
        version: Explanation::VERSION,
        run: record.id.clone(),
        against,
        // In the order of the run.
        cases: record
            .cases
            .iter()
            .filter_map(|case| {
                arms.get(case.id.as_str())
                    .map(|[base, candidate]| explain(&case.id, base, candidate))
            })
            .collect(),
        notes: Vec::new(),
    }
}

/// The file for programs has the figures; stacks are in the run's record and in exports.
fn without_stacks(explanation: &Explanation) -> Explanation {
    let mut short = explanation.clone();
    for case in &mut short.cases {
        case.candidate.tree = crate::profile::Tree::default();
        if let Some(base) = &mut case.base {
            base.tree = crate::profile::Tree::default();
        }
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{Decision, Design, GateRole, Metric, Series, disturbance::Guard};

    fn verdict(slower: f64) -> VerdictFile {
        let series = Series {
            case: "ping/it's one/c1".to_owned(),
            metric: Metric::CpuPerRequest,
            margin: Metric::CpuPerRequest.default_margin(),
            role: GateRole::Primary(0.5),
            validity_worse: false,
            blocks: (0..26)
                .map(|block| (1.0, slower + f64::from(block % 2) * 0.001))
                .collect(),
        };
        VerdictFile {
            version: 2,
            run: "r".into(),
            against: "main".into(),
            gate: true,
            verdict: "regression".into(),
            exit_status: 3,
            ended: String::new(),
            disturbance: Guard::default().judge(0, 26),
            missing: Vec::new(),
            unmatched: Vec::new(),
            identical: Vec::new(),
            notes: Vec::new(),
            outcomes: Decision::new(Design::standard()).unwrap().decide(&[series]),
            thresholds: None,
            attribution: BTreeMap::new(),
        }
    }

    fn args(arguments: &[&str]) -> Args {
        let command_line = ["bench"].iter().chain(arguments).map(std::ffi::OsString::from);
        Args::parse_from_os(command_line).unwrap()
    }

    #[test]
    fn a_regression_names_the_command_that_explains_it() {
        let slower = verdict(1.1);
        let hint_of = |arguments: &[&str], verdict: &VerdictFile| hint(&args(arguments), verdict);
        assert_eq!(
            hint_of(&["--against", "origin/main", "--gate"], &slower).unwrap(),
            "to see which functions became slower: cargo bench -- --against origin/main --exact \"ping/it's one/c1\" --explain"
        );
        assert!(
            hint_of(&["--against-tip", "v1", "--gate"], &slower)
                .unwrap()
                .contains("--against-tip v1 ")
        );
        assert_eq!(hint_of(&["--against", "main", "--gate", "--explain"], &slower), None);
        assert_eq!(hint_of(&["--versus", "one"], &slower), None);
        assert_eq!(hint_of(&["--against", "main", "--gate"], &verdict(1.0)), None);
    }

    #[test]
    fn on_regression_selects_the_regressed_cases() {
        let mut record =
            crate::store::samples::run("r", &[crate::store::samples::case("a", &CaseOutcome::Measured, &[])]);
        let asked = |arguments: &[&str], record: &RunRecord| wanted(&args(arguments), record);
        assert_eq!(asked(&[], &record), None);
        assert_eq!(asked(&["--explain"], &record), Some(vec!["ping/a/c1".to_owned()]));
        let on_regression = ["--against", "main", "--gate", "--explain=on-regression"];
        assert_eq!(asked(&on_regression, &record), None, "nothing was compared");
        record.comparison = serde_json::to_value(verdict(1.0)).ok();
        assert_eq!(asked(&on_regression, &record), Some(Vec::new()));
        record.comparison = serde_json::to_value(verdict(1.1)).ok();
        assert_eq!(
            asked(&on_regression, &record),
            Some(vec!["ping/it's one/c1".to_owned()])
        );
    }
}
