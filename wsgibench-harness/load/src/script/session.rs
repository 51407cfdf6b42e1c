//! A running scripted load, with the interface of a declared one.

use std::{
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{RecvTimeoutError, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use mio::{Events, Poll, Token, Waker};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::{
    super::{
        clock::{Clock, Nanos, nanos},
        error::LoadError,
        model::Model,
        part::{RoundPart, ScriptPart},
        plan::{LoadPlan, Stripe},
        preflight,
        record::Circumstances,
        result::{Counts, RoundResult},
        session::{Edge, lost, pin, worker_stripe},
        watch::{Live, Watch},
        worker::LiveCell,
    },
    Script,
    accounting::Round,
    cookies::RefusedCookie,
    worker::{Job, Phase, TEARDOWN_TIME},
    worker_state::WorkerState,
};

const SECOND: Nanos = 1_000_000_000;
/// Interval between updates of the live figures.
const TICK: Nanos = 100_000_000;
/// Time between a command and the start of its phase, so that every worker receives it in time.
const LEAD: Nanos = 2_000_000;
/// Interval between checks of a trial.
const TRIAL_TICK: Nanos = 5_000_000;
/// A script that does nothing for this long in a trial hangs.
const HANGING: Nanos = 5_000_000_000;
/// Longest trial, if the timeout of an endless request does not end it.
const LONGEST_TRIAL: Duration = Duration::from_secs(3_600);
/// First number of users of a trial, so that no timed user meets data that they left on the server.
const TRIAL_NUMBERS: u64 = 1 << 48;
/// Time for a worker to exit. A worker whose script blocks the thread does not exit and is left behind.
const TEARDOWN_TIMEOUT: Duration = TEARDOWN_TIME.saturating_add(Duration::from_secs(1));

/// A running scripted load with rounds on demand. Between rounds the users of a closed loop continue unrecorded; users of
/// open loads and arriving users are interrupted at the end of each round.
#[derive(Debug)]
pub struct ScriptSession {
    plan: Arc<LoadPlan>,
    clock: Clock,
    watch: Watch,
    cell: Arc<LiveCell>,
    poll: Poll,
    workers: Vec<Crew>,
    /// Interval between checks of a phase.
    tick: Nanos,
}

/// Result of one run of a script by one user.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Trial {
    /// Whether the server set `Secure` cookies over plain HTTP. They are kept and sent, as behind a TLS proxy.
    pub secure_cookies_over_http: bool,
    /// Cookies of a domain other than the host's, which the user refused.
    pub refused_cookies: Vec<RefusedCookie>,
    /// The requests.
    pub round: RoundResult,
    /// Whether the script finished; otherwise it was interrupted during a request or a pause, or it hangs.
    pub finished: bool,
}

#[derive(Debug)]
struct Crew {
    state: Arc<WorkerState>,
    /// A queue, so that a worker blocked by a script receives every phase later.
    commands: UnboundedSender<Phase>,
    thread: JoinHandle<()>,
}

/// A worker's CPU time and run-queue delay, ns.
#[derive(Clone, Copy, Debug, Default)]
struct Usage {
    cpu: u64,
    delay: u64,
}

impl ScriptSession {
    /// Checks the plan and starts the workers. Users start with the first round or warm-up. Requests and idle connections of
    /// the plan are ignored; its model, timeouts, keep-alive, seed, stripe and CPUs apply.
    ///
    /// # Errors
    /// Returns an error if the plan cannot be executed on this machine.
    pub fn start(plan: &LoadPlan, script: Script) -> Result<Self, LoadError> {
        Self::begin(plan, script, 0, TICK)
    }

    /// Creates a session of one user who runs the script once, by [`try_once`](Self::try_once). The target, timeouts,
    /// keep-alive and seed of the plan apply. The user's number, and therefore its random numbers, differ from those of a load.
    ///
    /// # Errors
    /// Returns the errors of [`start`](Self::start).
    pub fn trial(plan: &LoadPlan, script: Script) -> Result<Self, LoadError> {
        let mut plan = plan.clone();
        plan.load.model = Model::Users {
            batch: 1,
            every: Duration::from_secs(1),
            arriving_for: Duration::from_millis(1),
            requests_per_user: 1,
        };
        plan.cpus.truncate(1);
        plan.stripe = Stripe::default();
        Self::begin(&plan, script, TRIAL_NUMBERS, TRIAL_TICK)
    }

    /// Waits for the user of a [`trial`](Self::trial) to finish the script, for at most `timeout`, and less if the script
    /// hangs (no request, no pause and no end for 5 s).
    ///
    /// # Errors
    /// Returns the errors of [`warm_up`](Self::warm_up).
    pub fn try_once(&mut self, timeout: Duration) -> Result<Trial, LoadError> {
        // A request that began before this deadline may use its own timeout.
        let until = self.clock.now() + LEAD + nanos(timeout);
        let round = self.phase(LONGEST_TRIAL, &mut |_| {}, &|session| {
            let now = session.clock.now();
            let asks = |crew: &Crew| crew.state.accounting().any_asks_since(until);
            if now >= until && !session.workers.iter().any(asks) {
                return true;
            }
            session.workers.iter().any(|crew| {
                let accounting = crew.state.accounting();
                accounting.finished() > 0 || accounting.any_hangs(now, HANGING)
            })
        })?;
        let secure_over_http = |crew: &Crew| crew.state.secure_over_http.load(Ordering::Relaxed);
        Ok(Trial {
            secure_cookies_over_http: self.workers.iter().any(secure_over_http),
            refused_cookies: self
                .workers
                .iter()
                .flat_map(|crew| crew.state.refused_cookies())
                .collect(),
            finished: round.users.is_some_and(|users| users.finished > 0),
            round,
        })
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "a session owns its script: a caller need not keep it alive"
    )]
    fn begin(plan: &LoadPlan, script: Script, first_number: u64, tick: Nanos) -> Result<Self, LoadError> {
        plan.validate()?;
        preflight::raise_descriptors(&plan.load)?;
        let plan = Arc::new(plan.clone());
        let clock = Clock::start();
        let poll = Poll::new().map_err(LoadError::system("failed to create a poll"))?;
        let waker = Waker::new(poll.registry(), Token(0)).map_err(LoadError::system("failed to create a waker"))?;
        let cell = Arc::new(LiveCell::default());
        let mut session = Self {
            watch: Watch::new(vec![(Arc::clone(&cell), waker)]),
            cell,
            poll,
            clock,
            workers: Vec::new(),
            plan: Arc::clone(&plan),
            tick,
        };
        let cpus: Vec<Option<usize>> = if plan.cpus.is_empty() {
            vec![None]
        } else {
            plan.cpus.iter().copied().map(Some).collect()
        };
        for (index, cpu) in cpus.iter().enumerate() {
            let stripe = worker_stripe(plan.stripe, index, cpus.len());
            let state = Arc::new(WorkerState::new(Arc::clone(&plan), clock, stripe)?);
            let (commands, taken) = unbounded_channel();
            let job = Job {
                state: Arc::clone(&state),
                script: script.clone(),
                first_number,
                stripe,
                commands: taken,
            };
            let thread = launch(job, index, *cpu)?;
            session.workers.push(Crew {
                state,
                commands,
                thread,
            });
        }
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
        let round = self.phase(at_most, &mut |_| {}, &|session| {
            let live = session.watch.live();
            live.done + live.errors >= requests
        })?;
        Ok(round.counts)
    }

    /// Runs a round until `users` have come to the end of their runs and left, at most for a time.
    ///
    /// # Errors
    /// Returns the errors of [`warm_up`](Self::warm_up).
    pub fn until_users_left(&mut self, users: u64, at_most: Duration) -> Result<RoundResult, LoadError> {
        let left = |session: &Self| -> u64 {
            let crews = session.workers.iter();
            crews.map(|crew| crew.state.accounting().finished()).sum()
        };
        self.phase(at_most, &mut |_| {}, &|session| left(session) >= users)
    }

    /// Runs one measured round. Blocks until it has ended.
    ///
    /// # Errors
    /// Returns the errors of [`warm_up`](Self::warm_up).
    pub fn round(&mut self, length: Duration) -> Result<RoundResult, LoadError> {
        self.round_observed(length, &mut |_| {})
    }

    /// Runs one measured round and calls `observe` on this thread at its start and end.
    ///
    /// # Errors
    /// Returns the errors of [`warm_up`](Self::warm_up).
    pub fn round_observed(
        &mut self,
        length: Duration,
        observe: &mut dyn FnMut(Edge),
    ) -> Result<RoundResult, LoadError> {
        self.phase(length, observe, &|_| false)
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
        Ok(self
            .part(Some(start), length, observe, &|_| false)?
            .counted_from_start())
    }

    /// Returns a handle that reads live figures from other threads, or ends the session's rounds early (Ctrl-C).
    #[must_use]
    pub fn watch(&self) -> Watch {
        self.watch.clone()
    }

    /// Closes all connections and ends the workers.
    ///
    /// # Errors
    /// Returns an error if a worker failed; [`LoadError::ScriptHolds`] if a script blocks its thread, which is left behind.
    pub fn finish(mut self) -> Result<(), LoadError> {
        self.end_workers()
    }

    fn end_workers(&mut self) -> Result<(), LoadError> {
        self.command(Phase::Finish);
        let deadline = Instant::now() + TEARDOWN_TIMEOUT;
        let mut result = Ok(());
        for crew in self.workers.drain(..) {
            while !crew.thread.is_finished() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(1));
            }
            if !crew.thread.is_finished() {
                result = Err(LoadError::ScriptHolds);
            } else if let Err(panic) = crew.thread.join() {
                result = Err(lost(panic.as_ref()));
            }
        }
        result
    }

    fn phase(
        &mut self,
        length: Duration,
        observe: &mut dyn FnMut(Edge),
        enough: &dyn Fn(&Self) -> bool,
    ) -> Result<RoundResult, LoadError> {
        self.part(None, length, observe, enough)?.result()
    }

    fn part(
        &mut self,
        start: Option<Instant>,
        length: Duration,
        observe: &mut dyn FnMut(Edge),
        enough: &dyn Fn(&Self) -> bool,
    ) -> Result<RoundPart, LoadError> {
        self.watch.reset();
        let soonest = self.clock.now() + LEAD;
        let start = start.map_or(soonest, |start| self.clock.of(start).max(soonest));
        let end = start.saturating_add(nanos(length)).min(u64::MAX - 1);
        // Without running users, the accounting begins before the first arrival can be due; that of closed loops, which run all
        // the time, begins with the round.
        let loops = matches!(self.plan.load.model, Model::Closed { .. });
        if !loops {
            self.begin_notes(start, end);
        }
        self.command(Phase::Offer { start });
        thread::sleep(Duration::from_nanos(start.saturating_sub(self.clock.now())));
        observe(Edge::Start);
        let begun = if loops { self.clock.now() } else { start };
        if loops {
            self.begin_notes(begun, end);
        }
        let before: Vec<Usage> = self.workers.iter().map(usage).collect();
        self.pass(begun, end, enough)?;
        let now = self.clock.now();
        let rounds: Vec<Round> = self
            .workers
            .iter()
            .map(|crew| crew.state.accounting().end(now))
            .collect();
        observe(Edge::End);
        if !loops {
            self.command(Phase::Pause);
        }
        if let Some(crew) = self.workers.iter().find(|crew| crew.thread.is_finished()) {
            return Err(LoadError::WorkerLost {
                what: format!("({}) ended early", crew.thread.thread().name().unwrap_or_default()),
            });
        }
        Ok(self.figures(rounds, &before))
    }

    fn command(&self, phase: Phase) {
        for crew in &self.workers {
            // A worker that has ended is detected at the end of the round.
            let _ = crew.commands.send(phase);
        }
    }

    fn begin_notes(&self, at: Nanos, until: Nanos) {
        for crew in &self.workers {
            crew.state.sent.store(0, Ordering::Relaxed);
            crew.state.received.store(0, Ordering::Relaxed);
            crew.state.spun.store(0, Ordering::Relaxed);
            crew.state.accounting().begin(at, until);
        }
    }

    /// Waits for the end of a phase, second by second.
    fn pass(&mut self, begun: Nanos, end: Nanos, enough: &dyn Fn(&Self) -> bool) -> Result<(), LoadError> {
        let mut second = begun + SECOND;
        let mut events = Events::with_capacity(4);
        loop {
            let now = self.clock.now();
            if now >= second && second < end {
                for crew in &self.workers {
                    crew.state.accounting().end_second(now);
                }
                second += SECOND;
            }
            self.publish();
            if now >= end || self.cell.stop.load(Ordering::Relaxed) >= end || enough(self) {
                return Ok(());
            }
            let wait = end.min(second).min(now + self.tick).saturating_sub(now);
            if wait < 2_000_000 {
                // The poll counts whole milliseconds.
                thread::sleep(Duration::from_nanos(wait));
                continue;
            }
            match self
                .poll
                .poll(&mut events, Some(Duration::from_nanos(wait - 1_500_000)))
            {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(source) => return Err(LoadError::system("failed to poll")(source)),
            }
        }
    }

    fn publish(&self) {
        let mut sum = Live::default();
        for crew in &self.workers {
            let live = crew.state.accounting().live();
            sum.done += live.done;
            sum.errors += live.errors;
            sum.retried += live.retried;
            sum.p99_ns = sum.p99_ns.max(live.p99_ns);
            sum.active += live.active;
        }
        self.cell.done.store(sum.done, Ordering::Relaxed);
        self.cell.errors.store(sum.errors, Ordering::Relaxed);
        self.cell.retried.store(sum.retried, Ordering::Relaxed);
        self.cell.p99_ns.store(sum.p99_ns, Ordering::Relaxed);
        self.cell.active.store(sum.active, Ordering::Relaxed);
    }

    fn figures(&self, rounds: Vec<Round>, before: &[Usage]) -> RoundPart {
        let mut tallies = Vec::new();
        let mut script = ScriptPart::default();
        for ((mut round, crew), before) in rounds.into_iter().zip(&self.workers).zip(before) {
            let after = usage(crew);
            let tally = &mut round.tally;
            tally.cpu_ns = after.cpu.saturating_sub(before.cpu);
            tally.delay_ns = after.delay.saturating_sub(before.delay);
            tally.spin_ns = crew.state.spun.load(Ordering::Relaxed).min(tally.cpu_ns);
            tally.bytes_sent = crew.state.sent.load(Ordering::Relaxed);
            tally.bytes_received = crew.state.received.load(Ordering::Relaxed);
            tallies.push(round.tally);
            for check in round.checks {
                check.join(&mut script.checks);
            }
            for step in round.steps {
                step.join(&mut script.steps);
            }
        }
        let about = Circumstances {
            check_names: &[],
            request_names: &[],
            open: matches!(self.plan.load.model, Model::Open { .. }),
            users: matches!(self.plan.load.model, Model::Users { .. }),
        };
        RoundPart::new(tallies, about, Some(script))
    }
}

impl Drop for ScriptSession {
    fn drop(&mut self) {
        // Errors cannot be reported from `drop`.
        let _ = self.end_workers();
    }
}

/// Starts a worker and waits until it is on its CPU.
fn launch(job: Job, index: usize, cpu: Option<usize>) -> Result<JoinHandle<()>, LoadError> {
    let (sender, receiver) = channel();
    let thread = thread::Builder::new()
        .name(format!("script-{index}"))
        .spawn(move || {
            let pinned = cpu.map_or(Ok(()), pin);
            let fine = pinned.is_ok();
            // The starting thread waits for this message.
            let _ = sender.send(pinned);
            if fine {
                // An error of the runtime is detected as a worker that ended early.
                let _ = job.run();
            }
        })
        .map_err(LoadError::system("failed to start a worker thread"))?;
    match receiver.recv_timeout(Duration::from_secs(20)) {
        Ok(Ok(())) => Ok(thread),
        Ok(Err(error)) => Err(error),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Err(LoadError::WorkerLost {
            what: "did not start".into(),
        }),
    }
}

/// Reads a worker's CPU usage from outside, as a script may block the thread; zeros where the kernel does not report it.
fn usage(crew: &Crew) -> Usage {
    let thread = crew.state.thread.load(Ordering::Acquire);
    std::fs::read_to_string(format!("/proc/self/task/{thread}/schedstat"))
        .ok()
        .and_then(|text| {
            let mut figures = text.split_ascii_whitespace().map_while(|word| word.parse().ok());
            Some(Usage {
                cpu: figures.next()?,
                delay: figures.next()?,
            })
        })
        .unwrap_or_default()
}
