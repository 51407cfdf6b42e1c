//! The load models: when a request starts, and on which connection.

use std::collections::VecDeque;

use super::{
    super::{
        agenda::Agenda,
        clock::{NEVER, Nanos},
        model::{Load, Model},
        plan::Stripe,
        result::ErrorKind,
    },
    Agent, Owner, State, Worker, is_pooled, share,
};

/// Arrivals handled at once before sockets are served.
const BURST: u32 = 64;

/// State of the load model.
pub(super) enum Driver {
    Closed { loops: u64 },
    Open(Open),
    Users(Users),
}

/// An open load: a schedule, a pool of connections, and a queue of requests that are due while all are busy.
pub(super) struct Open {
    agenda: Agenda,
    queue: VecDeque<Waiting>,
    /// Idle connections, the longest idle first; stale entries are skipped.
    idle: VecDeque<(usize, u32)>,
    most: usize,
    /// Connections of the pool: connecting, idle or busy.
    live: usize,
    /// Those of them that are connecting without a request of their own.
    pending: usize,
}

/// A request that was due while every connection was busy.
#[derive(Clone, Copy)]
struct Waiting {
    due: Nanos,
    /// When it was queued: the delay before is client lag, the delay after is queue wait.
    noticed: Nanos,
}

/// Users who arrive on a schedule.
pub(super) struct Users {
    agenda: Agenda,
    requests_per_user: u64,
    pub(super) active: u64,
}

impl Driver {
    pub(super) fn new(load: &Load, seed: u64, stripe: Stripe) -> Self {
        let closed = |connections: usize| Self::Closed {
            loops: share(connections as u64, stripe),
        };
        let agenda = Agenda::new(&load.model, seed, stripe);
        match (&load.model, agenda) {
            (Model::Open { max_connections, .. }, Some(agenda)) => Self::Open(Open {
                agenda,
                queue: VecDeque::with_capacity(1024),
                idle: VecDeque::with_capacity(1024),
                most: usize::try_from(share(*max_connections as u64, stripe))
                    .unwrap_or(usize::MAX)
                    .max(1),
                live: 0,
                pending: 0,
            }),
            (Model::Users { requests_per_user, .. }, Some(agenda)) => Self::Users(Users {
                agenda,
                requests_per_user: (*requests_per_user).max(1),
                active: 0,
            }),
            (Model::Closed { connections }, _) => closed(*connections),
            // Only closed loops have no arrivals.
            (Model::Open { .. } | Model::Users { .. }, None) => closed(0),
        }
    }

    /// Returns the number of connections opened before the first phase. An open load begins with the number that its rate needs
    /// for responses of 10 ms, at most 64, so that a server of several processes gets more than one; others are opened on demand.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 1..=64 before the conversion"
    )]
    pub(super) fn initial(&self) -> u64 {
        match self {
            Self::Closed { loops } => *loops,
            Self::Open(open) => ((open.agenda.peak_rate() * 0.01).ceil().clamp(1.0, 64.0) as u64).min(open.most as u64),
            Self::Users(_) => 0,
        }
    }

    fn agenda(&mut self) -> Option<&mut Agenda> {
        match self {
            Self::Closed { .. } => None,
            Self::Open(open) => Some(&mut open.agenda),
            Self::Users(users) => Some(&mut users.agenda),
        }
    }

    /// Returns the next arrival; `NEVER` for none.
    pub(super) fn due(&self) -> Nanos {
        match self {
            Self::Closed { .. } => NEVER,
            Self::Open(open) => open.agenda.due(),
            Self::Users(users) => users.agenda.due(),
        }
    }
}

impl Worker {
    /// Starts offering load at `start`.
    pub(super) fn begin_driving(&mut self, start: Nanos) {
        if let Some(agenda) = self.driver.agenda() {
            agenda.restart(start);
        }
        match &mut self.driver {
            Driver::Closed { loops } => {
                self.recorder.tally.wanted = *loops;
                self.begin_loops(start);
            }
            Driver::Open(open) => {
                self.recorder.tally.wanted = open.live as u64;
            }
            Driver::Users(_) => {}
        }
    }

    /// Starts all closed loops; requests in flight join the round.
    fn begin_loops(&mut self, start: Nanos) {
        for idx in 0..self.conns.capacity() {
            let Some(conn) = self.conns.get_mut(idx) else {
                continue;
            };
            if !conn.agent.is_loop() {
                continue;
            }
            if conn.begun {
                conn.counted = true;
                self.recorder.tally.counts.offered += 1;
            } else {
                // A loop without a socket waits in the ramp or for its next attempt, which will open it.
                let idle = conn.state == State::Idle;
                self.prepare(idx, start);
                if idle {
                    let now = self.clock.now();
                    self.send(idx, now);
                }
            }
        }
    }

    /// Offers all arrivals that are due.
    pub(super) fn offer_due(&mut self, now: Nanos) {
        let Some(end) = self.phase.end() else { return };
        let mut now = now;
        for _ in 0..BURST {
            let Some(due) = self.driver.agenda().and_then(|agenda| agenda.pop(now, end)) else {
                break;
            };
            self.recorder.tally.scheduled += 1;
            self.pacer.passed();
            match &self.driver {
                Driver::Closed { .. } => {}
                Driver::Open(_) => self.offer_request(due, now),
                Driver::Users(_) => self.admit_user(due, now),
            }
            now = self.clock.now();
        }
    }

    fn offer_request(&mut self, due: Nanos, now: Nanos) {
        let Driver::Open(open) = &mut self.driver else { return };
        let lag = now.saturating_sub(due);
        self.recorder.tally.lag.histogram.saturating_record(lag.max(1));
        while let Some((idx, generation)) = open.idle.pop_front() {
            let usable = self
                .conns
                .get(idx)
                .is_some_and(|conn| conn.generation == generation && conn.state == State::Idle);
            if usable {
                self.prepare(idx, due);
                self.send(idx, now);
                return;
            }
        }
        open.queue.push_back(Waiting { due, noticed: now });
        self.recorder.tally.counts.offered += 1;
    }

    /// Returns whether a connection may be opened for a queued request.
    pub(super) fn may_pump(&self) -> bool {
        match &self.driver {
            Driver::Open(open) => open.pending < open.queue.len() && open.live < open.most,
            Driver::Closed { .. } | Driver::Users(_) => false,
        }
    }

    /// Opens connections for queued requests, up to the pool's limit. Called after the responses of a turn are handled, so that
    /// requests queued by client lag alone open no connection.
    pub(super) fn pump(&mut self) {
        while self.may_pump() {
            let Driver::Open(open) = &mut self.driver else { return };
            open.live += 1;
            open.pending += 1;
            self.recorder.tally.wanted = self.recorder.tally.wanted.max(open.live as u64);
            let idx = self.vacant(Agent::new(Owner::Nobody));
            self.connect(idx);
        }
    }

    /// Gives a free pooled connection the next queued request, or makes it idle.
    pub(super) fn pooled_is_free(&mut self, idx: usize, now: Nanos) {
        let Driver::Open(open) = &mut self.driver else { return };
        if let Some(Waiting { due, noticed }) = open.queue.pop_front() {
            let waited = now.saturating_sub(noticed);
            self.recorder.tally.queue.histogram.saturating_record(waited.max(1));
            self.prepare_counted(idx, due);
            self.send(idx, now);
        } else if let Some(conn) = self.conns.get(idx) {
            open.idle.push_back((idx, conn.generation));
        }
    }

    /// Records that a pooled connection without a request has opened or failed.
    pub(super) fn pooled_settled(&mut self) {
        if let Driver::Open(open) = &mut self.driver {
            open.pending = open.pending.saturating_sub(1);
        }
    }

    /// Records that a pooled connection closed after `answers` in this round; `None` for one that never opened.
    pub(super) fn pooled_closed(&mut self, answers: Option<u64>) {
        if let Driver::Open(open) = &mut self.driver {
            open.live = open.live.saturating_sub(1);
            if let Some(answers) = answers {
                self.recorder.tally.fairness.add(answers);
            }
        }
    }

    /// Fails a queued request whose connection could not be opened: the next one of the mix.
    pub(super) fn queued_has_failed(&mut self, kind: ErrorKind) {
        let Driver::Open(open) = &mut self.driver else { return };
        if open.queue.pop_front().is_some() {
            let request = self.mix.choose(self.next_sequence);
            self.next_sequence += self.sequence_step;
            self.recorder.failed(kind);
            self.recorder.failed_of(request);
        }
    }

    /// Adds an initial connection to the pool while it opens.
    pub(super) fn pooled_is_opening(&mut self) {
        if let Driver::Open(open) = &mut self.driver {
            open.live += 1;
            open.pending += 1;
        }
    }

    fn admit_user(&mut self, due: Nanos, now: Nanos) {
        let Driver::Users(users) = &mut self.driver else { return };
        users.active += 1;
        let requests = users.requests_per_user;
        let lag = now.saturating_sub(due);
        self.recorder.tally.lag.histogram.saturating_record(lag.max(1));
        self.recorder.tally.users_arrived += 1;
        let idx = self.vacant(Agent::new(Owner::Loop(requests)));
        self.prepare(idx, due);
        self.connect(idx);
    }

    /// Records a user that has made all its requests.
    pub(super) fn user_leaves(&mut self, answers: u64) {
        if let Driver::Users(users) = &mut self.driver {
            users.active = users.active.saturating_sub(1);
            self.recorder.tally.users_finished += 1;
            self.recorder.tally.fairness.add(answers);
        }
    }

    /// Ends offering load at `end`; due requests that were never sent are unsent.
    pub(super) fn end_driving(&mut self, end: Nanos) {
        let mut arrived = 0;
        while let Some(due) = self.driver.agenda().and_then(|agenda| agenda.pop(end, end)) {
            arrived += 1;
            self.recorder.tally.scheduled += 1;
            self.recorder.tally.counts.offered += 1;
            self.recorder.unsent(end.saturating_sub(due));
        }
        match &mut self.driver {
            Driver::Closed { .. } => {}
            Driver::Open(open) => {
                open.agenda.stop();
                for Waiting { due, .. } in open.queue.drain(..) {
                    self.recorder.unsent(end.saturating_sub(due));
                }
            }
            Driver::Users(users) => {
                users.agenda.stop();
                // Users who were due but never admitted count as arrived.
                self.recorder.tally.users_arrived += arrived;
                self.recorder.tally.users_active = users.active + arrived;
                self.recorder.tally.wanted = self.recorder.tally.users_arrived;
                users.active = 0;
            }
        }
        for (_, conn) in &mut self.conns {
            // An unused pooled connection was not starved.
            let needed = conn.agent.answers > 0 || conn.begun;
            if conn.agent.is_loop() || (is_pooled(conn) && needed) {
                self.recorder.tally.fairness.add(conn.agent.answers);
                conn.agent.answers = 0;
            }
        }
    }
}
