//! The plan of a tuning: one load, its settings, the goal, the effort and the budget, checked before anything starts.

use std::time::Duration;

use crate::{
    cli::{
        Failure,
        args::{Args, GoalArg},
        compare,
        plan::Plan,
    },
    load::{Load, Model, Stage},
    measure::{Job, budget, tuning::TunePlan},
    stats::{
        Margin, Metric,
        elimination::{MAX_BLOCKS, MIN_BLOCKS, Rules},
    },
    store::tuning::Goal,
};

/// Time limit without `--budget`.
const BUDGET: Duration = Duration::from_mins(15);

/// Warm-up and length of the one round of a launch, unless the command line sets the effort: launches differ more than rounds.
const EFFORT: (Duration, Duration) = (Duration::from_millis(500), Duration::from_millis(1_500));

/// Most cases named in an error.
const NAMED: usize = 5;

/// Plans a tuning and sets the effort of the plan. Returns notices, too.
pub(super) fn make(args: &Args, plan: &mut Plan) -> Result<(TunePlan, Vec<String>), Failure> {
    let jobs = &plan.order.jobs;
    one_load(jobs)?;
    if jobs.len() < 2 {
        return Err(Failure::usage(format!(
            "--tune needs at least two settings, and only {} is selected; give the server parameters, e.g. \
             `#[server(workers = [1, 2, 4])]`, or select several servers",
            named(jobs)
        )));
    }
    let goal = goal(args);
    // All jobs have the same scenario.
    let load = jobs[0].case.work.load();
    fits(goal, load).map_err(Failure::usage)?;
    if goal != Goal::Capacity {
        feasible(load).map_err(Failure::usage)?;
    }
    let margin = margin(args, goal)?;
    let mut notices = Vec::new();
    let present = present(args, jobs, &mut notices)?;
    let most_blocks = most_blocks(args)?;
    if goal == Goal::Capacity {
        search_capacity(plan).map_err(Failure::usage)?;
    }
    let budget = args.budget.unwrap_or(BUDGET);
    notices.extend(set_effort(args, plan, most_blocks, budget)?);
    let rules = Rules {
        direction: goal.metric().direction(),
        margin,
        most_blocks,
        present,
        judge_present: args.gate.is_some(),
    };
    Ok((TunePlan { goal, rules, budget }, notices))
}

fn goal(args: &Args) -> Goal {
    match args.goal.unwrap_or(GoalArg::Throughput) {
        GoalArg::Throughput => Goal::Throughput,
        GoalArg::Capacity => Goal::Capacity,
        GoalArg::Cost => Goal::Cost,
        GoalArg::P99 => Goal::P99,
    }
}

/// Checks that all settings are measured under the same load.
fn one_load(jobs: &[Job]) -> Result<(), Failure> {
    let mut loads: Vec<String> = Vec::new();
    for job in jobs {
        let load = format!("{}/{}", job.case.scenario, job.case.param);
        if !loads.contains(&load) {
            loads.push(load);
        }
    }
    let [_, _, ..] = loads.as_slice() else {
        return faults(jobs);
    };
    let listed = loads[..loads.len().min(NAMED)].join(", ");
    let more = if loads.len() > NAMED { ", ..." } else { "" };
    Err(Failure::usage(format!(
        "--tune compares settings under one load, and {} are selected: {listed}{more}; select one with --scenario, or with a filter \
         such as `^{}/.*/{}$`",
        loads.len(),
        jobs[0].case.scenario,
        jobs[0].case.param
    )))
}

fn faults(jobs: &[Job]) -> Result<(), Failure> {
    let faulty = jobs.iter().find(|job| !job.case.work.load().faults.is_empty());
    faulty.map_or(Ok(()), |job| {
        Err(Failure::usage(format!(
            "--tune: cases with faults have no rate to compare: {}; select another scenario",
            job.case.id
        )))
    })
}

fn named(jobs: &[Job]) -> String {
    let names: Vec<&str> = jobs.iter().map(|job| job.case.id.as_str()).collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

/// Checks that the load can show the goal.
fn fits(goal: Goal, load: &Load) -> Result<(), String> {
    let scheduled = matches!(load.model, Model::Open { .. });
    match goal {
        Goal::Throughput if scheduled => Err(
            "--goal throughput needs a closed loop: under an arrival schedule, every setting that keeps up answers the offered rate; \
             give --goal capacity, cost or p99, or select a scenario with `Load::closed`"
                .to_owned(),
        ),
        Goal::Capacity | Goal::Cost | Goal::P99 if !scheduled => Err(format!(
            "--goal {} needs a scenario with an arrival schedule, such as `Load::poisson(200)`: in a closed loop, each setting gets \
             another rate; select one, or give --goal throughput",
            goal.id()
        )),
        _ => Ok(()),
    }
}

/// Share of the capacity at which a launch is measured after the search.
const SHARE: f64 = 0.9;

/// Replaces the schedules of the plan by a share of the capacity, which each launch searches first.
fn search_capacity(plan: &mut Plan) -> Result<(), String> {
    let jobs = plan.order.jobs.iter_mut().map(|job| &mut job.case);
    for case in plan.cases.iter_mut().chain(jobs) {
        if case.work.script().is_some() {
            return Err(format!(
                "--goal capacity needs declared requests, and {} is scripted; select another scenario",
                case.id
            ));
        }
        let mut load = case.work.load().clone();
        if let Some(threshold) = load.thresholds.iter().find(|it| it.metric == Metric::Throughput) {
            return Err(format!(
                "--threshold {threshold}: --goal capacity searches the rate itself; leave it out"
            ));
        }
        if let Model::Open { stages, .. } = &mut load.model {
            let arrivals = stages.first().map(|stage| stage.arrivals).unwrap_or_default();
            let mut stage = Stage::unlimited(SHARE);
            stage.arrivals = arrivals;
            *stages = vec![stage];
        }
        load.of_capacity = true;
        load.measurement_time = None;
        case.work = case.work.clone().with_load(load);
    }
    plan.order.within_thresholds = true;
    Ok(())
}

/// Checks that a threshold of throughput does not exceed the offered rate.
fn feasible(load: &Load) -> Result<(), String> {
    let (Model::Open { stages, .. }, false) = (&load.model, load.of_capacity) else {
        return Ok(());
    };
    let highest = stages
        .iter()
        .flat_map(|stage| [stage.from, stage.to])
        .fold(0.0, f64::max);
    let beyond = load
        .thresholds
        .iter()
        .find(|threshold| threshold.metric == Metric::Throughput && threshold.limit >= highest);
    beyond.map_or(Ok(()), |threshold| {
        Err(format!(
            "--threshold {threshold} cannot be met: the schedule offers at most {highest} requests per second; lower the threshold or \
             raise the rate"
        ))
    })
}

/// Returns the margin of the goal, as a share.
fn margin(args: &Args, goal: Goal) -> Result<f64, Failure> {
    let metric = goal.metric();
    let given = compare::margins(args)?;
    if let Some(other) = given.iter().find(|given| given.metric != metric) {
        return Err(Failure::usage(format!(
            "--margin {}: a tuning has the margin of its goal only, which is `{metric}`",
            other.metric
        )));
    }
    let margin = given.last().map_or(metric.default_margin(), |given| given.margin);
    match margin {
        Margin::Relative(share) | Margin::Absolute(share) => Ok(share),
    }
}

/// Returns the index of the setting in use.
fn present(args: &Args, jobs: &[Job], notices: &mut Vec<String>) -> Result<Option<usize>, Failure> {
    let marked: Vec<usize> = (0..jobs.len())
        .filter(|&index| jobs[index].spec.setting.as_ref().is_some_and(|setting| setting.default))
        .collect();
    match marked.as_slice() {
        [one] => Ok(Some(*one)),
        [] if args.gate.is_some() => Err(Failure::usage(
            "--tune --gate judges the setting in use, and none of the selected ones is marked; mark it in its `#[server]` function \
             with `.default_variant(workers == 2)`",
        )),
        [] => {
            notices.push(
                "no setting is marked as the one in use, so its loss is unknown; mark it with `Server::default_variant(...)`"
                    .to_owned(),
            );
            Ok(None)
        }
        [first, second, ..] => {
            let text = format!(
                "{} and {} are both marked as the setting in use; select one server with --server",
                jobs[*first].case.server, jobs[*second].case.server
            );
            if args.gate.is_some() {
                return Err(Failure::usage(format!("--tune --gate: {text}")));
            }
            notices.push(text);
            Ok(None)
        }
    }
}

fn most_blocks(args: &Args) -> Result<usize, Failure> {
    let most = args.launches.map_or(MAX_BLOCKS, |launches| launches as usize);
    if most < MIN_BLOCKS {
        return Err(Failure::usage(format!(
            "--launches {most}: a tuning decides from {MIN_BLOCKS} launches of each setting on; give --launches {MIN_BLOCKS} or more"
        )));
    }
    Ok(most)
}

/// Sets the length of launches and refuses a budget that ends before the first decision.
fn set_effort(args: &Args, plan: &mut Plan, most_blocks: usize, budget: Duration) -> Result<Option<String>, Failure> {
    let least = u32::try_from(MIN_BLOCKS).unwrap_or(u32::MAX);
    let own = args.profile.is_some()
        || args.quick
        || args.rounds.is_some()
        || args.warm_up_time.is_some()
        || args.measurement_time.is_some();
    let profile = &mut plan.order.profile;
    profile.launches = u32::try_from(most_blocks).unwrap_or(u32::MAX);
    let mut notice = None;
    if !own {
        profile.rounds = 1;
        (profile.warm_up_time, profile.measurement_time) = EFFORT;
        let block = |profile: &crate::declare::Profile| {
            let mut order = plan.order.clone();
            order.profile = profile.clone();
            order.block_time()
        };
        if let Some(shorter) = budget::shorten_rounds(&plan.order.profile, block, least, budget) {
            notice = Some(format!(
                "rounds are shortened to {} after a warm-up of {}, so that {least} launches of each setting fit in the budget of {}",
                humantime::format_duration(shorter.measurement_time),
                humantime::format_duration(shorter.warm_up_time),
                humantime::format_duration(budget),
            ));
            plan.order.profile = shorter;
        }
    }
    let block = plan.order.block_time();
    let needed = block * least;
    if needed > budget {
        let seconds = |time: Duration| humantime::format_duration(Duration::from_secs(time.as_secs() + 1));
        return Err(Failure::usage(format!(
            "a budget of {} is too short for a decision: {} settings need at least {least} launches each, which take about {}; give \
             `--budget {}` or more, or select fewer settings",
            humantime::format_duration(budget),
            plan.order.jobs.len(),
            seconds(needed),
            seconds(needed).to_string().replace(' ', ""),
        )));
    }
    Ok(notice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::samples,
        declare::{Setting, Work},
        load::get,
        stats::Threshold,
    };

    fn args(arguments: &[&str]) -> Args {
        let line = ["bench", "--tune"]
            .iter()
            .chain(arguments)
            .map(std::ffi::OsString::from);
        Args::parse_from_os(line).unwrap()
    }

    fn closed() -> Work {
        Work::Load(Load::closed(4).request(get("/")))
    }

    fn scheduled(threshold: &str) -> Work {
        let load = Load::stages([Stage::unlimited(100.0)]).request(get("/"));
        Work::Load(if threshold.is_empty() {
            load
        } else {
            load.threshold(threshold.parse::<Threshold>().unwrap())
        })
    }

    /// Returns a plan of this many settings, of which those with these numbers are marked as the one in use.
    fn plan_of(count: usize, work: &Work, marked: &[usize]) -> Plan {
        let ids: Vec<String> = (0..count).map(|index| format!("s/app@n={index}/p")).collect();
        let works: Vec<(&str, Work)> = ids.iter().map(|id| (id.as_str(), work.clone())).collect();
        let mut plan = samples::plan(&works);
        for (index, job) in plan.order.jobs.iter_mut().enumerate() {
            let mut spec = (*job.spec).clone();
            spec.setting = Some(Box::new(
                serde_json::from_value::<Setting>(serde_json::json!({
                    "function": "app", "values": [["n", index.to_string()]], "default": marked.contains(&index),
                }))
                .unwrap(),
            ));
            job.spec = spec.into();
        }
        plan
    }

    fn refused(arguments: &[&str], mut plan: Plan) -> String {
        make(&args(arguments), &mut plan).unwrap_err().text
    }

    #[test]
    fn goals_are_planned_with_their_margin_and_effort() {
        let mut plan = plan_of(3, &closed(), &[1]);
        let (tuning, notices) = make(&args(&["--margin", "throughput=3"]), &mut plan).unwrap();
        assert_eq!(
            (tuning.goal, tuning.budget, notices.len()),
            (Goal::Throughput, BUDGET, 0)
        );
        assert_eq!(
            (tuning.rules.present, tuning.rules.margin, tuning.rules.most_blocks),
            (Some(1), 0.03, MAX_BLOCKS)
        );
        let profile = &plan.order.profile;
        assert_eq!(
            (profile.launches, profile.rounds, profile.warm_up_time),
            (30, 1, EFFORT.0)
        );
        let mut plan = plan_of(3, &scheduled(""), &[]);
        let (tuning, notices) = make(&args(&["--goal", "cost", "--launches", "9"]), &mut plan).unwrap();
        assert_eq!((tuning.goal, tuning.rules.most_blocks), (Goal::Cost, 9));
        assert!(notices[0].contains("default_variant"), "{notices:?}");
        let mut plan = plan_of(3, &scheduled(""), &[0]);
        plan.order.profile.rounds = 3;
        let (tuning, _) = make(&args(&["--goal", "p99", "--rounds", "3"]), &mut plan).unwrap();
        assert_eq!((tuning.goal, plan.order.profile.rounds), (Goal::P99, 3));
    }

    #[test]
    fn goals_that_the_load_cannot_show_are_refused() {
        for (goal, work, told) in [
            ("throughput", scheduled(""), "needs a closed loop"),
            (
                "cost",
                closed(),
                "--goal cost needs a scenario with an arrival schedule",
            ),
            ("p99", closed(), "--goal p99 needs a scenario with an arrival schedule"),
        ] {
            let text = refused(&["--goal", goal], plan_of(2, &work, &[]));
            assert!(text.contains(told), "{goal}: {text}");
        }
        let text = refused(&["--goal", "cost"], plan_of(2, &scheduled("throughput>100"), &[]));
        assert!(text.contains("offers at most 100 requests per second"), "{text}");
    }

    #[test]
    fn a_capacity_is_searched_within_the_thresholds() {
        let mut plan = plan_of(2, &scheduled("p99<50ms"), &[0]);
        let usual = plan.order.block_time();
        let (tuning, _) = make(&args(&["--goal", "capacity"]), &mut plan).unwrap();
        assert_eq!((tuning.goal, plan.order.within_thresholds), (Goal::Capacity, true));
        let load = plan.order.jobs[1].case.work.load();
        assert!(load.of_capacity && load.thresholds.len() == 1 && plan.cases[0].work.load() == load);
        assert!(plan.order.block_time() > usual);
        let text = refused(&["--goal", "capacity"], plan_of(2, &closed(), &[]));
        assert!(text.contains("needs a scenario with an arrival schedule"), "{text}");
        let text = refused(&["--goal", "capacity"], plan_of(2, &scheduled("throughput>5"), &[]));
        assert!(text.contains("searches the rate itself"), "{text}");
    }

    #[test]
    fn selections_without_settings_to_compare_are_refused() {
        let text = refused(&[], plan_of(1, &closed(), &[]));
        assert!(text.contains("only s/app@n=0/p is selected"), "{text}");
        let mut plan = plan_of(2, &closed(), &[]);
        plan.order.jobs[1].case.param = "q".into();
        let text = refused(&[], plan);
        assert!(
            text.contains("2 are selected: s/p, s/q") && text.contains("`^s/.*/p$`"),
            "{text}"
        );
        assert!(refused(&["--launches", "3"], plan_of(2, &closed(), &[])).contains("--launches 4 or more"));
        let text = refused(&["--margin", "p99=3"], plan_of(2, &closed(), &[]));
        assert!(text.contains("`throughput`"), "{text}");
    }

    #[test]
    fn a_gate_needs_one_setting_in_use() {
        let text = refused(&["--gate"], plan_of(2, &closed(), &[]));
        assert!(text.contains(".default_variant("), "{text}");
        let text = refused(&["--gate"], plan_of(3, &closed(), &[0, 2]));
        assert!(text.contains("select one server with --server"), "{text}");
        let (tuning, notices) = make(&args(&[]), &mut plan_of(3, &closed(), &[0, 2])).unwrap();
        assert!(tuning.rules.present.is_none() && notices.len() == 1);
        assert!(
            make(&args(&["--gate"]), &mut plan_of(2, &closed(), &[0]))
                .unwrap()
                .0
                .rules
                .judge_present
        );
    }

    #[test]
    fn a_budget_that_is_too_short_is_refused_with_the_time_needed() {
        // Twelve launches of 3.8 s, or of 2.9 s with the shortest rounds.
        let text = refused(&["--budget", "20s"], plan_of(3, &closed(), &[]));
        assert!(
            text.contains("3 settings need at least 4 launches each") && text.contains("--budget 46s"),
            "{text}"
        );
        let mut plan = plan_of(3, &closed(), &[0]);
        let (_, notices) = make(&args(&["--budget", "40s"]), &mut plan).unwrap();
        assert!(notices[0].contains("rounds are shortened"), "{notices:?}");
        assert!(plan.order.block_time() * 4 <= Duration::from_secs(40));
        // An effort of the command line is kept.
        let text = refused(
            &["--budget", "40s", "--measurement-time", "1500ms"],
            plan_of(3, &closed(), &[]),
        );
        assert!(text.contains("too short for a decision"), "{text}");
    }
}
