//! `--count`: counted runs, their gate, and `counts.toml`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Failure,
    args::{Args, Count},
    arms::{self, OtherArm},
    compare, exit,
    exit::ExitStatus,
    identical::Identical,
    ignored_files,
    plan::Plan,
    run::{self, Run},
    verdict::{self, VerdictFile},
};
use crate::{
    against::Base,
    counts::{
        CountSeries, attribution,
        attribution::Attribution,
        decide,
        decision::{self, launches_needed},
        file::{CaseCounts, Checked, CountFile, Drift, Figure},
    },
    declare::{Case, Work},
    load::Model,
    measure::{
        Policy,
        comparison::{Judged, Pairing, of_launch},
        counting::{CountPlan, Valgrind, counts_alike, is_of_load},
        event::Event,
    },
    stats::{Family, Margin, Metric, Outcome, disturbance::Guard},
    store::{
        BaselineRun,
        arms::{BASE, CANDIDATE},
        record::{CaseOutcome, CaseRecord, RunRecord},
        write_json,
    },
};

/// Launches of a case without a gate.
const LAUNCHES: u32 = 3;
/// Error rate of a gate on counts alone.
const ALPHA: f64 = 0.01;
/// Error rate of counts that are gated before time; time has the rest.
pub(super) const ALPHA_FIRST: f64 = 0.002;
/// Rows of an attribution table.
const ROWS: usize = 12;
/// Smallest change of a function in a table, instructions per request.
const FLOOR: f64 = 5.0;

/// A counted run and its consequences.
pub(super) struct Counted {
    pub(super) record: RunRecord,
    pub(super) status: ExitStatus,
}

/// The files of `--check-counts` and `--bless-counts`, read before the run.
struct Files {
    check: Option<(PathBuf, CountFile)>,
    bless: Option<(PathBuf, CountFile)>,
}

/// Counts, compares and decides. `earlier` is the baseline of `--baseline`.
pub(super) fn run(
    run: &Run,
    args: &Args,
    plan: &mut Plan,
    bench: &str,
    earlier: Option<&[BaselineRun]>,
) -> Result<Counted, Failure> {
    let valgrind = Valgrind::find(run.store.root()).map_err(|error| Failure::usage(format!("--count: {error}")))?;
    let files = Files::read(args, &plan.order.manifest_dir)?;
    prepare(run, args, plan, valgrind);
    let judged = judged(args)?;
    if args.base().is_some() || args.versus.is_some() {
        return against(run, args, plan, bench, &judged, ALPHA);
    }
    if args.gate.is_some() && earlier.is_none() && files.check.is_none() {
        return Err(Failure::usage(
            "--count --gate needs something to compare with: --against GIT_REF, --versus SERVER, --baseline NAME, or --check-counts",
        ));
    }
    let launches = match (args.launches, args.gate.is_some() && earlier.is_some()) {
        (Some(launches), _) => launches,
        (None, true) => planned(&judged, plan, ALPHA)?,
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

/// Counts both arms of `--against` before they are timed, with a share of the error rate. The plan is left as it was.
pub(super) fn first(run: &Run, args: &Args, plan: &Plan, bench: &str) -> Result<Counted, Failure> {
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
    against(run, args, &mut counted, bench, &judged(args)?, ALPHA_FIRST)
}

/// Turns a plan into one that counts, and says what changes by it.
fn prepare(run: &Run, args: &Args, plan: &mut Plan, valgrind: Valgrind) {
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
            "counting under valgrind {}: memory limits and start-up times of the servers are multiplied by 10, timeouts of requests by 20",
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

/// Returns the judged metrics and margins.
fn judged(args: &Args) -> Result<Judged, Failure> {
    let mut margins: BTreeMap<Metric, Margin> = BTreeMap::new();
    for given in compare::margins(args)? {
        margins.insert(given.metric, given.margin);
    }
    let parse = |option: &str, texts: &[String]| -> Result<Vec<Metric>, Failure> {
        let parse = |text: &String| text.parse().map_err(|e| Failure::usage(format!("{option}: {e}")));
        texts.iter().map(parse).collect()
    };
    let named: Vec<Metric> = parse("--gate-metric", &args.gate_metric)?;
    let ungated = parse("--ungate", &args.ungate)?;
    let mut gated: Vec<Metric> = named.into_iter().filter(|metric| metric.is_count()).collect();
    if gated.is_empty() {
        gated = Metric::COUNTS.to_vec();
    }
    gated.retain(|metric| !ungated.contains(metric));
    Ok(Judged {
        pairing: args.versus.clone().map_or(Pairing::Arms, Pairing::Versus),
        gated,
        margins,
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
fn planned(judged: &Judged, plan: &Plan, alpha: f64) -> Result<u32, Failure> {
    let mut cases: Vec<&str> = plan.order.jobs.iter().map(|job| job.case.id.as_str()).collect();
    cases.sort_unstable();
    cases.dedup();
    let pairs = family(judged, plan, cases.len()).metrics().len() * cases.len();
    let needed = launches_needed(pairs, alpha).ok_or_else(|| {
        Failure::usage(format!(
            "{} cases are too many for one gate on counts: {} launches of each arm cannot decide {pairs} pairs; select fewer",
            cases.len(),
            decision::MAX_LAUNCHES
        ))
    })?;
    Ok(u32::try_from(needed).unwrap_or(u32::MAX))
}

/// Launches of a gate: all planned ones, unless nothing is left to compare.
struct GatePolicy(u32);

impl Policy for GatePolicy {
    fn blocks(&self) -> u32 {
        self.0
    }

    fn more(&mut self, block: u32, run: &RunRecord) -> bool {
        let goes_on = |case: &CaseRecord| matches!(case.outcome, CaseOutcome::Planned | CaseOutcome::Measured);
        block < self.0 && run.cases.iter().any(goes_on)
    }
}

/// Counts both arms and decides.
fn against(
    run: &Run,
    args: &Args,
    plan: &mut Plan,
    bench: &str,
    judged: &Judged,
    alpha: f64,
) -> Result<Counted, Failure> {
    let other = arms::add(run, args, plan, bench)?;
    let needed = planned(judged, plan, alpha)?;
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
    let mut record = run.measure(args, plan, &mut GatePolicy(launches))?;
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
    let outcomes = decide(&series, alpha);
    let attributions = attributions(&record, &judged.pairing);
    let status = conclude(run, args, &mut record, other, &identical, outcomes, attributions)?;
    Ok(Counted { record, status })
}

fn of_blocks(series: crate::stats::Series) -> CountSeries {
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
    let functions = |case: &CaseRecord, arm: &str| -> Vec<Vec<attribution::FunctionCost>> {
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
            let slices = |launches: &[Vec<attribution::FunctionCost>]| -> Vec<usize> { (0..launches.len()).collect() };
            let base: Vec<&[attribution::FunctionCost]> = slices(&base).iter().map(|&i| base[i].as_slice()).collect();
            let candidate: Vec<&[attribution::FunctionCost]> =
                slices(&candidate).iter().map(|&i| candidate[i].as_slice()).collect();
            (case.id.clone(), attribution::compare(&base, &candidate, ROWS, FLOOR))
        })
        .filter(|(_, attribution)| !attribution.functions.is_empty())
        .collect()
}

/// Writes the verdict and returns the exit status.
fn conclude(
    run: &Run,
    args: &Args,
    record: &mut RunRecord,
    other: OtherArm,
    identical: &Identical,
    outcomes: Vec<Outcome>,
    attribution: BTreeMap<String, Attribution>,
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
    notes.extend(identical.note(args.base().map_or("", Base::reference)));
    let file = VerdictFile {
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
        attribution,
    };
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
fn on_baseline(
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
    let outcomes = decide(&series, ALPHA);
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
    )
}

fn refuse_other_environment(
    what: &str,
    kept: Option<&crate::counts::CountEnvironment>,
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

impl Files {
    fn read(args: &Args, manifest_dir: &Path) -> Result<Self, Failure> {
        let path = |file: &PathBuf| manifest_dir.join(file);
        let read = |file: &Path| -> Result<CountFile, Failure> {
            let text = fs::read_to_string(file).map_err(|error| {
                Failure::usage(format!(
                    "failed to read {}: {error}; write it with `cargo bench -- --count --bless-counts`",
                    file.display()
                ))
            })?;
            CountFile::parse(&text).map_err(|error| Failure::usage(format!("{}: {error}", file.display())))
        };
        let check = args.check_counts.as_ref().map(path);
        let bless = args.bless_counts.as_ref().map(path);
        Ok(Self {
            check: check
                .map(|file| read(&file).map(|content| (file, content)))
                .transpose()?,
            bless: bless
                .map(|file| {
                    let content = if file.exists() {
                        read(&file)?
                    } else {
                        CountFile::default()
                    };
                    Ok::<_, Failure>((file, content))
                })
                .transpose()?,
        })
    }

    /// Checks the counts, or rewrites the file.
    fn conclude(self, run: &Run, judged: &Judged, plan: &Plan, record: &RunRecord) -> Result<ExitStatus, Failure> {
        let here = file_of(record);
        let mut status = ExitStatus::Success;
        if let Some((path, kept)) = &self.check {
            refuse_other_environment(&path.display().to_string(), Some(&kept.environment), record)?;
            let mut wanted: Vec<String> = plan.order.jobs.iter().map(|job| job.case.id.clone()).collect();
            wanted.extend(record.cases.iter().map(|case| case.id.clone()));
            wanted.sort_unstable();
            wanted.dedup();
            let checked = kept.check(&here, &wanted, |metric| judged.margin(metric));
            let scattered = scattered(record);
            for line in lines(&checked, &scattered) {
                run.listeners.notice("", line);
            }
            status = if scattered.is_empty() {
                checked_status(&checked)
            } else {
                ExitStatus::GateMissing
            };
            let text = match status {
                ExitStatus::Success => format!("counts agree with {}", path.display()),
                _ => format!(
                    "counts differ from {}; if that is intended, run `cargo bench -- --count --bless-counts`",
                    path.display()
                ),
            };
            run.listeners.notice("", text);
        }
        if let Some((path, mut content)) = self.bless {
            if record.interrupted || here.cases.is_empty() {
                return Err(Failure::machine(format!(
                    "{} is left as it is: the run was interrupted or counted nothing",
                    path.display()
                )));
            }
            let cases = here.cases.len();
            content.bless(here);
            fs::write(&path, content.render())
                .map_err(|error| Failure::machine(format!("failed to write {}: {error}", path.display())))?;
            run.listeners
                .notice("", format!("{cases} cases written to {}", path.display()));
        }
        Ok(status)
    }
}

/// A rise fails as a regression; a case that one side lacks is a wrong use of the file.
fn checked_status(checked: &Checked) -> ExitStatus {
    if checked.drifts.iter().any(Drift::is_rise) {
        ExitStatus::Regression
    } else if !checked.unknown.is_empty() || !checked.missing.is_empty() || !checked.redefined.is_empty() {
        ExitStatus::Usage
    } else {
        ExitStatus::Success
    }
}

/// Returns the cases whose instructions cannot be counted, with the reason.
fn scattered(record: &RunRecord) -> Vec<String> {
    record
        .cases
        .iter()
        .filter_map(|case| {
            let values: Vec<f64> = case
                .candidate()
                .filter_map(|launch| of_launch(launch, Metric::InstructionsPerRequest))
                .collect();
            decision::cannot_be_counted(&values).map(|why| format!("{}: cannot be counted: {why}", case.id))
        })
        .collect()
}

fn lines(checked: &Checked, scattered: &[String]) -> Vec<String> {
    let drift = |drift: &Drift, word: &str| {
        format!(
            "{}: {} {word} by {:.2} %, from {} to {} (margin {})",
            drift.case,
            drift.metric.title(),
            drift.change.abs() * 100.0,
            crate::report::units::metric(drift.metric, drift.kept),
            crate::report::units::metric(drift.metric, drift.here),
            drift.margin
        )
    };
    let mut lines: Vec<String> = Vec::new();
    lines.extend(checked.drifts.iter().filter(|d| d.is_rise()).map(|d| drift(d, "rose")));
    lines.extend(checked.drifts.iter().filter(|d| d.is_fall()).map(|d| drift(d, "fell")));
    lines.extend(checked.unknown.iter().map(|id| format!("{id}: not in the file")));
    lines.extend(
        checked
            .missing
            .iter()
            .map(|id| format!("{id}: in the file, and not counted in this run")),
    );
    lines.extend(
        checked
            .redefined
            .iter()
            .map(|id| format!("{id}: counted with another load, limits or environment variables than in the file")),
    );
    lines.extend(scattered.iter().cloned());
    if lines.is_empty() {
        return lines;
    }
    lines.extend(checked.images.iter().map(|line| format!("image of {line}")));
    lines
}

/// Returns the counts of a run in the form of `counts.toml`.
fn file_of(record: &RunRecord) -> CountFile {
    let values = |case: &CaseRecord, metric: Metric| -> Vec<f64> {
        case.candidate()
            .filter_map(|launch| of_launch(launch, metric))
            .collect()
    };
    let cases = record.cases.iter().filter(|case| case.outcome == CaseOutcome::Measured);
    let cases = cases.filter_map(|case| {
        let instructions = values(case, Metric::InstructionsPerRequest);
        let first = case
            .candidate()
            .flat_map(|launch| &launch.rounds)
            .find_map(|round| round.counts.as_ref())?;
        let counts = CaseCounts {
            n: instructions.len(),
            instructions: Figure::of(&instructions)?,
            syscalls: Figure::of(&values(case, Metric::SyscallsPerRequest))?,
            statements: Figure::of(&values(case, Metric::StatementsPerRequest)),
            definition: first.definition.clone(),
        };
        Some((case.id.clone(), counts))
    });
    CountFile {
        version: 1,
        environment: record.counted.clone().unwrap_or_default(),
        cases: cases.collect(),
        images: record
            .servers
            .iter()
            .map(|server| (server.spec.name.clone(), server.versions.clone()))
            .collect(),
    }
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

    #[test]
    fn a_rise_fails_and_an_unknown_case_is_wrong_usage() {
        let mut checked = Checked::default();
        assert_eq!(checked_status(&checked), ExitStatus::Success);
        checked.unknown.push("ping/a/c1".into());
        assert_eq!(checked_status(&checked), ExitStatus::Usage);
        checked.drifts.push(Drift {
            case: "ping/b/c1".into(),
            metric: Metric::InstructionsPerRequest,
            kept: 1_000.0,
            here: 1_010.0,
            change: 0.01,
            margin: Margin::Relative(0.005),
            certain: true,
        });
        assert_eq!(checked_status(&checked), ExitStatus::Regression);
        let lines = lines(&checked, &[]);
        assert_eq!(
            lines[0],
            "ping/b/c1: instructions per request rose by 1.00 %, from 1,000 to 1,010 (margin 0.5 %)"
        );
    }
}
