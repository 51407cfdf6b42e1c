//! One launch: start, check, warm up, rounds, teardown.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::runtime::Runtime;

use super::{
    bars, burst, capacity, conformance,
    crowd::Crowd,
    drill::{self, Drill},
    environment::{self, CpuTicks},
    event::Event,
    interrupt::Interrupt,
    job::{Order, Ready},
    metrics,
    sampler::{self, Samples},
    validity::{self, Surroundings},
};
use crate::{
    load::{Edge, Plan, RoundResult, Session, Stripe, Target, preflight},
    sandbox::{Launch, Usage},
    stats::{Slope, slope},
    store::record::{Ceiling, LaunchRecord, RoundRecord, ServerSecond},
};

/// What a launch needs beside its job.
pub(super) struct Context<'a> {
    pub(super) order: &'a Order,
    pub(super) runtime: &'a Runtime,
    pub(super) interrupt: &'a Interrupt,
    pub(super) ceiling: Option<Ceiling>,
    pub(super) published_port: bool,
    pub(super) emit: &'a (dyn Fn(Event) + Sync),
}

/// A failure during a launch that has begun; its finished rounds are kept.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The server ended by itself: what it printed last is worth showing.
    Died,
    /// The server lacks what the load needs: nothing was timed.
    Unsupported(String),
    /// Anything else, in words.
    Said(String),
}

impl<E: std::fmt::Display> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self::Said(error.to_string())
    }
}

impl Context<'_> {
    /// Loads a launch that is ready; each finished round is handed to `keep` at once.
    pub(super) fn load(
        &self,
        ready: &Ready,
        launch: &Launch,
        record: &LaunchRecord,
        mut keep: impl FnMut(RoundRecord) -> Result<(), Trouble>,
        mut notes: impl FnMut(String),
    ) -> Result<(), Trouble> {
        let job = &ready.job;
        let load = job.case.work.load();
        let timing = self.order.timing(&job.case.work);
        let target = Target {
            address: launch.address(),
            host: launch.address().to_string(),
        };
        let seed = self.order.seed ^ u64::from(record.index);
        drill::check(load, launch, &job.spec, timing.round, self.order.test_mode)?;
        bars::check(&target, &job.spec, load, &job.case.tags)?;
        conformance::check(&target, load, &self.order.load_cpus, seed)?;
        let (load, capacity) = capacity::resolve(load, &target, &self.order.load_cpus, seed, self.order.test_mode)?;
        let crowd = Crowd::gather(&load.beside, &target)?;
        let mut keep = |mut round: RoundRecord| {
            round.beside = crowd.as_ref().map(Crowd::look).unwrap_or_default();
            round.capacity_per_second = capacity;
            keep(round)
        };
        let plan = Plan {
            target,
            load,
            warm_up: timing.warm_up,
            rounds: timing.rounds,
            measurement_time: timing.round,
            cpus: self.order.load_cpus.clone(),
            seed,
            stripe: Stripe::default(),
            busy_poll: !self.order.shared_cpus,
        };
        for notice in preflight(&plan)? {
            notes(notice.text);
        }
        let mut session = Session::start(&plan)?;
        let canceller = session.canceller();
        self.interrupt.on_first(Some(Box::new(move || canceller.cancel())));
        let outcome = self.rounds(&mut session, ready, launch, timing, &mut keep);
        self.interrupt.on_first(None);
        session.finish()?;
        outcome
    }

    fn rounds(
        &self,
        session: &mut Session,
        ready: &Ready,
        launch: &Launch,
        timing: super::job::Timing,
        keep: &mut impl FnMut(RoundRecord) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        let case = &ready.job.case.id;
        if !timing.warm_up.is_zero() {
            (self.emit)(Event::WarmingUp { case: case.clone() });
            session.warm_up(timing.warm_up)?;
        }
        for index in 0..timing.rounds {
            if self.interrupt.asked() {
                return Ok(());
            }
            let round = self.round(session, ready, launch, index, timing.round)?;
            let cut_short = self.interrupt.asked() && round.load.seconds < timing.round.as_secs_f64() * 0.9;
            if cut_short {
                // An interrupted round is not a measurement; those before it are kept.
                return Ok(());
            }
            let nothing = round.load.counts.done == 0;
            let drilled = !round.faults.is_empty();
            keep(round)?;
            if drilled {
                // Its end, or its silence, is the result.
                return Ok(());
            }
            if !launch.is_alive() {
                return Err(Trouble::Died);
            }
            // Beside slow clients it may be the result: all others starved.
            if nothing && job_has_none_beside(ready) {
                return Err("not one request was answered rightly in a round".into());
            }
        }
        Ok(())
    }

    fn round(
        &self,
        session: &mut Session,
        ready: &Ready,
        launch: &Launch,
        index: u32,
        length: Duration,
    ) -> Result<RoundRecord, Trouble> {
        let done = AtomicBool::new(false);
        let samples = Mutex::new(Samples::default());
        let watch = session.watch();
        let case = &ready.job.case.id;
        let emit = self.emit;
        let job = &ready.job;
        let (drill, over) = (
            Drill::new(job.case.work.load(), launch, self.runtime, &job.spec),
            AtomicBool::new(false),
        );
        let watched = session.watch();
        let mut drilled = drill::Drilled::default();
        let look = || (launch.usage(), environment::cpu_ticks(&self.order.load_cpus));
        let mut edges = (None, None);
        let result = thread::scope(|scope| {
            let looking = scope.spawn(|| {
                let mut last_done = 0;
                sampler::sample(
                    || launch.usage().ok(),
                    &done,
                    &samples,
                    |tick| {
                        let live = watch.live();
                        #[expect(clippy::cast_precision_loss, reason = "requests of one tick are far below 2^52")]
                        let per_second =
                            live.done.saturating_sub(last_done) as f64 / tick.since_last.as_secs_f64().max(1e-3);
                        last_done = live.done;
                        emit(Event::Live {
                            case: case.clone(),
                            elapsed: tick.elapsed,
                            of: length,
                            requests_per_second: per_second,
                            p99_ns: live.p99_ns,
                            errors: live.errors,
                            server_cores: tick.server_cores,
                        });
                    },
                );
            });
            let drilling = scope.spawn(|| drill.run(&watched, &over));
            // The server's account is read at the very edges of the round.
            let result = session.round_observed(length, &mut |edge| match edge {
                Edge::Start => {
                    drill.begin();
                    edges.0 = Some(look());
                }
                Edge::End => edges.1 = Some(look()),
            });
            done.store(true, Ordering::Relaxed);
            looking.thread().unpark();
            over.store(true, Ordering::Relaxed);
            drilled = drilling.join().unwrap_or_default();
            result
        });
        let load = result?;
        let (usage, ticks) = match edges {
            (Some((before, ticks_before)), Some((after, ticks_after))) => {
                (before.ok().zip(after.ok()), difference(ticks_before, ticks_after))
            }
            _ => (None, CpuTicks::default()),
        };
        let samples = samples.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut record = self.record(index, load, (usage, ticks), &samples, launch.address(), ready);
        drilled.enter(&mut record, launch.is_alive());
        Ok(record)
    }

    fn record(
        &self,
        index: u32,
        load: RoundResult,
        (usage, ticks): (Option<(Usage, Usage)>, CpuTicks),
        samples: &Samples,
        server: SocketAddr,
        ready: &Ready,
    ) -> RoundRecord {
        let cpu = usage.map(|(before, after)| after.cpu_total_seconds - before.cpu_total_seconds);
        let (user, system, throttled) = usage.map_or((0.0, 0.0, 0.0), |(before, after)| {
            (
                after.cpu_user_seconds - before.cpu_user_seconds,
                after.cpu_system_seconds - before.cpu_system_seconds,
                after.throttled_seconds - before.throttled_seconds,
            )
        });
        let port_range = environment::port_range();
        let around = Surroundings {
            model: (&ready.job.case.work.load().model).into(),
            ceiling: self.ceiling,
            port_range,
            time_wait: environment::time_wait(server, port_range),
            steal_share: share(ticks.steal, ticks.total),
            neighbour_share: neighbours(ticks, load.engine_cpu_seconds, load.seconds, self.order),
            shared_cpus: self.order.shared_cpus,
            published_port: self.published_port,
        };
        let validity = validity::judge(&load, &around);
        let burst = burst::of_round(ready.job.case.work.load(), &load.series);
        RoundRecord {
            index,
            server_cpu_user_seconds: user,
            server_cpu_system_seconds: system,
            server_cpu_seconds: cpu.unwrap_or(0.0),
            throttled_seconds: throttled,
            memory_mean_bytes: samples.memory_mean,
            memory_peak_bytes: samples.memory_peak,
            server_series: samples.series.clone(),
            memory_growth: memory_growth(&samples.series),
            metrics: metrics::of_round(&load, cpu, samples.memory_peak),
            validity,
            load,
            capacity_per_second: None,
            burst,
            beside: Vec::new(),
            faults: Vec::new(),
            pulses: Vec::new(),
        }
    }
}

fn job_has_none_beside(ready: &Ready) -> bool {
    ready.job.case.work.load().beside.is_empty()
}

/// The slope of the server's memory over a round that is long enough.
#[expect(clippy::cast_precision_loss, reason = "bytes of memory are far below 2^52")]
fn memory_growth(series: &[ServerSecond]) -> Option<Slope> {
    let samples: Vec<(f64, f64)> = series.iter().map(|s| (s.at, s.memory_bytes as f64)).collect();
    slope(&samples)
}

fn difference(before: CpuTicks, after: CpuTicks) -> CpuTicks {
    CpuTicks {
        total: after.total.saturating_sub(before.total),
        steal: after.steal.saturating_sub(before.steal),
        chosen_busy: after.chosen_busy.saturating_sub(before.chosen_busy),
        chosen_total: after.chosen_total.saturating_sub(before.chosen_total),
    }
}

#[expect(clippy::cast_precision_loss, reason = "clock ticks of one round are far below 2^52")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// CPU time on the load CPUs that was not the engine's. The kernel's work for the load itself runs there too, partly
/// outside the engine's own account, so only a clear excess counts.
#[expect(clippy::cast_precision_loss, reason = "a handful of CPUs")]
fn neighbours(ticks: CpuTicks, engine_seconds: f64, seconds: f64, order: &Order) -> f64 {
    if order.shared_cpus {
        return 0.0;
    }
    let cpus = order.load_cpus.len().max(1) as f64;
    let engine = engine_seconds / (seconds * cpus).max(1e-9);
    (share(ticks.chosen_busy, ticks.chosen_total) - engine).max(0.0)
}

/// Where a launch's output is kept, relative to the run's folder.
pub(super) fn log_name(case: &str, arm: &str, index: u32) -> String {
    format!("logs/{}-{arm}-{index}.log", case.replace('/', "_"))
}

/// The whole path of it.
pub(super) fn log_path(run: &Path, case: &str, arm: &str, index: u32) -> std::path::PathBuf {
    run.join(log_name(case, arm, index))
}
