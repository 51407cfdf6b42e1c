//! A load worker: one thread with one poll drives all its connections. A request needs no allocation, task or channel.
//!
//! A request costs two system calls, its write and its read. Connections are registered once, edge-triggered, for both
//! directions; a read that does not fill the buffer has emptied the socket.

mod conn;
mod drive;
mod exchange;
mod io;
mod pace;
mod phase;
mod run;
mod tls;

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
    tls::Connector,
    wire::{HeadCache, Mix, Scratch},
};

/// Largest single read.
const READ_BUFFER: usize = 64 * 1024;
/// Full buffers read (or written) on one connection before the next one is served.
const TURN: u32 = 16;
/// Connections that one worker opens at the same time, initially.
const RAMP_WINDOW: usize = 128;
/// Time for the server to close a connection that it announced it would close.
const LINGER: Duration = Duration::from_secs(1);

pub(crate) const WAKE: Token = Token(usize::MAX);
const TIMER: Token = Token(usize::MAX - 1);

/// A command from the session to a worker. A worker whose session is gone closes its connections and exits.
#[derive(Debug)]
pub(crate) enum Command {
    /// Offers the load from `start` to `end` and records it.
    Phase {
        start: Nanos,
        end: Nanos,
        /// Closed loops pause afterwards, see [`Rest`].
        rest: bool,
    },
}

/// A message from a worker to the session.
#[derive(Debug)]
pub(crate) enum Report {
    /// Every initial connection is open or has failed.
    Ready,
    /// A phase has ended.
    Phase(Box<Tally>),
    /// The worker failed.
    Failed(LoadError),
}

/// Live figures of a worker, readable from other threads.
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

/// Configuration of a worker.
pub(crate) struct WorkerConfig {
    pub(crate) plan: Arc<LoadPlan>,
    pub(crate) mix: Arc<Mix>,
    /// Only for a target that speaks TLS.
    pub(crate) connector: Option<Arc<Connector>>,
    /// This worker's part of the load.
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
}

/// The state of a worker.
pub(crate) struct Worker {
    plan: Arc<LoadPlan>,
    mix: Arc<Mix>,
    /// Only for a target that speaks TLS.
    connector: Option<Arc<Connector>>,
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
    /// Closed loops are running: from the first phase on, and between phases.
    looping: bool,
    rest: Rest,
    /// Number of this worker's next request, and the increment to the one after.
    next_sequence: u64,
    sequence_step: u64,

    /// Connections still to be opened, and how many handshakes may be in progress at once.
    ramp: VecDeque<(usize, u32)>,
    ramp_window: usize,
    ramp_grows: Nanos,
    /// Handshakes in progress.
    connecting: usize,
    established: u64,
    ready_reported: bool,
    /// Pending reconnects: time, slot, generation.
    backoffs: BinaryHeap<Reverse<(Nanos, usize, u32)>>,
    /// Connections that used up their turn before their socket was empty (or full).
    again: VecDeque<(usize, u32)>,
    /// Pending timeouts: time, slot, generation. A few entries per connection at most, see [`Conn::queued`].
    deadlines: BinaryHeap<Reverse<(Nanos, usize, u32)>>,
    /// Connections of users whose phase has ended still have to be closed.
    sweep: bool,
    wait_mode: WaitMode,
}

/// Whether closed loops pause when their phase has ended, so that another server can be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// They continue, unrecorded.
    Never,
    /// They pause after this phase.
    Afterwards,
    /// No new request is sent; those in flight belong to the phase, which ends with the last of them.
    Draining,
}

/// The way a worker waits for responses within a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WaitMode {
    /// The kernel wakes the thread.
    Sleeps,
    /// The thread polls without sleeping.
    Polls,
}

/// Largest number of closed-loop connections per worker that is busy-polled; with more, some connection always has work.
const BUSY_POLLED: usize = 32;

/// Chooses busy polling where a worker would mostly sleep and the plan allows it.
fn wait_mode(plan: &LoadPlan) -> WaitMode {
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
            connector,
            stripe,
            clock,
            live,
            commands,
            reports,
            poll,
        } = order;
        let pacer = Pacer::new(poll.registry(), TIMER).map_err(LoadError::system("failed to create a timer"))?;
        let timeout = nanos(plan.load.timeout);
        let connect_timeout = nanos(plan.load.connect_timeout);
        let limits = Limits {
            timeout,
            connect_timeout,
        };
        let heads = (0..mix.len()).map(|_| HeadCache::default()).collect();
        let driver = Driver::new(&plan.load, plan.seed, stripe);
        let mut worker = Self {
            wait_mode: wait_mode(&plan),
            keep_alive: plan.load.keep_alive,
            limits,
            pacer,
            conns: Slab::new(),
            next_generation: 0,
            buffer: vec![0; READ_BUFFER].into_boxed_slice(),
            scratch: Scratch::default(),
            heads,
            recorder: Recorder::new(mix.check_names().len(), mix.request_names().len()),
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
            deadlines: BinaryHeap::new(),
            sweep: false,
            plan,
            mix,
            connector,
            clock,
            live,
            commands,
            reports,
            poll,
        };
        worker.populate(stripe);
        Ok(worker)
    }

    /// Creates the initial connections and queues them to be opened.
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

    /// Inserts a slot for a connection without a socket.
    fn vacant(&mut self, agent: Agent) -> usize {
        self.next_generation = self.next_generation.wrapping_add(1);
        self.conns.insert(Conn::new(agent, self.next_generation))
    }

    /// Returns the number of connections that carry load.
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

/// Returns how many of `n` items, numbered from 0, belong to a stripe.
pub(crate) fn share(n: u64, stripe: Stripe) -> u64 {
    let (index, of) = (u64::from(stripe.index), u64::from(stripe.of.max(1)));
    if index >= of {
        0
    } else {
        n.saturating_sub(index).div_ceil(of)
    }
}

/// Returns whether a connection belongs to the pool: connecting, idle or busy, and not closing.
fn is_pooled(conn: &Conn) -> bool {
    conn.agent.owner == Owner::Nobody && matches!(conn.state, State::Connecting | State::Idle | State::Busy)
}
