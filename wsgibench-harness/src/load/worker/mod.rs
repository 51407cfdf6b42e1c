//! A load worker: one thread, one poll, all its connections. Nothing is allocated, spawned or sent for a request.
//!
//! A request costs two system calls, its write and its read. Connections are registered once, edge by edge, for both
//! directions; a read that did not fill the buffer has emptied the socket.

mod conn;
mod drive;
mod exchange;
mod io;
mod pace;
mod phase;
mod run;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, Sender},
    },
    time::Duration,
};

use mio::{Poll, Token};
use slab::Slab;

use self::{
    conn::{Agent, Conn, Owner, State},
    drive::Driver,
    pace::Pacer,
    phase::Phase,
};
use super::{
    clock::{Clock, NEVER, Nanos, nanos},
    error::LoadError,
    model::Model,
    plan::{KeepAlive, LoadPlan, Stripe},
    record::{Recorder, Tally},
    wire::{HeadCache, Mix, Scratch},
};

/// One read at most; also what a large download is taken in.
const READ_BUFFER: usize = 64 * 1024;
/// Full buffers read (or written) on one connection before the others have their turn.
const TURN: u32 = 16;
/// Connections that one worker opens at a time, at first.
const RAMP_WINDOW: usize = 128;
/// How long a server may take to close a connection of which it said so.
const LINGER: Duration = Duration::from_secs(1);

pub(crate) const WAKE: Token = Token(usize::MAX);
const TIMER: Token = Token(usize::MAX - 1);

/// What the session tells a worker. When nobody can tell it anything any more, it closes everything and ends.
#[derive(Debug)]
pub(crate) enum Command {
    /// Offer the load from one moment to another and take notes.
    Phase {
        start: Nanos,
        end: Nanos,
        /// Closed loops rest afterwards, see [`Rest`].
        rest: bool,
    },
}

/// What a worker tells the session.
#[derive(Debug)]
pub(crate) enum Report {
    /// All connections that a load begins with are open, or have failed.
    Ready,
    /// A phase has ended.
    Phase(Box<Tally>),
    /// The worker cannot go on.
    Failed(LoadError),
}

/// Figures of a worker that others may read while it runs.
#[derive(Debug, Default)]
pub(crate) struct LiveCell {
    pub(crate) done: AtomicU64,
    pub(crate) errors: AtomicU64,
    pub(crate) retried: AtomicU64,
    pub(crate) p99_ns: AtomicU64,
    pub(crate) active: AtomicU64,
    /// Phases ended early on request, up to the one with this end.
    pub(crate) stop: AtomicU64,
}

/// What a worker needs to begin.
pub(crate) struct WorkerConfig {
    pub(crate) plan: Arc<LoadPlan>,
    pub(crate) mix: Arc<Mix>,
    /// The part of the whole load that is this worker's.
    pub(crate) stripe: Stripe,
    pub(crate) clock: Clock,
    pub(crate) live: Arc<LiveCell>,
    pub(crate) commands: Receiver<Command>,
    pub(crate) reports: Sender<Report>,
    pub(crate) poll: Poll,
}

/// The times of a plan in ns.
#[derive(Clone, Copy, Debug)]
struct Limits {
    timeout: Nanos,
    connect_timeout: Nanos,
    /// Time between two looks for what has lasted too long.
    scan_every: Nanos,
}

/// The state of a worker.
pub(crate) struct Worker {
    plan: Arc<LoadPlan>,
    mix: Arc<Mix>,
    clock: Clock,
    live: Arc<LiveCell>,
    commands: Receiver<Command>,
    reports: Sender<Report>,
    limits: Limits,
    keep_alive: KeepAlive,

    poll: Poll,
    pacer: Pacer,
    conns: Slab<Conn>,
    next_generation: u32,
    buffer: Box<[u8]>,
    scratch: Scratch,
    heads: Vec<HeadCache>,
    recorder: Recorder,

    driver: Driver,
    phase: Phase,
    /// The next moment at which the phase, or a second of it, begins or ends.
    edge: Nanos,
    /// The loops go round: from the first phase on, between phases too.
    looping: bool,
    rest: Rest,
    /// Number of the next request of this worker, and the step to the one after it.
    next_sequence: u64,
    sequence_step: u64,

    /// Connections still to be opened in a gentle ramp, and how many may be under way at a time.
    ramp: VecDeque<(usize, u32)>,
    ramp_window: usize,
    ramp_grows: Nanos,
    /// Handshakes under way.
    connecting: usize,
    established: u64,
    ready_reported: bool,
    /// Attempts that wait: when, where, and which user of the place.
    backoffs: BinaryHeap<Reverse<(Nanos, usize, u32)>>,
    /// Connections whose turn ended before their socket was empty (or full).
    again: VecDeque<(usize, u32)>,
    next_scan: Nanos,
    expired: Vec<usize>,
    /// Connections of users whose phase is over are to be closed.
    sweep: bool,
    patience: WaitMode,
}

/// Whether closed loops rest when their phase has ended: another server's turn may come then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// They go on, unnoted.
    Never,
    /// They will.
    Afterwards,
    /// No request is begun any more; those in flight still belong to the phase, which ends with the last of them.
    Draining,
}

/// How answers are waited for within a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WaitMode {
    /// The kernel wakes the thread.
    Sleeps,
    /// The thread looks again and again.
    Polls,
}

/// Most connections of a closed loop on one worker for which answers are looked for without sleeping: with more there is
/// always another one to attend to.
const BUSY_POLLED: usize = 32;

/// Polls where sleep would be most of a worker's time, and may be spun away.
fn patience(plan: &LoadPlan) -> WaitMode {
    let few = match plan.load.model {
        Model::Closed { connections } => connections <= BUSY_POLLED * plan.cpus.len().max(1),
        Model::Open { .. } => true,
        Model::Users { .. } => false,
    };
    if plan.busy_poll && few {
        WaitMode::Polls
    } else {
        WaitMode::Sleeps
    }
}

impl Worker {
    pub(crate) fn new(order: WorkerConfig) -> Result<Self, LoadError> {
        let WorkerConfig {
            plan,
            mix,
            stripe,
            clock,
            live,
            commands,
            reports,
            poll,
        } = order;
        let pacer = Pacer::new(poll.registry(), TIMER).map_err(LoadError::system("a timer cannot be made"))?;
        let timeout = nanos(plan.load.timeout);
        let connect_timeout = nanos(plan.load.connect_timeout);
        let limits = Limits {
            timeout,
            connect_timeout,
            scan_every: (timeout.min(connect_timeout) / 50).clamp(2_000_000, 500_000_000),
        };
        let heads = (0..mix.len()).map(|_| HeadCache::default()).collect();
        let driver = Driver::new(&plan.load, plan.seed, stripe);
        let mut worker = Self {
            patience: patience(&plan),
            keep_alive: plan.load.keep_alive,
            limits,
            pacer,
            conns: Slab::new(),
            next_generation: 0,
            buffer: vec![0; READ_BUFFER].into_boxed_slice(),
            scratch: Scratch::default(),
            heads,
            recorder: Recorder::new(mix.check_names().len()),
            driver,
            phase: Phase::Off,
            edge: NEVER,
            looping: false,
            rest: Rest::Never,
            next_sequence: stripe.index.into(),
            sequence_step: stripe.of.into(),
            ramp: VecDeque::new(),
            ramp_window: RAMP_WINDOW,
            ramp_grows: 0,
            connecting: 0,
            established: 0,
            ready_reported: false,
            backoffs: BinaryHeap::new(),
            again: VecDeque::new(),
            next_scan: 0,
            expired: Vec::new(),
            sweep: false,
            plan,
            mix,
            clock,
            live,
            commands,
            reports,
            poll,
        };
        worker.populate(stripe);
        Ok(worker)
    }

    /// Makes the connections that the load begins with, and queues them to be opened.
    fn populate(&mut self, stripe: Stripe) {
        for _ in 0..self.driver.initial() {
            let owner = match self.driver {
                Driver::Closed { .. } => Owner::Loop(u64::MAX),
                Driver::Open(_) | Driver::Users(_) => Owner::Nobody,
            };
            let idx = self.vacant(Agent::new(owner));
            self.ramp.push_back((idx, self.conns[idx].generation));
        }
        for _ in 0..share(self.plan.load.idle_connections as u64, stripe) {
            let idx = self.vacant(Agent::new(Owner::IdleConnection));
            self.ramp.push_back((idx, self.conns[idx].generation));
        }
    }

    /// A place for a connection that has no socket yet.
    fn vacant(&mut self, agent: Agent) -> usize {
        self.next_generation = self.next_generation.wrapping_add(1);
        self.conns.insert(Conn::new(agent, self.next_generation))
    }

    /// Connections that carry load now.
    fn active(&self) -> u64 {
        match &self.driver {
            Driver::Users(users) => users.active,
            Driver::Closed { .. } | Driver::Open(_) => self.established,
        }
    }

    fn publish(&self) {
        if self.phase.end().is_none() {
            return;
        }
        self.live.active.store(self.active(), Ordering::Relaxed);
        let (done, errors) = self.recorder.done_or_failed();
        self.live.done.store(done, Ordering::Relaxed);
        self.live.errors.store(errors, Ordering::Relaxed);
        let retried = self.recorder.tally.counts.retried;
        self.live.retried.store(retried, Ordering::Relaxed);
    }

    fn is_empty_ramp(&self) -> bool {
        self.ramp.is_empty() && self.connecting == 0
    }
}

/// How many of `n` things, numbered from 0, belong to a stripe.
pub(crate) fn share(n: u64, stripe: Stripe) -> u64 {
    let (index, of) = (u64::from(stripe.index), u64::from(stripe.of.max(1)));
    if index >= of {
        0
    } else {
        n.saturating_sub(index).div_ceil(of)
    }
}

/// Pooled connections that are open, connecting or busy are told apart from those on their way out by their state.
fn is_pooled(conn: &Conn) -> bool {
    conn.agent.owner == Owner::Nobody && matches!(conn.state, State::Connecting | State::Idle | State::Busy)
}
