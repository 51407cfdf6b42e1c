//! A launch: start, response check, warm-up, rounds, teardown.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::runtime::Runtime;

use super::{
    burst, capacity,
    cpu_accounting::{Account, UsageSnapshot, busiest},
    driver::Driver,
    environment,
    event::Event,
    fault_injection::{self, FaultInjector},
    feature_requirements,
    interrupt::Interrupt,
    job::{Ready, RunPlan, Timing},
    metrics,
    process_cpu::ProcessCpu,
    response_check::{self, Tried},
    sampler::{self, Samples},
    slow_clients::SlowClients,
    validity::{self, RoundContext},
    wait_observer::{self, Observed, Observer, Signals},
};
use crate::{
    declare::{Source, Work},
    load::{Edge, LoadError, LoadPlan, RoundResult, Watch, preflight},
    sandbox::Launch,
    stats::{Slope, slope},
    store::record::{Ceilings, Finding, LaunchRecord, RoundRecord, ServerSecond, ValidityLevel},
};

/// The shared context of a launch.
pub(super) struct LaunchContext<'a> {
    pub(super) order: &'a RunPlan,
    pub(super) runtime: &'a Runtime,
    pub(super) interrupt: &'a Interrupt,
    pub(super) ceilings: Ceilings,
    pub(super) published_port: bool,
    pub(super) emit: &'a (dyn Fn(Event) + Sync),
    /// Loads that an interrupt cancels, of counted launches side by side.
    pub(super) cancels: Arc<Mutex<Vec<Watch>>>,
}

/// A failure during a launch that has begun; its finished rounds are kept.
#[derive(Debug)]
pub(super) enum LaunchFailure {
    /// The server exited; the error shows the last lines of its output.
    Died,
    /// The server lacks a feature that the load requires; nothing was timed.
    Unsupported(String),
    /// Interrupted with Ctrl-C.
    Interrupted,
    /// A script blocks a thread of this process on a load CPU, which would distort all further measurements.
    Held(String),
    /// Any other failure, as a message.
    Other(String),
}

impl From<LoadError> for LaunchFailure {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::ScriptHolds => Self::Held(error.to_string()),
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<response_check::Wrong> for LaunchFailure {
    fn from(wrong: response_check::Wrong) -> Self {
        match wrong {
            response_check::Wrong::Engine(error) => error.into(),
            other => Self::Other(other.to_string()),
        }
    }
}

/// Time between the end of a server's connections and its own: an interpreter that exits closes its files first.
const END_OF_A_PROCESS: Duration = Duration::from_secs(2);

/// Returns whether the server ends within [`END_OF_A_PROCESS`].
pub(super) fn ends_soon(launch: &Launch) -> bool {
    let begun = Instant::now();
    loop {
        if !launch.is_alive() {
            return true;
        }
        if begun.elapsed() >= END_OF_A_PROCESS {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

impl LaunchContext<'_> {
    /// Loads a ready launch and passes each finished round to `keep` immediately.
    pub(super) fn load(
        &self,
        ready: &Ready,
        launch: &Launch,
        record: &LaunchRecord,
        mut keep: impl FnMut(RoundRecord) -> Result<(), LaunchFailure>,
        notes: impl FnMut(String),
    ) -> Result<(), LaunchFailure> {
        let Some(opened) = self.open(ready, launch, record, notes)? else {
            return Ok(());
        };
        let Opened {
            mut driver,
            timing,
            observed,
            slow_clients,
            capacity,
        } = opened;
        let mut keep = |mut round: RoundRecord| {
            round.background_clients = slow_clients.as_ref().map(SlowClients::look).unwrap_or_default();
            if let Some(text) = slow_clients.as_ref().and_then(SlowClients::missing) {
                round.validity.add(Finding {
                    check: "slow_clients".to_owned(),
                    level: ValidityLevel::Suspect,
                    value: 1.0,
                    threshold: 0.0,
                    text: text.to_owned(),
                });
            }
            round.capacity_per_second = capacity;
            keep(round)
        };
        let canceller = driver.watch();
        self.interrupt.on_first(Some(Box::new(move || canceller.cancel())));
        let mut observer = self.observer(observed, timing.rounds);
        let outcome = self.rounds(&mut driver, &mut observer, ready, launch, timing, &mut keep);
        self.interrupt.on_first(None);
        finish(driver, outcome)
    }

    /// Checks the server's responses and starts the load. Returns `None` if the user interrupted the run.
    pub(super) fn open<'a>(
        &self,
        ready: &Ready,
        launch: &'a Launch,
        record: &LaunchRecord,
        mut notes: impl FnMut(String),
    ) -> Result<Option<Opened<'a>>, LaunchFailure> {
        let job = &ready.job;
        let work = &job.case.work;
        let mut timing = self.order.timing(work);
        let target = job.spec.target(launch.address());
        let seed = self.order.seed ^ u64::from(record.index);
        fault_injection::check(work.load(), launch, &job.spec, timing.round, self.order.test_mode)?;
        let mut plan = LoadPlan::new(target, work.load().clone());
        plan.warm_up = timing.warm_up;
        plan.rounds = timing.rounds;
        plan.measurement_time = timing.round;
        plan.cpus.clone_from(&self.order.load_cpus);
        plan.seed = seed;
        plan.busy_poll = !self.order.shared_cpus;
        #[cfg(feature = "kubernetes")]
        if let Some(server) = launch.in_cluster() {
            let Some((driver, script)) = self.open_in_cluster(ready, server, &plan, notes)? else {
                return Ok(None);
            };
            if self.order.test_mode {
                timing.round += script.unwrap_or_default();
            }
            return Ok(Some(Opened {
                driver: Driver::Cluster(Box::new(driver)),
                timing,
                observed: self.observed(ready, launch, timing),
                slow_clients: None,
                capacity: None,
            }));
        }
        // Not in a cluster, whose pods the bench's machine may not reach.
        feature_requirements::check(&plan.target, &job.spec, work.load(), &job.case.tags)?;
        let tried = self.checked(&plan, work, launch, &mut notes);
        self.interrupt.on_first(None);
        let tried = tried?;
        if self.interrupt.asked() {
            return Ok(None);
        }
        if self.order.test_mode {
            timing.round = tried.long_enough_for_one_run(timing.round);
            plan.measurement_time = timing.round;
        }
        if let Some(note) = tried.note_for_rounds(timing.round) {
            notes(note);
        }
        // Before any connection of the load is open: without load, threads show how they wait for work.
        let observed = self.observed(ready, launch, timing);
        for notice in preflight(&plan)? {
            notes(notice.text);
        }
        // The response check runs first, without slow clients connected.
        let (load, capacity) = capacity::resolve(
            &plan,
            self.order.test_mode,
            self.order.within_thresholds,
            self.interrupt,
        )?;
        plan.load = load;
        let slow_clients = SlowClients::spawn(&plan.load.background_clients, &plan.target)
            .map_err(|error| LaunchFailure::Other(format!("failed to start slow clients: {error}")))?;
        Ok(Some(Opened {
            driver: Driver::start(&plan, work)?,
            timing,
            observed,
            slow_clients,
            capacity,
        }))
    }

    /// Checks the server's responses. A server that has ended is a failure of the launch, and not of a response.
    pub(super) fn checked(
        &self,
        plan: &LoadPlan,
        work: &Work,
        launch: &Launch,
        note: impl FnMut(String),
    ) -> Result<Tried, LaunchFailure> {
        let wrong = match response_check::check(plan, work, self.interrupt, note) {
            Ok(tried) => return Ok(tried),
            Err(wrong) => wrong,
        };
        if wrong.may_be_an_end() && ends_soon(launch) {
            return Err(LaunchFailure::Died);
        }
        Err(wrong.into())
    }

    fn rounds(
        &self,
        driver: &mut Driver,
        observer: &mut Observer,
        ready: &Ready,
        launch: &Launch,
        timing: Timing,
        keep: &mut impl FnMut(RoundRecord) -> Result<(), LaunchFailure>,
    ) -> Result<(), LaunchFailure> {
        let case = &ready.job.case.id;
        if !timing.warm_up.is_zero() {
            (self.emit)(Event::WarmingUp { case: case.clone() });
            driver.warm_up(timing.warm_up)?;
        }
        for index in 0..timing.rounds {
            if self.interrupt.asked() {
                return Ok(());
            }
            let round = self.round(driver, observer, ready, launch, index, timing.round)?;
            let cut_short = self.interrupt.asked() && round.load.seconds < timing.round.as_secs_f64() * 0.9;
            if cut_short {
                // Discard the interrupted round and keep the finished ones.
                return Ok(());
            }
            let nothing = round.load.counts.done == 0;
            let injected = !round.faults.is_empty();
            keep(round)?;
            if driver.is_broken() {
                // The round is recorded as invalid, and the next launch replaces the lost pod.
                return Ok(());
            }
            if injected {
                // An exit or a missing response is the result.
                return Ok(());
            }
            if !launch.is_alive() {
                return Err(LaunchFailure::Died);
            }
            // With slow clients, starvation of all other clients may be the result.
            if nothing && ready.job.case.work.load().background_clients.is_empty() {
                if ends_soon(launch) {
                    return Err(LaunchFailure::Died);
                }
                return Err(LaunchFailure::Other(nothing_answered(&ready.job.case.work)));
            }
        }
        Ok(())
    }

    fn round(
        &self,
        driver: &mut Driver,
        observer: &mut Observer,
        ready: &Ready,
        launch: &Launch,
        index: u32,
        length: Duration,
    ) -> Result<RoundRecord, LaunchFailure> {
        #[cfg(feature = "kubernetes")]
        if let Driver::Cluster(driver) = driver {
            return self.round_in_cluster(driver, ready, launch, index, length);
        }
        let done = AtomicBool::new(false);
        let samples = Mutex::new(Samples::default());
        let watch = driver.watch();
        let case = &ready.job.case.id;
        let emit = self.emit;
        let job = &ready.job;
        let (fault_injection, over) = (
            FaultInjector::new(job.case.work.load(), launch, self.runtime, &job.spec),
            AtomicBool::new(false),
        );
        let watched = driver.watch();
        let mut injected = Ok(fault_injection::FaultOutcome::default());
        let look = || UsageSnapshot::at(launch, self.order);
        let mut edges = (None, None);
        let programs = ProcessCpu::now();
        let signals = Signals::default();
        let is_observed = observer.begin(length);
        let mut waits = Vec::new();
        let result = thread::scope(|scope| {
            let observing = is_observed.then(|| scope.spawn(|| observer.observe(&signals)));
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
            let injecting = scope.spawn(|| fault_injection.run(&watched, &over));
            // Read the server's resource usage exactly at the edges of the round.
            let result = driver.round_observed(length, &mut |edge| match edge {
                Edge::Start => {
                    fault_injection.begin();
                    edges.0 = Some(look());
                    signals.loaded(0);
                }
                Edge::End => {
                    signals.idle();
                    edges.1 = Some(look());
                }
            });
            done.store(true, Ordering::Relaxed);
            looking.thread().unpark();
            over.store(true, Ordering::Relaxed);
            waits = wait_observer::finish(&signals, observing);
            injected = fault_injection::FaultOutcome::of_thread(injecting.join());
            result
        });
        let load = result?;
        let injected = injected?;
        let samples = samples.into_inner().unwrap_or_else(PoisonError::into_inner);
        let account = match edges {
            (Some(before), Some(after)) => Account::between(&before, &after).with_machine_load(
                [before.ticks, after.ticks],
                load.engine_cpu_seconds,
                load.seconds,
                &busiest(&programs, self.order),
                self.order,
            ),
            _ => Account::default(),
        };
        let mut record = self.record(index, load, account, samples, launch.address(), ready);
        record.waits = waits.pop().map(Box::new);
        injected.enter(&mut record, launch.is_alive());
        Ok(record)
    }

    /// Prepares the observation of a server: none in a test run or a profile, and none where faults are injected.
    #[expect(clippy::cast_precision_loss, reason = "a number of CPUs")]
    fn observed<'a>(&self, ready: &Ready, launch: &'a Launch, timing: Timing) -> Option<Observed<'a>> {
        let has_faults = !ready.job.case.work.load().faults.is_empty();
        if self.order.test_mode || self.order.profiling.is_some() || has_faults {
            return None;
        }
        let spec = &ready.job.spec;
        let cpus = spec.limits.cpus.min(self.order.server_cpus.len().max(1)) as f64;
        let port = if launch.has_own_network() {
            spec.port
        } else {
            launch.address().port()
        };
        Some(Observed::open(
            launch,
            port,
            spec.limits.cpu_quota.unwrap_or(f64::MAX).min(cpus),
            timing.round * timing.rounds.max(1),
        ))
    }

    /// Returns the observer of servers in their rounds.
    pub(super) fn observer<'a>(&self, servers: impl IntoIterator<Item = Observed<'a>>, rounds: u32) -> Observer<'a> {
        Observer::new(
            servers.into_iter().collect(),
            rounds,
            self.order.load_cpus.last().copied(),
            self.order.seed,
        )
    }

    pub(super) fn record(
        &self,
        index: u32,
        load: RoundResult,
        account: Account,
        samples: Samples,
        server: SocketAddr,
        ready: &Ready,
    ) -> RoundRecord {
        let cpu = account.cpu;
        let work = &ready.job.case.work;
        let scripted = work.script().is_some();
        let runs_already = matches!(ready.job.spec.source, Source::Running(_));
        let port_range = environment::port_range();
        let context = RoundContext {
            model: (&work.load().model).into(),
            scripted,
            ceiling: self.ceilings.of(scripted),
            port_range,
            time_wait: environment::time_wait(server, port_range),
            steal_share: account.steal_share,
            neighbour_share: account.neighbour_share,
            neighbours: account.neighbours,
            own_throttled: account.own_throttled,
            shared_cpus: self.order.shared_cpus,
            published_port: self.published_port && !runs_already,
            runs_already,
            unaccounted: cpu.is_none(),
        };
        let validity = validity::judge(&load, &context);
        let burst = burst::of_round(ready.job.case.work.load(), &load.series);
        RoundRecord {
            index,
            server_cpu_user_seconds: cpu.map(|cpu| cpu.user),
            server_cpu_system_seconds: cpu.map(|cpu| cpu.system),
            server_cpu_seconds: cpu.map(|cpu| cpu.total),
            throttled_seconds: cpu.map(|cpu| cpu.throttled),
            memory_mean_bytes: samples.memory_mean,
            memory_peak_bytes: samples.memory_peak,
            memory_growth: memory_growth(&samples.series),
            server_series: samples.series,
            companions: account.companions,
            metrics: metrics::of_round(&load, cpu.map(|cpu| cpu.total), samples.memory_peak),
            validity,
            load,
            capacity_per_second: None,
            burst,
            background_clients: Vec::new(),
            faults: Vec::new(),
            pulses: Vec::new(),
            waits: None,
            counts: None,
            pods: None,
        }
    }
}

/// Returns the slope of the server's memory, if the round is long enough.
#[expect(clippy::cast_precision_loss, reason = "bytes of memory are far below 2^52")]
fn memory_growth(series: &[ServerSecond]) -> Option<Slope> {
    let samples: Vec<(f64, f64)> = series.iter().map(|s| (s.at, s.memory_bytes as f64)).collect();
    slope(&samples)
}

/// A load running on a launch.
pub(super) struct Opened<'a> {
    pub(super) driver: Driver,
    pub(super) timing: Timing,
    /// The server before its load; absent if its rounds are not observed.
    pub(super) observed: Option<Observed<'a>>,
    slow_clients: Option<SlowClients>,
    capacity: Option<f64>,
}

/// Ends the load. A thread that cannot be reclaimed takes precedence over the outcome of the rounds.
pub(super) fn finish(driver: Driver, outcome: Result<(), LaunchFailure>) -> Result<(), LaunchFailure> {
    match driver.finish() {
        Err(LoadError::ScriptHolds) => Err(LoadError::ScriptHolds.into()),
        finished => outcome.and(finished.map_err(LaunchFailure::from)),
    }
}

pub(super) fn nothing_answered(work: &Work) -> String {
    let text = "no request succeeded in a round";
    match work {
        Work::Load(_) => text.to_owned(),
        Work::Script { .. } => format!(
            "{text}; if the script pauses for longer than a round, lengthen the round (--measurement-time, or .duration(...) if the \
             scenario fixes its length)"
        ),
    }
}

/// Returns the path of a launch's log, relative to the run's folder.
pub(super) fn log_name(case: &str, arm: &str, index: u32) -> String {
    format!("logs/{}-{arm}-{index}.log", case.replace('/', "_"))
}

/// Returns the absolute path of a launch's log.
pub(super) fn log_path(run: &Path, case: &str, arm: &str, index: u32) -> std::path::PathBuf {
    run.join(log_name(case, arm, index))
}
