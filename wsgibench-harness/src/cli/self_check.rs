//! `--self-check`: can this machine be trusted with a gate, and what can it see? Kept with the machine's fingerprint.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    Failure,
    args::Args,
    exit::{self, ExitStatus},
    plan::Plan,
    run::Run,
};
use crate::{
    measure::{
        Fixed, Job,
        comparison::{Judged, Pairing},
        environment,
        event::Event,
    },
    report::comparison,
    stats::{
        Design, SelfCheck, Series,
        metric::Metric,
        self_check::{RELABELS, self_check},
    },
    store::{
        Fingerprint, Store,
        arms::BASE,
        record::{CaseOutcome, CaseRecord, RunRecord},
        write_json,
    },
};

/// A check older than this says little about today's machine.
const STALE_AFTER_DAYS: i64 = 30;

/// `target/wsgibench/self-check.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    /// When.
    pub(super) at: jiff::Timestamp,
    /// Run that was recorded.
    pub(super) run: String,
    /// Where.
    pub(super) fingerprint: Fingerprint,
    /// What it gave.
    pub(super) check: SelfCheck,
}

/// Records identical arms and judges the machine by them.
pub(super) fn run(run: &Run, args: &Args, plan: &mut Plan) -> Result<(RunRecord, ExitStatus), Failure> {
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
    let judged = Judged {
        pairing: Pairing::Arms,
        gated: Metric::ALL.into_iter().filter(|m| m.gated_by_default()).collect(),
        margins: BTreeMap::new(),
    };
    let design = Design::standard(judged.family(plan.order.jobs.len() / 2));
    let blocks = args
        .launches
        .unwrap_or(u32::try_from(design.last_blocks()).unwrap_or(26));
    let record = run.measure(args, plan, &mut Fixed(blocks))?;
    let status = exit::of_run(&record);
    if run.interrupt.asked() {
        return Ok((record, status));
    }
    let check = self_check(&measured(run, &judged, &record), &design, RELABELS, plan.order.seed)
        .map_err(|e| Failure::usage(format!("--self-check: {e}")))?;
    let kept = Kept {
        at: jiff::Timestamp::now(),
        run: record.id.clone(),
        fingerprint: Fingerprint::of(&record),
        check,
    };
    let path = run.store.root().join("self-check.json");
    write_json(&path, &kept)?;
    run.listeners.tell(&Event::SelfChecked {
        check: Box::new(kept.check.clone()),
    });
    Ok((
        record,
        if kept.check.passed {
            status
        } else {
            ExitStatus::GateMissing
        },
    ))
}

/// The series of what could be measured; the rest says nothing of the machine, and that is told.
fn measured(run: &Run, judged: &Judged, record: &RunRecord) -> Vec<Series> {
    let is_measured = |case: &&CaseRecord| case.outcome == CaseOutcome::Measured;
    let left: Vec<&str> = record
        .cases
        .iter()
        .filter(|case| !is_measured(case) && !matches!(case.outcome, CaseOutcome::Ignored(_)))
        .map(|case| case.id.as_str())
        .collect();
    if !left.is_empty() {
        let text = format!(
            "not part of the self-check, since it could not be measured: {}",
            left.join(", ")
        );
        run.listeners.notice("", text);
    }
    let kept: Vec<&str> = record
        .cases
        .iter()
        .filter(is_measured)
        .map(|case| case.id.as_str())
        .collect();
    let mut series = judged.series(record);
    series.retain(|series| kept.contains(&series.case.as_str()));
    series
}

/// What a gate says of the machine's last self-check.
///
/// # Errors
/// A gate whose self-check failed is refused.
pub(super) fn before_gate(store: &Store, project: &Path) -> Result<String, Failure> {
    let path = store.root().join("self-check.json");
    let Ok(text) = fs::read(&path) else {
        return Ok("this machine has no self-check: what a gate can see here is not known; `cargo bench -- --self-check` finds out".to_owned());
    };
    let kept: Kept = serde_json::from_slice(&text).map_err(|e| {
        Failure::usage(format!(
            "{} is damaged ({e}); delete it, or run --self-check again",
            path.display()
        ))
    })?;
    let here = environment::read(project);
    let there = &kept.fingerprint;
    if (&there.cpu_model, there.cpu_count, &there.kernel) != (&here.cpu_model, here.cpu_count, &here.kernel) {
        return Ok(format!(
            "the self-check that is kept here is of another machine ({}, {} CPUs, kernel {}): what a gate can see on this one is not \
             known; `cargo bench -- --self-check` finds out",
            there.cpu_model, there.cpu_count, there.kernel
        ));
    }
    if !kept.check.passed {
        return Err(Failure::usage(format!(
            "this machine failed its self-check of {}: identical code would be called a regression in up to {:.1} % of gates; quieten the machine and run --self-check again",
            kept.at.strftime("%Y-%m-%d"),
            kept.check.alarm_bound * 100.0
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
            Some(format!(
                "{} {}",
                m.metric.title(),
                comparison::size_of(m.margin, m.mde?)
            ))
        })
        .collect();
    let favoured = if kept.check.favoured().next().is_some() {
        "; identical arms differed there by more than chance, and so may these: see its run"
    } else {
        ""
    };
    Ok(format!(
        "self-check of {}: smallest changes seen here are {}{favoured}{age}",
        kept.at.strftime("%Y-%m-%d"),
        seen.join(", ")
    ))
}
