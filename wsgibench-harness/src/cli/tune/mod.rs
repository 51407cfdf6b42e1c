//! `--tune`: searches for the best setting and writes the answer.

mod answer;
mod plan;

use std::time::Duration;

use super::{Failure, args::Args, exit::ExitStatus, plan::Plan, run::Run};
use crate::{
    measure::{
        event::Event,
        tuning::{TunePlan, TunePolicy},
    },
    store::{
        record::RunRecord,
        tuning::{TuneEnd, TuneProgress},
        write_json,
    },
};

/// Applies the effort and the limits of a tuning to the plan, if one is requested.
pub(super) fn prepare(run: &Run, args: &Args, plan: &mut Plan) -> Result<Option<TunePlan>, Failure> {
    if !args.tune || plan.order.test_mode {
        return Ok(None);
    }
    let (tuning, notices) = plan::make(args, plan)?;
    for text in notices {
        run.listeners.notice("", text);
    }
    Ok(Some(tuning))
}

/// Searches, writes `tune.json`, and returns the run with the answer.
pub(super) fn run(run: &Run, args: &Args, plan: &Plan, tuning: &TunePlan) -> Result<(RunRecord, ExitStatus), Failure> {
    let emit = |event: Event| run.listeners.tell(&event);
    emit(Event::Tuning(Box::new(TuneProgress {
        blocks: 0,
        left: plan.order.jobs.len(),
        of: plan.order.jobs.len(),
        metric: tuning.goal.metric(),
        best: None,
        dropped: Vec::new(),
    })));
    let mut policy = TunePolicy::new(tuning, &plan.order, &emit);
    let mut record = run.measure(args, plan, &mut policy)?;
    let search = answer::Search {
        end: policy.ended().unwrap_or(TuneEnd::Interrupted),
        blocks: policy.standing().map_or(0, |standing| standing.blocks),
        elapsed: policy.elapsed().max(Duration::ZERO),
    };
    let (answer, status) = answer::of(&record, plan, tuning, &search, args.gate.is_some());
    write_json(&run.store.root().join("tune.json"), &answer)?;
    record.tuning = Some(Box::new(answer));
    run.store.rewrite(&record)?;
    Ok((record, status))
}
