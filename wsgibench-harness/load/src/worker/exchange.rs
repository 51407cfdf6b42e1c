//! The life cycle of a request: prepare, send, complete, fail, retry, time out.

use super::{
    super::{
        clock::{NEVER, Nanos},
        excerpt::first_line,
        plan::{KeepAlive, NextStep},
        result::ErrorKind,
        retry::{Ending, Loss},
        wire::{Judge, NO_CHECK},
    },
    Driver, Owner, State, Worker,
    io::CloseMode,
};

/// Delay after the first consecutive failure; doubles up to [`LONGEST_BACKOFF`].
const FIRST_BACKOFF: Nanos = 10_000_000;
const LONGEST_BACKOFF: Nanos = 100_000_000;

impl Worker {
    /// Assigns the next request to a slot, intended to start at `intended`, and counts it as offered.
    pub(super) fn prepare(&mut self, idx: usize, intended: Nanos) {
        if self.phase.end().is_some() {
            self.recorder.tally.counts.offered += 1;
        }
        self.prepare_counted(idx, intended);
    }

    /// Like [`prepare`](Self::prepare), for a request that was counted as offered when it was queued.
    #[inline]
    pub(super) fn prepare_counted(&mut self, idx: usize, intended: Nanos) {
        let on = self.phase.end().is_some();
        let sequence = self.next_sequence;
        self.next_sequence += self.sequence_step;
        let Some(conn) = self.conns.get_mut(idx) else { return };
        if let Owner::Loop(left) = &mut conn.agent.owner
            && *left != u64::MAX
        {
            *left = left.saturating_sub(1);
        }
        conn.begun = true;
        conn.counted = on;
        conn.sequence = sequence;
        conn.request = self.mix.choose(sequence);
        conn.intended = intended;
        conn.sent = NEVER;
    }

    /// Sends the prepared request on an idle connection.
    #[inline]
    pub(super) fn send(&mut self, idx: usize, now: Nanos) {
        let now = match &self.plan.before_request {
            None => now,
            Some(before) => {
                before.wait(NextStep::Request);
                self.clock.now()
            }
        };
        let Some(conn) = self.conns.get_mut(idx) else { return };
        let close = match self.keep_alive {
            KeepAlive::Always => conn.agent.owner == Owner::Loop(0),
            KeepAlive::Never => true,
            KeepAlive::Requests(n) => conn.answers.saturating_add(1) >= n || conn.agent.owner == Owner::Loop(0),
        };
        self.mix.render(conn.request, close, conn.sequence, &mut self.scratch);
        let request = self.mix.get(conn.request);
        conn.close_asked = close;
        conn.offset = 0;
        conn.length = request.length(close, &self.scratch.out);
        conn.kept = None;
        conn.received_any = false;
        conn.write_failed = false;
        conn.parser.reset(request.to_head);
        conn.check.reset();
        conn.sent = now;
        let timeout = request.timeout.unwrap_or(self.limits.timeout);
        conn.state = State::Busy;
        self.set_deadline(idx, now.saturating_add(timeout));
        self.write(idx);
    }

    /// Parses `n` bytes of the buffer. Returns true when more may be read for the same response. `closed`: the server has closed.
    #[inline]
    pub(super) fn parse_input(&mut self, idx: usize, n: usize, closed: bool) -> bool {
        let now = self.tick();
        let Some(conn) = self.conns.get_mut(idx) else {
            return false;
        };
        if conn.state != State::Busy {
            return self.handle_unsolicited(idx);
        }
        conn.received_any = true;
        let bytes = &self.buffer[..n];
        let cache = &mut self.heads[conn.request as usize];
        let mut at = 0;
        if conn.parser.is_fresh()
            && let Some((length, facts, failed)) = cache.lookup(bytes)
        {
            conn.parser.assume_head(facts);
            conn.check.failed = failed;
            at = length;
        }
        let mut judge = Judge {
            request: self.mix.get(conn.request),
            state: &mut conn.check,
            cache,
            samples: &mut self.recorder.tally.samples,
        };
        let fresh = at > 0 || conn.parser.is_fresh();
        let fed = match conn.parser.feed(&bytes[at..], &mut judge) {
            Ok(fed) => fed,
            Err(malformed) => {
                let head = if fresh {
                    bytes
                } else {
                    conn.parser.partial_head().unwrap_or(cache.head())
                };
                self.recorder.explain(ErrorKind::Malformed, || {
                    format!("{}; its first line is {}", malformed.0, first_line(head))
                });
                self.failed(idx, ErrorKind::Malformed);
                return false;
            }
        };
        if !fed.complete {
            return true;
        }
        if at + fed.consumed < n {
            // A second response, or a body longer than its declared length.
            let surplus = n - at - fed.consumed;
            let head = if fresh { bytes } else { cache.head() };
            self.recorder.explain(ErrorKind::Malformed, || {
                format!(
                    "{surplus} bytes follow the end that the response declares; its first line is {}",
                    first_line(head)
                )
            });
            self.failed(idx, ErrorKind::Malformed);
            return false;
        }
        self.answered(idx, now, closed);
        false
    }

    /// Handles a complete response.
    #[inline]
    fn answered(&mut self, idx: usize, now: Nanos, closed: bool) {
        let Some(conn) = self.conns.get_mut(idx) else { return };
        let request = self.mix.get(conn.request);
        let failed = Judge {
            request,
            state: &mut conn.check,
            cache: &mut self.heads[conn.request as usize],
            samples: &mut self.recorder.tally.samples,
        }
        .end();
        if conn.counted {
            if failed == NO_CHECK {
                let response = now - conn.intended;
                self.recorder.done(response, now - conn.sent);
                self.recorder.done_of(conn.request, response);
            } else {
                let kind = if request.checks.is_status(failed) {
                    ErrorKind::Status
                } else {
                    ErrorKind::CheckFailed
                };
                self.recorder.failed_check(failed, kind);
                self.recorder.failed_of(conn.request);
            }
            conn.agent.answers += 1;
        }
        conn.begun = false;
        conn.counted = false;
        conn.answers += 1;
        conn.agent.failures = 0;
        let said_close = !conn.parser.keep_alive() || conn.close_asked;
        if closed || said_close || !conn.all_sent() {
            // Over TLS the server may have announced its end and not closed yet.
            let mode = if closed && conn.tls.is_none() {
                CloseMode::Close
            } else if conn.all_sent() {
                CloseMode::AfterServer
            } else {
                CloseMode::Reset
            };
            self.end_connection(idx, now, mode);
            return;
        }
        conn.state = State::Idle;
        conn.deadline = NEVER;
        match conn.agent.owner {
            Owner::Loop(_) if self.looping => {
                self.prepare(idx, now);
                self.send(idx, now);
            }
            Owner::Loop(_) | Owner::IdleConnection => {}
            Owner::Nobody => self.pooled_is_free(idx, now),
        }
    }

    /// Ends a connection after its last response; its loop or user continues on a new one.
    fn end_connection(&mut self, idx: usize, now: Nanos, mode: CloseMode) {
        let Some(conn) = self.conns.get_mut(idx) else { return };
        let agent = conn.agent;
        self.close_connection(idx, mode);
        match agent.owner {
            Owner::Loop(0) => self.user_leaves(agent.answers),
            Owner::Loop(_) if self.looping => {
                let next = self.vacant(agent);
                self.prepare(next, now);
                self.connect(next);
            }
            Owner::Loop(_) | Owner::IdleConnection => {
                let next = self.vacant(agent);
                self.ramp.push_back((next, self.conns[next].generation));
            }
            Owner::Nobody => {
                self.pooled_closed(Some(agent.answers));
            }
        }
    }

    /// Handles an established connection.
    pub(super) fn established(&mut self, idx: usize) {
        let now = self.tick();
        let Some(conn) = self.conns.get_mut(idx) else { return };
        conn.state = State::Idle;
        conn.deadline = NEVER;
        let counts = conn.is_open();
        self.connecting -= 1;
        self.established += u64::from(counts);
        let took = now.saturating_sub(conn.opened).max(1);
        self.recorder.tally.connect.histogram.saturating_record(took);
        self.recorder.tally.established = self.recorder.tally.established.max(self.established);
        if conn.begun {
            self.send(idx, now);
            return;
        }
        match conn.agent.owner {
            Owner::Loop(_) if self.looping => {
                self.prepare(idx, now);
                self.send(idx, now);
            }
            Owner::Loop(_) | Owner::IdleConnection => {}
            Owner::Nobody => {
                self.pooled_settled();
                self.pooled_is_free(idx, now);
            }
        }
    }

    pub(super) fn connect_failed(&mut self, idx: usize, kind: ErrorKind) {
        let Some(conn) = self.conns.get(idx) else { return };
        if conn.begun {
            self.failed(idx, kind);
            return;
        }
        if conn.agent.owner == Owner::Nobody {
            self.close_connection(idx, CloseMode::Close);
            self.pooled_settled();
            self.pooled_closed(None);
            self.queued_has_failed(kind);
        } else {
            self.close_socket(idx, CloseMode::Close);
            self.schedule_reconnect(idx);
        }
    }

    /// Fails the request on this connection, and closes the connection.
    pub(super) fn failed(&mut self, idx: usize, kind: ErrorKind) {
        let Some(conn) = self.conns.get_mut(idx) else { return };
        if conn.counted {
            self.recorder.failed(kind);
            self.recorder.failed_of(conn.request);
        }
        conn.begun = false;
        conn.counted = false;
        let agent = conn.agent;
        match agent.owner {
            Owner::Loop(0) => {
                self.close_connection(idx, CloseMode::Reset);
                self.user_leaves(agent.answers);
            }
            Owner::Loop(_) | Owner::IdleConnection => {
                self.close_socket(idx, CloseMode::Reset);
                self.schedule_reconnect(idx);
            }
            Owner::Nobody => {
                self.close_connection(idx, CloseMode::Reset);
                self.pooled_closed(Some(agent.answers));
            }
        }
    }

    /// Schedules a reconnect of a slot without a socket.
    fn schedule_reconnect(&mut self, idx: usize) {
        let now = self.clock.now();
        let Some(conn) = self.conns.get_mut(idx) else { return };
        let wait = (FIRST_BACKOFF << conn.agent.failures.min(8)).min(LONGEST_BACKOFF);
        conn.agent.failures = conn.agent.failures.saturating_add(1);
        let entry = (now.saturating_add(wait), idx, conn.generation);
        self.backoffs.push(std::cmp::Reverse(entry));
    }

    /// Reconnects after the delay.
    pub(super) fn reconnect(&mut self, idx: usize, generation: u32) {
        let now = self.tick();
        let Some(conn) = self.conns.get(idx) else { return };
        if conn.generation != generation || conn.state != State::Empty {
            return;
        }
        if conn.agent.is_loop() && !conn.begun && self.looping {
            self.prepare(idx, now);
        }
        self.connect(idx);
    }

    /// Handles the end of the stream.
    pub(super) fn server_closed(&mut self, idx: usize) {
        let now = self.tick();
        let Some(conn) = self.conns.get_mut(idx) else { return };
        match conn.state {
            State::Busy if conn.parser.finish() => self.answered(idx, now, true),
            State::Busy => {
                if conn.received_any {
                    let known = self.heads[conn.request as usize].head();
                    let head = conn.parser.partial_head().unwrap_or(known);
                    self.recorder.explain(ErrorKind::PrematureEnd, || {
                        format!("{}; its first line is {}", conn.parser.missing(), first_line(head))
                    });
                }
                // The server's kernel answers bytes for a closed socket with a reset, which leaves an error behind the
                // end of the stream.
                let refused = conn
                    .stream
                    .as_ref()
                    .is_some_and(|s| matches!(s.take_error(), Ok(Some(_))));
                self.connection_lost(idx, ErrorKind::PrematureEnd, Ending::Closed { refused });
            }
            State::Idle => self.idle_closed(idx, CloseMode::Close),
            State::Lingering => self.close_connection(idx, CloseMode::Close),
            State::Connecting | State::Empty => {}
        }
    }

    /// Handles the loss of a connection. The request on it is sent again on a new connection, once, where [`Loss`]
    /// allows it; otherwise it has failed.
    pub(super) fn connection_lost(&mut self, idx: usize, kind: ErrorKind, ending: Ending) {
        let Some(conn) = self.conns.get_mut(idx) else { return };
        match conn.state {
            State::Busy => {
                let loss = Loss {
                    reused: conn.answers > 0,
                    received_any: conn.received_any,
                    bytes_left: conn.offset > 0,
                    idempotent: self.mix.get(conn.request).idempotent,
                    ending,
                };
                if loss.may_be_sent_again(!self.plan.load.faults.is_empty()) {
                    if conn.counted {
                        self.recorder.tally.counts.retried += 1;
                    }
                    self.close_socket(idx, CloseMode::Close);
                    self.connect(idx);
                } else {
                    let kind = if conn.write_failed { ErrorKind::WriteReset } else { kind };
                    self.failed(idx, kind);
                }
            }
            State::Idle => self.idle_closed(idx, CloseMode::Close),
            State::Lingering => self.close_connection(idx, CloseMode::Close),
            State::Connecting => self.connect_failed(idx, ErrorKind::ConnectReset),
            State::Empty => {}
        }
    }

    /// Handles bytes that belong to no request. Returns true when more should be read.
    fn handle_unsolicited(&mut self, idx: usize) -> bool {
        let Some(conn) = self.conns.get(idx) else { return false };
        match conn.state {
            // Bytes after the last response are dropped until the server closes.
            State::Lingering => true,
            State::Idle => {
                // A server that ends an idle connection may announce it (408); the connection cannot be used any more.
                self.idle_closed(idx, CloseMode::Reset);
                false
            }
            State::Busy | State::Connecting | State::Empty => false,
        }
    }

    fn idle_closed(&mut self, idx: usize, mode: CloseMode) {
        let Some(conn) = self.conns.get(idx) else { return };
        let agent = conn.agent;
        if agent.owner == Owner::Nobody {
            self.close_connection(idx, mode);
            self.pooled_closed(Some(agent.answers));
        } else {
            self.close_socket(idx, mode);
            self.schedule_reconnect(idx);
        }
    }

    /// Sets the timeout of a connection's state.
    #[inline]
    pub(super) fn set_deadline(&mut self, idx: usize, deadline: Nanos) {
        let Some(conn) = self.conns.get_mut(idx) else { return };
        conn.deadline = deadline;
        if deadline < conn.queued {
            conn.queued = deadline;
            self.deadlines.push(std::cmp::Reverse((deadline, idx, conn.generation)));
        }
    }

    /// Handles all timeouts that are due.
    pub(super) fn expire(&mut self, now: Nanos) {
        while let Some(std::cmp::Reverse((at, idx, generation))) = self.deadlines.peek().copied()
            && at <= now
        {
            self.deadlines.pop();
            let Some(conn) = self.conns.get_mut(idx) else { continue };
            if conn.generation != generation || conn.queued != at {
                continue;
            }
            conn.queued = NEVER;
            let deadline = conn.deadline;
            if deadline <= now {
                self.timed_out(idx);
            } else if deadline != NEVER {
                self.set_deadline(idx, deadline);
            }
        }
    }

    /// Handles the timeout of a connection's state.
    pub(super) fn timed_out(&mut self, idx: usize) {
        let now = self.tick();
        let Some(conn) = self.conns.get_mut(idx) else { return };
        match conn.state {
            State::Connecting if conn.tls.is_some() => self.handshake_timed_out(idx),
            State::Connecting => self.connect_failed(idx, ErrorKind::ConnectTimeout),
            State::Lingering => self.close_connection(idx, CloseMode::Reset),
            State::Busy => {
                if conn.counted {
                    let response = now - conn.intended;
                    self.recorder.timed_out(response, now - conn.sent);
                    self.recorder.censored_of(conn.request, response);
                }
                conn.begun = false;
                conn.counted = false;
                self.end_connection(idx, now, CloseMode::Reset);
            }
            State::Idle | State::Empty => {}
        }
    }

    /// Closes the connections of users whose phase has ended.
    pub(super) fn sweep_users(&mut self) {
        self.sweep = false;
        if !matches!(self.driver, Driver::Users(_)) {
            return;
        }
        for idx in 0..self.conns.capacity() {
            if self.conns.get(idx).is_some_and(|conn| conn.agent.is_loop()) {
                self.close_connection(idx, CloseMode::Reset);
            }
        }
    }
}
