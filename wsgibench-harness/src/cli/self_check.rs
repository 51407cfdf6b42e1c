//! `--self-check`: measures identical arms, and reports whether they differ and how small a change a gate can detect.

use std::{fs, path::Path, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Failure,
    args::Args,
    compare,
    exit::{self, ExitStatus},
    identical_gates::{GateLog, GateRecord},
    plan::Plan,
    run::Run,
    verdict::{self, Gate},
};
use crate::{
    measure::{
        Fixed, Job,
        comparison::Judged,
        environment,
        event::Event,
        gate::{self, GatePlan},
    },
    report::comparison,
    stats::{Family, SelfCheck, Series, Verdict, self_check::self_check},
    store::{
        Fingerprint, Store,
        arms::BASE,
        record::{CaseOutcome, CaseRecord, RunRecord},
        write_json,
    },
};

/// Age in days from which a gate reports the self-check as old.
const STALE_AFTER_DAYS: i64 = 30;

/// Schema version of `self-check.json`.
const VERSION: u32 = 2;

/// `target/wsgibench/self-check.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Schema version.
    pub(super) version: u32,
    /// End of the self-check, UTC.
    pub(super) at: jiff::Timestamp,
    /// The recorded run.
    pub(super) run: String,
    /// The machine.
    pub(super) fingerprint: Fingerprint,
    /// The result.
    pub(super) check: SelfCheck,
}

/// Measures identical arms and judges them: one recording, or real gates with `--gates`.
///
/// Returns no run if all gates were already complete.
pub(super) fn run(run: &Run, args: &Args, plan: &mut Plan) -> Result<(Option<RunRecord>, ExitStatus), Failure> {
    let judged = compare::judged(args, &plan.order.profile)?;
    compare::leave_out_faults(run, plan);
    let cases: Vec<String> = plan.order.jobs.iter().map(|job| job.case.id.clone()).collect();
    let twins: Vec<Job> = plan
        .order
        .jobs
        .iter()
        .map(|job| Job {
            case: job.case.clone(),
            arm: BASE,
            spec: Arc::clone(&job.spec),
        })
        .collect();
    plan.order.jobs.extend(twins);
    plan.order.reference = true;
    let gate_plan = gate::plan(&judged, &cases, plan.order.block_time(), args.budget)?;
    if let Some(limits) = gate_plan.limits() {
        run.listeners.notice("", limits);
    }
    let mut log = GateLog::open(
        &run.store.root().join("identical-gates.jsonl"),
        setup(&judged, &gate_plan, plan, &cases),
    )?;
    match args.gates {
        Some(wanted) => run_gates(run, args, plan, (&judged, &gate_plan), &mut log, wanted as usize),
        None => record(run, args, plan, (&judged, &gate_plan), &log),
    }
}

/// Returns everything that determines whether two gates are comparable.
fn setup(judged: &Judged, gate_plan: &GatePlan, plan: &Plan, cases: &[String]) -> Value {
    let here = environment::read(&plan.order.manifest_dir);
    let servers: Vec<Value> = plan
        .order
        .jobs
        .iter()
        .filter(|job| job.arm == BASE)
        .filter_map(|job| serde_json::to_value(&*job.spec).ok())
        .collect();
    serde_json::json!({
        "harness": env!("CARGO_PKG_VERSION"),
        "cpu_model": here.cpu_model,
        "cpu_count": here.cpu_count,
        "kernel": here.kernel,
        "server_cpus": plan.order.server_cpus,
        "load_cpus": plan.order.load_cpus,
        "profile": plan.order.profile,
        "cases": cases,
        "servers": servers,
        "gated": judged.gated,
        "margins": judged.margins,
        "design": gate_plan.design,
    })
}

/// Measures a recording with as many blocks as a gate.
fn record(
    run: &Run,
    args: &Args,
    plan: &Plan,
    (judged, gate_plan): (&Judged, &GatePlan),
    log: &GateLog,
) -> Result<(Option<RunRecord>, ExitStatus), Failure> {
    let blocks = args
        .launches
        .unwrap_or_else(|| u32::try_from(gate_plan.design.last_blocks()).unwrap_or(u32::MAX));
    let record = run.measure(args, plan, &mut Fixed(blocks))?;
    let status = exit::of_run(&record);
    if run.interrupt.asked() {
        return Ok((Some(record), status));
    }
    let series = measured(run, judged, &gate_plan.family, &record);
    let check = judge(&series, gate_plan, log)?;
    let passed = keep(run, &record, check)?;
    Ok((Some(record), if passed { status } else { ExitStatus::GateMissing }))
}

/// Runs gates on identical arms until the log has `wanted` of them.
fn run_gates(
    run: &Run,
    args: &Args,
    plan: &mut Plan,
    (judged, gate_plan): (&Judged, &GatePlan),
    log: &mut GateLog,
    wanted: usize,
) -> Result<(Option<RunRecord>, ExitStatus), Failure> {
    let seed = plan.order.seed;
    let path = log.path().display().to_string();
    run.listeners.notice(
        "",
        format!("{} of {wanted} identical gates are in {path}", log.len().min(wanted)),
    );
    let mut last = None;
    let whole = log.run_missing(wanted, |number, setup| {
        plan.order.seed = seed.wrapping_add(number as u64);
        let (record, gate) = one_gate(run, args, plan, (judged, gate_plan), setup)?;
        last = Some(record);
        if run.interrupt.asked() {
            return Ok(None);
        }
        let alarms = if gate.alarms.is_empty() {
            String::new()
        } else {
            format!(": {}", gate.alarms.join(", "))
        };
        run.listeners.notice(
            "",
            format!("identical gate {} of {wanted}: {}{alarms}", number + 1, gate.verdict),
        );
        Ok(Some(gate))
    })?;
    if !whole {
        run.listeners.notice(
            "",
            format!(
                "interrupted after {} of {wanted} gates; the same command resumes",
                log.len()
            ),
        );
        return Ok((last, ExitStatus::Interrupted));
    }
    let check = judge(&log.recording(), gate_plan, log)?;
    let passed = if let Some(record) = &last {
        keep(run, record, check)?
    } else {
        // All gates were complete: `self-check.json` has their result.
        let passed = check.passed;
        run.listeners.tell(&Event::SelfChecked { check: Box::new(check) });
        passed
    };
    let status = if passed {
        ExitStatus::Success
    } else {
        ExitStatus::GateMissing
    };
    Ok((last, status))
}

/// Runs one gate on identical arms, as `--against --gate` runs it.
fn one_gate(
    run: &Run,
    args: &Args,
    plan: &Plan,
    (judged, gate_plan): (&Judged, &GatePlan),
    setup: &Value,
) -> Result<(RunRecord, GateRecord), Failure> {
    let mut policy = compare::policy(judged.clone(), gate_plan.clone(), args)?;
    let record = run.measure(args, plan, &mut policy)?;
    let outcomes = policy.outcomes(&record);
    let gate = Some(Gate::On);
    let missing = verdict::missing(gate, &record, &outcomes, &policy.disturbance(&record));
    let (word, _) = verdict::status(gate, exit::of_run(&record), &missing, &outcomes);
    let first_look = gate_plan.design.looks.first().map_or(0, |look| look.blocks);
    let mut blocks = judged.series(&record, &gate_plan.family);
    blocks.retain(|series| series.role.is_gated());
    for series in &mut blocks {
        series.blocks.truncate(first_look);
    }
    let alarms = outcomes
        .iter()
        .filter(|outcome| outcome.gated && outcome.verdict == Verdict::Regression)
        .map(|outcome| format!("{}: {}", outcome.case, outcome.metric.title()))
        .collect();
    let gate = GateRecord {
        at: jiff::Timestamp::now(),
        run: record.id.clone(),
        setup: setup.clone(),
        verdict: word.to_owned(),
        alarms,
        missing,
        blocks,
    };
    Ok((record, gate))
}

/// Judges a recording, together with the identical gates of the same setup.
fn judge(recording: &[Series], gate_plan: &GatePlan, log: &GateLog) -> Result<SelfCheck, Failure> {
    let check =
        self_check(recording, &gate_plan.design).map_err(|error| Failure::usage(format!("--self-check: {error}")))?;
    Ok(match log.summary() {
        Some(gates) => check.with_gates(gates),
        None => check,
    })
}

/// Writes `self-check.json` and prints the result. Returns whether the machine passed.
fn keep(run: &Run, record: &RunRecord, check: SelfCheck) -> Result<bool, Failure> {
    let kept = Kept {
        version: VERSION,
        at: jiff::Timestamp::now(),
        run: record.id.clone(),
        fingerprint: Fingerprint::of(record),
        check,
    };
    write_json(&run.store.root().join("self-check.json"), &kept)?;
    let passed = kept.check.passed;
    run.listeners.tell(&Event::SelfChecked {
        check: Box::new(kept.check),
    });
    Ok(passed)
}

/// Returns the series of the measured cases. A notice names the others.
fn measured(run: &Run, judged: &Judged, family: &Family, record: &RunRecord) -> Vec<Series> {
    let is_measured = |case: &&CaseRecord| case.outcome == CaseOutcome::Measured;
    let left: Vec<&str> = record
        .cases
        .iter()
        .filter(|case| !is_measured(case) && !matches!(case.outcome, CaseOutcome::Ignored(_)))
        .map(|case| case.id.as_str())
        .collect();
    if !left.is_empty() {
        let text = format!("left out of the self-check, not measured: {}", left.join(", "));
        run.listeners.notice("", text);
    }
    let kept: Vec<&str> = record
        .cases
        .iter()
        .filter(is_measured)
        .map(|case| case.id.as_str())
        .collect();
    let mut series = judged.series(record, family);
    series.retain(|series| kept.contains(&series.case.as_str()));
    series
}

/// Reads the machine's last self-check before a gate and returns a notice about it.
///
/// # Errors
/// If the machine failed it, or the file is damaged.
pub(super) fn before_gate(store: &Store, project: &Path) -> Result<String, Failure> {
    let path = store.root().join("self-check.json");
    let Ok(text) = fs::read(&path) else {
        return Ok(
            "no self-check of this machine: the changes that a gate can detect here are unknown; run `cargo bench -- --self-check`"
                .to_owned(),
        );
    };
    let damaged = |error: serde_json::Error| {
        Failure::usage(format!(
            "{} is damaged: {error}; delete it, or run --self-check again",
            path.display()
        ))
    };
    let value: Value = serde_json::from_slice(&text).map_err(damaged)?;
    if value.get("version").and_then(Value::as_u64) != Some(VERSION.into()) {
        return Ok("the self-check of this machine was made by another version of wsgibench; run `cargo bench -- --self-check` again".to_owned());
    }
    let kept = Kept::deserialize(value).map_err(damaged)?;
    let here = environment::read(project);
    let there = &kept.fingerprint;
    if (&there.cpu_model, there.cpu_count, &there.kernel) != (&here.cpu_model, here.cpu_count, &here.kernel) {
        return Ok(format!(
            "the last self-check is of another machine ({}, {} CPUs, kernel {}): the changes that a gate can detect on this one are unknown; \
             run `cargo bench -- --self-check`",
            there.cpu_model, there.cpu_count, there.kernel
        ));
    }
    let date = kept.at.strftime("%Y-%m-%d").to_string();
    if !kept.check.passed {
        return Err(Failure::usage(format!(
            "this machine failed its self-check of {date}: {}; find the cause or use another machine, and run --self-check again",
            comparison::self_check_faults(&kept.check).join("; ")
        )));
    }
    let days = jiff::Timestamp::now().duration_since(kept.at).as_hours() / 24;
    let age = if days > STALE_AFTER_DAYS {
        format!("; it is {days} days old: run --self-check again")
    } else {
        String::new()
    };
    let seen: Vec<String> = kept
        .check
        .metrics
        .iter()
        .filter_map(|m| {
            let mde = comparison::size_of(m.margin, m.mde?);
            Some(format!("{} {mde}", m.metric.title()))
        })
        .collect();
    let gates = kept.check.identical_gates.map_or_else(String::new, |gates| {
        format!("; {}", comparison::identical_gates(&gates))
    });
    Ok(format!(
        "self-check of {date}: the smallest changes that a gate can detect here are {}{gates}{age}",
        seen.join(", ")
    ))
}
