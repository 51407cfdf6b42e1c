//! The event loop of a worker.

use std::{cmp::Reverse, io, sync::atomic::Ordering, sync::mpsc::TryRecvError, time::Duration};

use mio::{Events, Token, event::Event};

use super::{
    super::{
        clock::{NEVER, Nanos},
        error::LoadError,
    },
    Command, Owner, RAMP_WINDOW, Report, State, TIMER, WAKE, WaitMode, Worker,
    io::CloseMode,
};

/// Longest iteration that counts as spinning, ns; an empty one takes about 1 µs.
const SPIN_TURN: Nanos = 20_000;

/// Longest wait, ns: the maximum cost of a lost wake-up.
const LONGEST_WAIT: Nanos = 500_000_000;

/// The way to wait for the next event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// Without sleeping: an arrival is near, or the worker busy-polls.
    Spin,
    /// For events, for at most this long.
    AtMost(Duration),
}

impl Worker {
    /// Runs until the session ends.
    pub(crate) fn run(mut self) {
        if let Err(error) = self.work() {
            // Fails only if the session is gone.
            let _ = self.reports.send(Report::Failed(error));
        }
    }

    fn work(&mut self) -> Result<(), LoadError> {
        let mut events = Events::with_capacity(1024);
        // Without initial connections it is ready before anything happens.
        let begun = self.tick();
        self.handle_infrequent(begun);
        loop {
            let now = self.tick();
            self.offer_due(now);
            let wait = self.wait(now)?;
            let timeout = match wait {
                Wait::Spin => Duration::ZERO,
                Wait::AtMost(timeout) => timeout,
            };
            match self.poll.poll(&mut events, Some(timeout)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(LoadError::system("failed to wait for sockets")(error)),
            }
            let woken = self.tick();
            if wait == Wait::Spin && events.is_empty() {
                // In a longer iteration the thread was descheduled, not spinning.
                self.recorder.tally.spin_ns += (woken - now).min(SPIN_TURN);
            }
            let mut woken_by_command = false;
            for event in &events {
                match event.token() {
                    WAKE => woken_by_command = true,
                    TIMER => self.pacer.fired(woken),
                    Token(_) => self.socket_event(event),
                }
                if self.driver.due() != NEVER {
                    let now = self.tick();
                    if self.driver.due() <= now {
                        self.offer_due(now);
                    }
                }
            }
            self.resume_turns();
            self.pump();
            self.handle_infrequent(woken);
            if woken_by_command && self.handle_commands()? {
                self.finish();
                return Ok(());
            }
            if let Some(end) = self.phase.end()
                && self.live.stop.load(Ordering::Relaxed) >= end
            {
                let now = self.tick();
                self.end_phase(now);
            }
            self.end_if_drained();
            if self.sweep {
                self.sweep_users();
            }
            self.publish();
        }
    }

    #[inline]
    fn socket_event(&mut self, event: &Event) {
        let Token(token) = event.token();
        let idx = token & 0xffff_ffff;
        let generation = token >> 32;
        let Some(conn) = self.conns.get(idx) else { return };
        if conn.generation as usize != generation {
            return;
        }
        match conn.state {
            State::Busy => {
                if event.is_writable() && conn.wants_write() {
                    self.write(idx);
                }
                let closed = event.is_read_closed() || event.is_error();
                if event.is_readable() || closed {
                    self.read_if_same(idx, generation, closed);
                }
            }
            State::Connecting => {
                self.connect_event(idx, event.is_error() || event.is_read_closed());
                // A handshake that still goes on has read all there is.
                let connecting = self.conns.get(idx).is_some_and(|conn| conn.state == State::Connecting);
                if event.is_readable() && !connecting {
                    self.read_if_same(idx, generation, event.is_read_closed());
                }
            }
            // Only the end of the stream is awaited.
            State::Lingering if event.is_read_closed() => self.close_connection(idx, CloseMode::Close),
            State::Idle | State::Lingering => {
                let closed = event.is_read_closed() || event.is_error();
                if event.is_readable() || closed {
                    self.read_if_same(idx, generation, closed);
                }
            }
            State::Empty => {}
        }
    }

    /// Reads unless the slot holds another connection by now.
    #[inline]
    fn read_if_same(&mut self, idx: usize, generation: usize, closed: bool) {
        let same = self
            .conns
            .get(idx)
            .is_some_and(|conn| conn.generation as usize == generation && conn.stream.is_some());
        if same {
            self.read(idx, closed);
        }
    }

    /// Serves the connections that used up their last turn.
    fn resume_turns(&mut self) {
        for _ in 0..self.again.len() {
            let Some((idx, generation)) = self.again.pop_front() else {
                return;
            };
            let Some(conn) = self.conns.get(idx) else { continue };
            if conn.generation != generation {
                continue;
            }
            if conn.state == State::Busy && conn.wants_write() {
                self.write(idx);
            }
            self.read_if_same(idx, generation as usize, false);
        }
    }

    /// Handles infrequent work: reconnects, initial connections, timeouts.
    fn handle_infrequent(&mut self, now: Nanos) {
        while let Some(Reverse((at, idx, generation))) = self.backoffs.peek().copied() {
            if at > now {
                break;
            }
            self.backoffs.pop();
            self.reconnect(idx, generation);
        }
        if !self.ramp.is_empty() {
            self.open_initial(now);
        }
        if !self.ready_reported && self.is_empty_ramp() {
            self.ready_reported = true;
            let _ = self.reports.send(Report::Ready);
        }
        self.expire(now);
    }

    /// Opens the initial connections in small batches, as a burst would overflow the server's backlog.
    fn open_initial(&mut self, now: Nanos) {
        // Handshakes that hang must not block the others.
        if now >= self.ramp_grows {
            self.ramp_grows = now + 100_000_000;
            if self.connecting >= self.ramp_window {
                self.ramp_window += RAMP_WINDOW;
            }
        }
        while self.connecting < self.ramp_window {
            let Some((idx, generation)) = self.ramp.pop_front() else {
                return;
            };
            let Some(conn) = self.conns.get(idx) else { continue };
            if conn.generation != generation || conn.state != State::Empty {
                continue;
            }
            if conn.agent.owner == Owner::Nobody {
                self.pooled_is_opening();
            }
            self.connect(idx);
        }
    }

    /// Handles commands; returns true when the session is gone.
    fn handle_commands(&mut self) -> Result<bool, LoadError> {
        loop {
            match self.commands.try_recv() {
                Ok(Command::Phase { start, end, rest }) => {
                    if self.sweep {
                        self.sweep_users();
                    }
                    self.await_phase(start, end, rest);
                }
                Err(TryRecvError::Disconnected) => return Ok(true),
                Err(TryRecvError::Empty) => return Ok(false),
            }
        }
    }

    fn wait(&mut self, now: Nanos) -> Result<Wait, LoadError> {
        if !self.again.is_empty() || self.may_pump() || (!self.ramp.is_empty() && self.connecting < self.ramp_window) {
            return Ok(Wait::AtMost(Duration::ZERO));
        }
        if self.wait_mode == WaitMode::Polls && self.phase.end().is_some() {
            return Ok(Wait::Spin);
        }
        let moment = self.driver.due().min(self.phase.awaited());
        if moment != NEVER && self.phase.end().is_none_or(|end| moment < end) {
            if self.pacer.is_near(moment, now) {
                return Ok(Wait::Spin);
            }
            self.pacer
                .arm(moment, now)
                .map_err(LoadError::system("failed to set a timer"))?;
        }
        let mut until = self.edge.min(now + LONGEST_WAIT);
        if let Some(Reverse((at, ..))) = self.deadlines.peek() {
            until = until.min(*at);
        }
        if let Some(Reverse((at, ..))) = self.backoffs.peek() {
            until = until.min(*at);
        }
        if !self.ramp.is_empty() {
            until = until.min(self.ramp_grows);
        }
        Ok(Wait::AtMost(Duration::from_nanos(until.saturating_sub(now))))
    }

    /// Closes all connections. Those that the server is about to close get up to a second.
    fn finish(&mut self) {
        self.looping = false;
        for idx in 0..self.conns.capacity() {
            if self.conns.get(idx).is_some_and(|conn| conn.state != State::Lingering) {
                self.close_connection(idx, CloseMode::Reset);
            }
        }
        self.backoffs.clear();
        self.ramp.clear();
        self.again.clear();
        let mut events = Events::with_capacity(1024);
        let deadline = self.clock.now() + 1_000_000_000;
        // Only connections that the server is about to close are left.
        while !self.conns.is_empty() && self.clock.now() < deadline {
            self.resume_turns();
            if self.poll.poll(&mut events, Some(Duration::from_millis(20))).is_err() {
                break;
            }
            for event in &events {
                if !matches!(event.token(), WAKE | TIMER) {
                    self.socket_event(event);
                }
            }
            self.expire(self.clock.now());
        }
        for idx in 0..self.conns.capacity() {
            if self.conns.contains(idx) {
                self.close_connection(idx, CloseMode::Reset);
            }
        }
        debug_assert!(self.conns.is_empty(), "a connection was left behind");
        debug_assert_eq!(
            (self.connecting, self.established),
            (0, 0),
            "connections are miscounted"
        );
    }
}
