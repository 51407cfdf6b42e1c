//! Sockets: opening, reading, writing, closing. Every error becomes an [`ErrorKind`] here.

use std::{
    io::{self, Read, Write},
    time::Duration,
};

use mio::{Interest, Token, net::TcpStream};
use rustix::{io::Errno, net::sockopt::set_socket_linger};

use super::{
    super::{
        clock::{NEVER, nanos},
        plan::NextStep,
        result::ErrorKind,
        retry::Ending,
        socket,
    },
    Agent, LINGER, Owner, State, TURN, Worker,
};

/// The way to close a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CloseMode {
    /// The server has closed already.
    Close,
    /// Wait for the server, which announced or was asked that it will close, to close first.
    AfterServer,
    /// Immediately, with a reset: remaining bytes are useless, and no port stays in `TIME_WAIT`.
    Reset,
}

impl Worker {
    /// Opens a socket for a slot without one.
    pub(super) fn connect(&mut self, idx: usize) {
        if let Some(before) = self.plan.before_request.clone() {
            before.wait(NextStep::Connection);
            if self.close_lingering() {
                before.wait(NextStep::Connection);
            }
        }
        let opened = self.tick();
        let generation = self.next_generation.wrapping_add(1);
        self.next_generation = generation;
        let Some(conn) = self.conns.get_mut(idx) else { return };
        conn.generation = generation;
        conn.answers = 0;
        conn.opened = opened;
        conn.queued = NEVER;
        conn.state = State::Connecting;
        self.set_deadline(idx, opened.saturating_add(self.limits.connect_timeout));
        let Some(conn) = self.conns.get_mut(idx) else { return };
        self.connecting += 1;
        match open_socket(self.plan.target.address, self.poll.registry(), token(idx, generation)) {
            Ok(stream) => {
                self.recorder.tally.opened += 1;
                conn.stream = Some(stream);
            }
            Err(error) => self.connect_failed(idx, connect_error(&error)),
        }
    }

    /// Closes the connections that wait for the server to close; returns whether there were any. The server may wait for them in turn,
    /// and would notice their end and a new connection in an order that depends on the machine.
    fn close_lingering(&mut self) -> bool {
        let lingering = self.conns.iter().filter(|(_, conn)| conn.state == State::Lingering);
        let lingering: Vec<usize> = lingering.map(|(idx, _)| idx).collect();
        for &idx in &lingering {
            self.close_connection(idx, CloseMode::Close);
        }
        !lingering.is_empty()
    }

    /// Handles the end of the handshake, successful or not.
    pub(super) fn connect_event(&mut self, idx: usize, failed: bool) {
        let Some(stream) = self.conns.get(idx).and_then(|conn| conn.stream.as_ref()) else {
            return;
        };
        if failed && let Ok(Some(error)) = stream.take_error() {
            self.connect_failed(idx, connect_error(&error));
            return;
        }
        let Some(conn) = self.conns.get(idx) else { return };
        if conn.tls.is_some() {
            self.shake_hands(idx);
        } else if self.connector.is_some() {
            self.begin_tls(idx);
        } else {
            self.established(idx);
        }
    }

    /// Reads all available bytes, within one turn. `closed`: the server will send no more.
    pub(super) fn read(&mut self, idx: usize, closed: bool) {
        let mut turn = 0;
        loop {
            let Some(conn) = self.conns.get_mut(idx) else { return };
            if conn.tls.is_some() {
                return self.read_records(idx, closed);
            }
            let Some(stream) = conn.stream.as_mut() else { return };
            match stream.read(&mut self.buffer) {
                Ok(0) => return self.server_closed(idx),
                Ok(n) => {
                    self.recorder.tally.bytes_received += n as u64;
                    let emptied = n < self.buffer.len();
                    if !self.parse_input(idx, n, closed && emptied) || (emptied && !closed) {
                        return;
                    }
                    turn += 1;
                    if turn >= TURN {
                        self.queue_turn(idx);
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.conns.get(idx).is_some_and(|conn| conn.write_failed) {
                        self.connection_lost(idx, ErrorKind::WriteReset, Ending::Reset);
                    }
                    return;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.connection_lost(idx, ErrorKind::ReadReset, Ending::Reset),
            }
        }
    }

    /// Sends the rest of the request, within one turn.
    pub(super) fn write(&mut self, idx: usize) {
        let mut turn = 0;
        loop {
            let Some(conn) = self.conns.get_mut(idx) else { return };
            if conn.tls.is_some() {
                return self.write_records(idx);
            }
            let Some(stream) = conn.stream.as_mut() else { return };
            let request = self.mix.get(conn.request);
            let rendered = conn.kept.as_deref().unwrap_or(&self.scratch.out);
            let piece = request.piece(conn.close_asked, rendered, conn.offset);
            if piece.is_empty() {
                return;
            }
            match stream.write(piece) {
                Ok(n) => {
                    conn.offset += n as u64;
                    self.recorder.tally.bytes_sent += n as u64;
                    if conn.all_sent() {
                        conn.kept = None;
                        return;
                    }
                    turn += 1;
                    if turn >= TURN {
                        self.keep_rendered(idx);
                        self.queue_turn(idx);
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return self.keep_rendered(idx),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    // The response may have come before the whole request was read (413, for instance).
                    conn.write_failed = true;
                    return self.read(idx, true);
                }
            }
        }
    }

    /// Copies a rendered head that could not be sent at once out of the shared buffer.
    pub(super) fn keep_rendered(&mut self, idx: usize) {
        if let Some(conn) = self.conns.get_mut(idx)
            && conn.kept.is_none()
            && self.mix.get(conn.request).is_template()
        {
            conn.kept = Some(self.scratch.out.as_slice().into());
        }
    }

    /// Queues a connection that may have more to read or write without another event.
    pub(super) fn queue_turn(&mut self, idx: usize) {
        if let Some(conn) = self.conns.get(idx) {
            self.again.push_back((idx, conn.generation));
        }
    }

    /// Closes a connection and frees its slot; the caller has already recorded its agent.
    pub(super) fn close_connection(&mut self, idx: usize, mode: CloseMode) {
        let now = self.clock.now();
        let Some(conn) = self.conns.get_mut(idx) else { return };
        if conn.is_open() {
            self.established -= 1;
        }
        if conn.state == State::Connecting {
            self.connecting -= 1;
        }
        if mode == CloseMode::AfterServer && conn.stream.is_some() {
            conn.state = State::Lingering;
            conn.agent = Agent::new(Owner::Nobody);
            conn.begun = false;
            conn.counted = false;
            self.set_deadline(idx, now.saturating_add(nanos(LINGER)));
            self.say_goodbye(idx);
            return;
        }
        let conn = self.conns.remove(idx);
        if let Some(stream) = conn.stream {
            close(stream, mode);
        }
    }

    /// Closes the socket of a slot that will be reused.
    pub(super) fn close_socket(&mut self, idx: usize, mode: CloseMode) {
        let Some(conn) = self.conns.get_mut(idx) else { return };
        if conn.is_open() {
            self.established -= 1;
        }
        if conn.state == State::Connecting {
            self.connecting -= 1;
        }
        conn.state = State::Empty;
        conn.deadline = NEVER;
        conn.queued = NEVER;
        conn.kept = None;
        conn.write_failed = false;
        // Events of the old socket must not reach the next one.
        self.next_generation = self.next_generation.wrapping_add(1);
        conn.generation = self.next_generation;
        conn.tls = None;
        if let Some(stream) = conn.stream.take() {
            close(stream, mode);
        }
    }
}

pub(super) fn close(stream: TcpStream, mode: CloseMode) {
    if mode != CloseMode::Close {
        // If this fails, the port stays in `TIME_WAIT` for a minute.
        let _ = set_socket_linger(&stream, Some(Duration::ZERO));
    }
    drop(stream);
}

/// Packs slot and generation into a poll token.
pub(super) fn token(idx: usize, generation: u32) -> Token {
    Token(idx | (generation as usize) << 32)
}

fn open_socket(address: std::net::SocketAddr, registry: &mio::Registry, token: Token) -> io::Result<TcpStream> {
    let mut stream = TcpStream::from_std(socket::connect(address)?);
    registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
    Ok(stream)
}

fn connect_error(error: &io::Error) -> ErrorKind {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => ErrorKind::NoDescriptors,
        Some(Errno::ADDRNOTAVAIL | Errno::ADDRINUSE | Errno::AGAIN) => ErrorKind::NoPorts,
        Some(Errno::TIMEDOUT) => ErrorKind::ConnectTimeout,
        Some(Errno::CONNRESET | Errno::CONNABORTED | Errno::PIPE) => ErrorKind::ConnectReset,
        Some(Errno::HOSTUNREACH | Errno::NETUNREACH | Errno::NETDOWN | Errno::HOSTDOWN) => ErrorKind::Unreachable,
        _ => ErrorKind::Refused,
    }
}
