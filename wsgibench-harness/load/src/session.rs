//! A running declared load: workers, open connections, and rounds on demand.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use mio::{Poll, Waker};

use super::{
    clock::{Clock, nanos},
    error::LoadError,
    model::Model,
    part::RoundPart,
    plan::{LoadPlan, Stripe},
    preflight,
    record::{self, Circumstances, Tally},
    result::{Counts, RoundResult},
    tls::Connector,
    watch::Watch,
    wire::Mix,
    worker::{Command, LiveCell, Report, WAKE, Worker, WorkerConfig},
};
use crate::{affinity::pin_thread, panics};

/// Time between a command and the start of its phase, so that every worker receives it in time.
const LEAD: Duration = Duration::from_millis(2);
/// Delay of a worker's report after which the worker counts as lost.
const GRACE: Duration = Duration::from_secs(20);
/// Maximum time to open the initial connections before the load starts.
const OPENING: Duration = Duration::from_secs(5);

/// An edge of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// The round begins now.
    Start,
    /// The round ends now.
    End,
}

/// A running load. Between rounds closed loops continue unrecorded, so that every round starts with the server in the same
/// state; open loads and users pause.
#[derive(Debug)]
pub struct Session {
    plan: Arc<LoadPlan>,
    mix: Arc<Mix>,
    clock: Clock,
    watch: Watch,
    threads: Vec<JoinHandle<()>>,
    commands: Vec<Sender<Command>>,
    reports: Receiver<Report>,
}

impl Session {
    /// Checks the plan, starts the workers and opens the initial connections, a few at a time. Returns when all are open or
    /// have failed, but after 5 s at the latest; the remaining ones continue to connect.
    ///
    /// # Errors
    /// Returns an error if the plan cannot be executed on this machine. Failures of the server, such as refused connections,
    /// are not errors: they are counted in the results.
    pub fn start(plan: &LoadPlan) -> Result<Self, LoadError> {
        plan.validate()?;
        preflight::raise_descriptors(&plan.load)?;
        let plan = Arc::new(plan.clone());
        let mix = Arc::new(Mix::new(&plan.load, &plan.target, plan.seed)?);
        let connector = Connector::new(&plan.target)
            .map_err(LoadError::InvalidPlan)?
            .map(Arc::new);
        let clock = Clock::start();
        let cpus: Vec<Option<usize>> = if plan.cpus.is_empty() {
            vec![None]
        } else {
            plan.cpus.iter().copied().map(Some).collect()
        };
        let (report, reports) = channel();
        let mut watched = Vec::new();
        let mut commands = Vec::new();
        let mut orders = Vec::new();
        for index in 0..cpus.len() {
            let poll = Poll::new().map_err(LoadError::system("failed to create a poll"))?;
            let waker = Waker::new(poll.registry(), WAKE).map_err(LoadError::system("failed to create a waker"))?;
            let live = Arc::new(LiveCell::default());
            let (command, taken) = channel();
            watched.push((Arc::clone(&live), waker));
            commands.push(command);
            orders.push(WorkerConfig {
                plan: Arc::clone(&plan),
                mix: Arc::clone(&mix),
                connector: connector.clone(),
                stripe: worker_stripe(plan.stripe, index, cpus.len()),
                clock,
                live,
                commands: taken,
                reports: report.clone(),
                poll,
            });
        }
        let mut session = Self {
            plan,
            mix,
            clock,
            watch: Watch::new(watched),
            threads: Vec::new(),
            commands,
            reports,
        };
        for (index, (order, cpu)) in orders.into_iter().zip(cpus).enumerate() {
            let thread = thread::Builder::new()
                .name(format!("load-{index}"))
                .spawn(move || work(order, cpu))
                .map_err(LoadError::system("failed to start a worker thread"))?;
            session.threads.push(thread);
        }
        session.await_connections()?;
        Ok(session)
    }

    /// Offers the load for `length` without recording it.
    ///
    /// # Errors
    /// Returns a [`LoadError`] if the engine or the system fails.
    pub fn warm_up(&mut self, length: Duration) -> Result<Counts, LoadError> {
        Ok(self.round(length)?.counts)
    }

    /// Offers the load without recording it until `requests` have been answered, but for `at_most` at the longest.
    ///
    /// # Errors
    /// Returns the errors of [`warm_up`](Self::warm_up).
    pub fn warm_up_requests(&mut self, requests: u64, at_most: Duration) -> Result<Counts, LoadError> {
        Ok(self.until_answered(requests, at_most)?.counts)
    }

    /// Runs a round until so many requests have been answered, at most for a time.
    ///
    /// # Errors
    /// As [`warm_up`](Self::warm_up).
    pub fn until_answered(&mut self, requests: u64, at_most: Duration) -> Result<RoundResult, LoadError> {
        let (start, end) = self.begin(at_most, false)?;
        let mut tallies = Vec::new();
        let mut stopped = false;
        thread::sleep(self.until(start));
        while tallies.len() < self.threads.len() {
            let timeout = if stopped { GRACE } else { Duration::from_millis(1) };
            if let Some(tally) = self.next_report(timeout)? {
                tallies.push(tally);
            } else if stopped || self.clock.now() > end + nanos(GRACE) {
                return Err(LoadError::silent_worker(GRACE));
            }
            let live = self.watch.live();
            if !stopped && self.clock.now() > start && live.done + live.errors >= requests {
                stopped = true;
                self.watch.stop(end);
            }
        }
        self.result(tallies)
    }

    /// Runs one measured round. Blocks until it has ended.
    ///
    /// # Errors
    /// Returns the errors of [`warm_up`](Self::warm_up).
    pub fn round(&mut self, length: Duration) -> Result<RoundResult, LoadError> {
        self.round_observed(length, &mut |_| {})
    }

    /// Runs one measured round and calls `observe` on this thread at its start and end, so that the caller can read other
    /// counters at these times.
    ///
    /// # Errors
    /// Returns the errors of [`warm_up`](Self::warm_up).
    pub fn round_observed(
        &mut self,
        length: Duration,
        observe: &mut dyn FnMut(Edge),
    ) -> Result<RoundResult, LoadError> {
        let tallies = self.measured(None, length, observe)?;
        self.result(tallies)
    }

    /// Runs one measured round that starts at a given moment, so that several processes start together. Returns the figures of
    /// this plan's stripe, which are merged with those of the others.
    ///
    /// # Errors
    /// Returns the errors of [`warm_up`](Self::warm_up).
    pub fn round_at(
        &mut self,
        start: Instant,
        length: Duration,
        observe: &mut dyn FnMut(Edge),
    ) -> Result<RoundPart, LoadError> {
        let tallies = self.measured(Some(start), length, observe)?;
        Ok(RoundPart::new(tallies, self.about(), None).counted_from_start())
    }

    /// Runs a round; without a moment to start at, it starts at once.
    fn measured(
        &mut self,
        start: Option<Instant>,
        length: Duration,
        observe: &mut dyn FnMut(Edge),
    ) -> Result<Vec<Tally>, LoadError> {
        let (start, end) = self.begin_at(start, length, false)?;
        let mut tallies = Vec::new();
        thread::sleep(self.until(start));
        observe(Edge::Start);
        // A report before the end means that the round was cancelled.
        if let Some(tally) = self.next_report(self.until(end))? {
            tallies.push(tally);
        }
        observe(Edge::End);
        self.last_reports(&mut tallies, GRACE)?;
        Ok(tallies)
    }

    /// Runs one slice of a round of closed loops and pauses them afterwards, so that another server can be loaded. At its end
    /// no new request is sent, and those in flight may take up to the length of the slice again; they belong to it. The server
    /// is therefore idle at both edges, and its CPU time between them belongs to the slice exactly.
    ///
    /// # Errors
    /// Returns the errors of [`warm_up`](Self::warm_up).
    pub fn slice_observed(
        &mut self,
        length: Duration,
        observe: &mut dyn FnMut(Edge),
    ) -> Result<RoundResult, LoadError> {
        let (start, end) = self.begin(length, true)?;
        thread::sleep(self.until(start));
        observe(Edge::Start);
        let mut tallies = Vec::new();
        let timeout = self.until(end) + length + GRACE;
        self.last_reports(&mut tallies, timeout)?;
        observe(Edge::End);
        self.result(tallies)
    }

    /// Returns a handle that reads live figures from other threads, or ends the session's rounds early (Ctrl-C).
    #[must_use]
    pub fn watch(&self) -> Watch {
        self.watch.clone()
    }

    /// Closes all connections, without leaving local ports in `TIME_WAIT`, and ends the workers.
    ///
    /// # Errors
    /// Returns an error if a worker panicked.
    pub fn finish(mut self) -> Result<(), LoadError> {
        self.end_workers()
    }

    fn end_workers(&mut self) -> Result<(), LoadError> {
        self.commands.clear();
        self.watch.wake();
        let mut result = Ok(());
        for thread in self.threads.drain(..) {
            if let Err(panic) = thread.join() {
                result = Err(lost(&panic));
            }
        }
        result
    }

    /// Starts a phase on every worker; returns its start and end.
    fn begin(&mut self, length: Duration, rest: bool) -> Result<(u64, u64), LoadError> {
        self.begin_at(None, length, rest)
    }

    fn begin_at(&mut self, start: Option<Instant>, length: Duration, rest: bool) -> Result<(u64, u64), LoadError> {
        self.watch.reset();
        let soonest = self.clock.now() + nanos(LEAD);
        let start = start.map_or(soonest, |start| self.clock.of(start).max(soonest));
        let end = start.saturating_add(nanos(length)).min(u64::MAX - 1);
        for command in &self.commands {
            if command.send(Command::Phase { start, end, rest }).is_err() {
                return Err(self.why_lost());
            }
        }
        self.watch.wake();
        Ok((start, end))
    }

    fn until(&self, moment: u64) -> Duration {
        self.clock.instant(moment).saturating_duration_since(Instant::now())
    }

    /// Returns the next report of the end of a phase, if it arrives in time.
    fn next_report(&mut self, timeout: Duration) -> Result<Option<Tally>, LoadError> {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            // Wait in short intervals, to detect a worker that panicked.
            match self.reports.recv_timeout(left.min(Duration::from_millis(500))) {
                Ok(Report::Phase(tally)) => return Ok(Some(*tally)),
                Ok(Report::Failed(error)) => return Err(error),
                Ok(Report::Ready) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(self.why_lost()),
                Err(RecvTimeoutError::Timeout) => {
                    if self.threads.iter().any(JoinHandle::is_finished) {
                        return Err(self.why_lost());
                    }
                    if Instant::now() >= deadline {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Collects the remaining reports, each within `timeout`.
    fn last_reports(&mut self, tallies: &mut Vec<Tally>, timeout: Duration) -> Result<(), LoadError> {
        while tallies.len() < self.threads.len() {
            match self.next_report(timeout)? {
                Some(tally) => tallies.push(tally),
                None => return Err(LoadError::silent_worker(GRACE)),
            }
        }
        Ok(())
    }

    fn await_connections(&mut self) -> Result<(), LoadError> {
        let deadline = Instant::now() + OPENING.min(self.plan.load.connect_timeout);
        let mut ready = 0;
        while ready < self.threads.len() {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.reports.recv_timeout(left) {
                Ok(Report::Ready) => ready += 1,
                Ok(Report::Phase(_)) => {}
                Ok(Report::Failed(error)) => return Err(error),
                Err(RecvTimeoutError::Timeout) => return Ok(()),
                Err(RecvTimeoutError::Disconnected) => return Err(self.why_lost()),
            }
        }
        Ok(())
    }

    fn result(&self, tallies: Vec<Tally>) -> Result<RoundResult, LoadError> {
        record::merge(tallies, self.about())
    }

    fn about(&self) -> Circumstances<'_> {
        Circumstances {
            check_names: self.mix.check_names(),
            request_names: self.mix.request_names(),
            open: matches!(self.plan.load.model, Model::Open { .. }),
            users: matches!(self.plan.load.model, Model::Users { .. }),
        }
    }

    /// Returns the error of a worker that ended unexpectedly.
    fn why_lost(&mut self) -> LoadError {
        while let Ok(report) = self.reports.try_recv() {
            if let Report::Failed(error) = report {
                return error;
            }
        }
        match self.end_workers() {
            Err(error) => error,
            Ok(()) => LoadError::WorkerLost {
                what: "ended early".into(),
            },
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Errors cannot be reported from `drop`.
        let _ = self.end_workers();
    }
}

/// Returns the stripe of worker `index` of `workers` within a stripe of the load.
pub(super) fn worker_stripe(stripe: Stripe, index: usize, workers: usize) -> Stripe {
    let index = u32::try_from(index).unwrap_or(0);
    let workers = u32::try_from(workers).unwrap_or(1);
    Stripe {
        index: stripe.index + stripe.of * index,
        of: stripe.of * workers,
    }
}

/// Runs a worker on its thread.
fn work(order: WorkerConfig, cpu: Option<usize>) {
    let reports = order.reports.clone();
    let pinned = cpu.map_or(Ok(()), pin);
    match pinned.and_then(|()| Worker::new(order)) {
        Ok(worker) => worker.run(),
        Err(error) => {
            // The session is waiting for a report, or gone.
            let _ = reports.send(Report::Failed(error));
        }
    }
}

/// Pins the calling thread to a CPU.
pub(super) fn pin(cpu: usize) -> Result<(), LoadError> {
    pin_thread(cpu).map_err(|source| LoadError::Affinity { cpu, source })
}

pub(super) fn lost(panic: &(dyn std::any::Any + Send)) -> LoadError {
    LoadError::WorkerLost {
        what: format!("panicked: {}", panics::text_of(panic)),
    }
}
