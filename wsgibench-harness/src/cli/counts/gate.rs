//! Comparison of counts: two arms, or one with a saved baseline.

use std::collections::BTreeMap;

use super::{
    super::{
        Failure,
        args::Args,
        arms::{self, OtherArm},
        compare, exit,
        exit::ExitStatus,
        explain,
        identical::Identical,
        ignored_files,
        plan::Plan,
        run::Run,
        verdict::{self, VerdictFile},
    },
    Counted, describe, family, planned,
};
use crate::{
    against::Base,
    counts::{
        CountEnvironment, CountSeries,
        attribution::{self, Attribution, FunctionCost},
        decide, decision,
        file::image_changes,
    },
    measure::{
        Policy,
        comparison::{Judged, Pairing, of_launch},
        event::Event,
    },
    stats::{Family, Metric, Outcome, Series, disturbance::Guard},
    store::{
        BaselineRun,
        arms::{BASE, CANDIDATE},
        record::{CaseOutcome, CaseRecord, RunRecord},
        write_json,
    },
};

/// Rows of an attribution table.
const ROWS: usize = 12;
/// Smallest change of a function in a table, instructions per request.
const FLOOR: f64 = 5.0;

/// Launches of a gate: all planned ones, unless nothing is left to compare.
struct CountPolicy(u32);

impl Policy for CountPolicy {
    fn blocks(&self) -> u32 {
        self.0
    }

    fn more(&mut self, block: u32, run: &RunRecord) -> bool {
        let goes_on = |case: &CaseRecord| matches!(case.outcome, CaseOutcome::Planned | CaseOutcome::Measured);
        block < self.0 && run.cases.iter().any(goes_on)
    }
}

/// Counts both arms and decides.
pub(super) fn against(
    run: &Run,
    args: &Args,
    plan: &mut Plan,
    bench: &str,
    judged: &Judged,
) -> Result<Counted, Failure> {
    let other = arms::add(run, args, plan, bench)?;
    let needed = planned(judged, plan)?;
    let launches = match args.launches {
        Some(launches) if args.gate.is_some() && launches < needed => {
            return Err(Failure::usage(format!(
                "--launches {launches} is too few: a gate on counts of these cases needs {needed} launches of each arm to tell a \
                 change from chance; give --launches {needed} or leave the option out"
            )));
        }
        Some(launches) if launches as usize > decision::MAX_LAUNCHES => {
            return Err(Failure::usage(format!(
                "--launches {launches} is too many for a comparison of counts: at most {}, since all divisions of the launches into \
                 two arms are tried",
                decision::MAX_LAUNCHES
            )));
        }
        Some(launches) => launches,
        None => needed,
    };
    run.listeners.notice(
        "",
        format!("{launches} launches of each arm are counted, in random order"),
    );
    let family = family(judged, plan, plan.cases.len());
    let mut record = run.measure(args, plan, &mut CountPolicy(launches))?;
    let identical = match &other.checkout {
        Some(checkout) => {
            ignored_files::explain_failures(&mut record, plan, checkout)?;
            Identical::find(&record, plan, checkout)?
        }
        None => Identical::default(),
    };
    describe(run, plan, &mut record)?;
    let series: Vec<CountSeries> = judged
        .series_of(&record, &family, &Metric::COUNTS)
        .into_iter()
        .map(of_blocks)
        .collect();
    let outcomes = decide(&series, judged.alpha);
    let attributions = attributions(&record, &judged.pairing);
    let status = conclude(
        run,
        args,
        &mut record,
        other,
        &identical,
        outcomes,
        attributions,
        Vec::new(),
    )?;
    Ok(Counted { record, status })
}

fn of_blocks(series: Series) -> CountSeries {
    let arm = |of: fn(&(f64, f64)) -> f64| -> Vec<f64> {
        series.blocks.iter().map(of).filter(|value| !value.is_nan()).collect()
    };
    CountSeries {
        base: arm(|pair| pair.0),
        candidate: arm(|pair| pair.1),
        case: series.case,
        metric: series.metric,
        margin: series.margin,
        role: series.role,
    }
}

/// Compares the functions of both arms of each case.
fn attributions(record: &RunRecord, pairing: &Pairing) -> BTreeMap<String, Attribution> {
    if *pairing != Pairing::Arms {
        return BTreeMap::new();
    }
    let functions = |case: &CaseRecord, arm: &str| -> Vec<Vec<FunctionCost>> {
        let rounds = case.of_arm(arm).flat_map(|launch| &launch.rounds);
        rounds
            .filter_map(|round| Some(round.counts.as_ref()?.functions.clone()))
            .collect()
    };
    record
        .cases
        .iter()
        .map(|case| {
            let (base, candidate) = (functions(case, BASE), functions(case, CANDIDATE));
            let base: Vec<&[FunctionCost]> = base.iter().map(Vec::as_slice).collect();
            let candidate: Vec<&[FunctionCost]> = candidate.iter().map(Vec::as_slice).collect();
            (case.id.clone(), attribution::compare(&base, &candidate, ROWS, FLOOR))
        })
        .filter(|(_, attribution)| !attribution.functions.is_empty())
        .collect()
}

/// Writes the verdict and returns the exit status. `images` says how the servers' images differ from the base's.
#[expect(clippy::too_many_arguments, reason = "all of it is in the verdict")]
fn conclude(
    run: &Run,
    args: &Args,
    record: &mut RunRecord,
    other: OtherArm,
    identical: &Identical,
    outcomes: Vec<Outcome>,
    attribution: BTreeMap<String, Attribution>,
    images: Vec<String>,
) -> Result<ExitStatus, Failure> {
    let disturbance = Guard::default().judge(0, 1);
    // What cannot be counted is missing for its own reason.
    let (cannot, decided): (Vec<Outcome>, Vec<Outcome>) = outcomes
        .iter()
        .cloned()
        .partition(|outcome| outcome.undecided && !outcome.notes.is_empty());
    let mut missing = if decided.iter().any(|outcome| outcome.gated) || cannot.is_empty() {
        verdict::missing(args.gate, record, &decided, &disturbance)
    } else {
        Vec::new()
    };
    missing.extend(cannot.iter().map(|outcome| {
        format!(
            "{}: {} {}",
            outcome.case,
            outcome.metric.title(),
            outcome.notes.join("; ")
        )
    }));
    let decided = verdict::status(args.gate, exit::of_run(record), &missing, &outcomes);
    let (word, status) = compare::overruled(decided, record.interrupted, args.gate, identical);
    let mut notes: Vec<String> = verdict::away(record);
    notes.extend(images);
    notes.extend(identical.note(args.base().map_or("", Base::reference)));
    let mut file = VerdictFile {
        version: compare::VERDICT_VERSION,
        run: record.id.clone(),
        against: other.against,
        gate: args.gate.is_some(),
        verdict: word.to_owned(),
        exit_status: status as i32,
        ended: "all planned launches were counted".to_owned(),
        disturbance,
        missing,
        unmatched: other.unmatched,
        identical: identical.servers.clone(),
        notes,
        outcomes,
        thresholds: None,
        attribution,
    };
    file.notes.extend(explain::hint(args, &file));
    write_json(&run.store.root().join("verdict.json"), &file)?;
    record.comparison = serde_json::to_value(&file).ok();
    run.store.rewrite(record)?;
    run.listeners.tell(&Event::Compared {
        verdict: Box::new(serde_json::to_value(&file).unwrap_or_default()),
        outcomes: file.outcomes.clone(),
    });
    Ok(status)
}

/// Gates on a saved baseline of counts.
pub(super) fn on_baseline(
    run: &Run,
    args: &Args,
    judged: &Judged,
    record: &mut RunRecord,
    earlier: &[BaselineRun],
) -> Result<ExitStatus, Failure> {
    let name = args
        .baseline
        .as_ref()
        .or(args.baseline_lenient.as_ref())
        .cloned()
        .unwrap_or_default();
    let Some(last) = earlier.iter().rev().find(|kept| kept.counted.is_some()) else {
        return Err(Failure::usage(format!(
            "baseline `{name}` has no counts; save some with `--count --save-baseline {name}`"
        )));
    };
    refuse_other_environment(&format!("baseline `{name}`"), last.counted.as_ref(), record)?;
    let redefined: Vec<&str> = record
        .cases
        .iter()
        .filter(|case| {
            let kept = last.definitions.get(&case.id);
            kept.is_some_and(|kept| case.definition().is_some_and(|here| here != kept))
        })
        .map(|case| case.id.as_str())
        .collect();
    if !redefined.is_empty() {
        return Err(Failure::usage(format!(
            "{}: counted in baseline `{name}` with another load, other limits or other environment variables; count and save it again \
             with --count --save-baseline {name}",
            redefined.join(", ")
        )));
    }
    let cases: Vec<&CaseRecord> = record
        .cases
        .iter()
        .filter(|case| last.cases.contains_key(&case.id))
        .collect();
    let unmatched: Vec<String> = record
        .cases
        .iter()
        .filter(|case| !last.cases.contains_key(&case.id) && case.outcome == CaseOutcome::Measured)
        .map(|case| format!("{}: not in baseline `{name}`", case.id))
        .collect();
    if args.baseline.is_some() && !unmatched.is_empty() {
        return Err(Failure::usage(format!(
            "{}; count and save them with --count --save-baseline {name}, or use --baseline-lenient {name}",
            unmatched.join(", ")
        )));
    }
    let present = |metric: &Metric| {
        cases
            .iter()
            .any(|case| case.candidate().any(|launch| of_launch(launch, *metric).is_some()))
    };
    let metrics: Vec<Metric> = judged.gated.iter().copied().filter(present).collect();
    let family = Family::new(&metrics, cases.len());
    let series: Vec<CountSeries> = cases
        .iter()
        .flat_map(|case| Metric::COUNTS.map(|metric| (case, metric)))
        .filter_map(|(case, metric)| {
            let kept = last.cases.get(&case.id)?.get(metric.id())?;
            Some(CountSeries {
                case: case.id.clone(),
                metric,
                margin: judged.margin(metric),
                role: family.role(metric),
                base: kept.iter().copied().take(decision::MAX_LAUNCHES).collect(),
                candidate: case
                    .candidate()
                    .filter_map(|launch| of_launch(launch, metric))
                    .take(decision::MAX_LAUNCHES)
                    .collect(),
            })
        })
        .collect();
    let outcomes = decide(&series, judged.alpha);
    let changes = image_changes(&last.packages, &record.packages());
    let images = changes.into_iter().map(|change| format!("image of {change}")).collect();
    let other = OtherArm {
        against: format!("baseline `{name}`"),
        unmatched,
        checkout: None,
    };
    conclude(
        run,
        args,
        record,
        other,
        &Identical::default(),
        outcomes,
        BTreeMap::new(),
        images,
    )
}

pub(super) fn refuse_other_environment(
    what: &str,
    kept: Option<&CountEnvironment>,
    record: &RunRecord,
) -> Result<(), Failure> {
    let (Some(kept), Some(here)) = (kept, &record.counted) else {
        return Ok(());
    };
    let differences = kept.differences(here);
    if differences.is_empty() {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{what} was counted in another environment, whose counts cannot be compared with those of this one: {}; count it again \
         here",
        differences.join("; ")
    )))
}
