//! Connections over TLS: handshake, records in, records out. Plain connections never come here.

use std::io::{self, Read, Write};

use mio::net::TcpStream;
use tokio_rustls::rustls::{self, ClientConnection};

use super::{
    super::{
        result::ErrorKind,
        retry::Ending,
        tls::{Connector, tls_error},
    },
    State, TURN, Worker,
};

/// A socket that records whether a read has emptied it.
struct Emptied<'a> {
    socket: &'a mut TcpStream,
    emptied: bool,
}

impl Read for Emptied<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.socket.read(buffer)?;
        self.emptied = read < buffer.len();
        Ok(read)
    }
}

/// Result of sending pending records.
enum Flushed {
    /// Nothing is left.
    All,
    /// The socket is full.
    Blocked,
    Failed(io::Error),
}

/// Sends pending records; returns the bytes sent.
fn flush(tls: &mut ClientConnection, socket: &mut TcpStream) -> (u64, Flushed) {
    let mut sent = 0;
    while tls.wants_write() {
        match tls.write_tls(socket) {
            Ok(n) => sent += n as u64,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return (sent, Flushed::Blocked),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (sent, Flushed::Failed(error)),
        }
    }
    (sent, Flushed::All)
}

impl Worker {
    /// Begins the handshake on a socket that has just connected.
    pub(super) fn begin_tls(&mut self, idx: usize) {
        let Some(connector) = self.connector.clone() else {
            return self.established(idx);
        };
        let Some(conn) = self.conns.get_mut(idx) else { return };
        match connector.begin() {
            Ok(tls) => {
                conn.tls = Some(Box::new(tls));
                self.shake_hands(idx);
            }
            Err(error) => self.handshake_failed(idx, &connector, &error),
        }
    }

    /// Goes on with the handshake as far as the socket lets it.
    pub(super) fn shake_hands(&mut self, idx: usize) {
        let Some(connector) = self.connector.clone() else {
            return;
        };
        loop {
            let Some(conn) = self.conns.get_mut(idx) else { return };
            let (Some(socket), Some(tls)) = (conn.stream.as_mut(), conn.tls.as_mut()) else {
                return;
            };
            let (sent, flushed) = flush(tls, socket);
            self.recorder.tally.bytes_sent += sent;
            if let Flushed::Failed(error) = flushed {
                return self.handshake_broke(idx, &connector, &error);
            }
            if !tls.is_handshaking() {
                return self.established(idx);
            }
            match tls.read_tls(socket) {
                Ok(0) => {
                    self.recorder.explain(ErrorKind::Tls, || connector.closed());
                    return self.connect_failed(idx, ErrorKind::Tls);
                }
                Ok(n) => {
                    self.recorder.tally.bytes_received += n as u64;
                    if let Err(error) = tls.process_new_packets() {
                        // The alert, so that the server's log has the reason.
                        let _ = flush(tls, socket);
                        return self.handshake_failed(idx, &connector, &error);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.handshake_broke(idx, &connector, &error),
            }
        }
    }

    fn handshake_failed(&mut self, idx: usize, connector: &Connector, error: &rustls::Error) {
        self.recorder.explain(ErrorKind::Tls, || connector.explain(error));
        self.connect_failed(idx, ErrorKind::Tls);
    }

    /// Handles a connection that was reset during the handshake.
    pub(super) fn handshake_broke(&mut self, idx: usize, connector: &Connector, error: &io::Error) {
        let kind = if tls_error(error).is_some() {
            ErrorKind::Tls
        } else {
            ErrorKind::ConnectReset
        };
        self.recorder.explain(kind, || connector.explain_io(error));
        self.connect_failed(idx, kind);
    }

    /// Handles the timeout of a handshake.
    pub(super) fn handshake_timed_out(&mut self, idx: usize) {
        let within = self.plan.load.connect_timeout;
        if let Some(connector) = &self.connector {
            self.recorder.explain(ErrorKind::Tls, || connector.timed_out(within));
        }
        self.connect_failed(idx, ErrorKind::Tls);
    }

    /// Reads all available records, within one turn. `closed`: the server will send no more.
    pub(super) fn read_records(&mut self, idx: usize, closed: bool) {
        let mut turn = 0;
        loop {
            let Some(conn) = self.conns.get_mut(idx) else { return };
            if conn.state == State::Connecting {
                return self.shake_hands(idx);
            }
            let (Some(socket), Some(tls)) = (conn.stream.as_mut(), conn.tls.as_mut()) else {
                return;
            };
            let mut socket = Emptied { socket, emptied: false };
            match tls.read_tls(&mut socket) {
                Ok(0) => return self.server_closed(idx),
                Ok(n) => {
                    let emptied = socket.emptied;
                    self.recorder.tally.bytes_received += n as u64;
                    let io = match tls.process_new_packets() {
                        Ok(io) => io,
                        Err(error) => {
                            let _ = flush(tls, socket.socket);
                            return self.session_broke(idx, &error);
                        }
                    };
                    let said_close = io.peer_has_closed();
                    let at_end = said_close || (closed && emptied);
                    if !self.take_in_plaintext(idx, io.plaintext_bytes_to_read(), at_end) {
                        return;
                    }
                    if said_close {
                        return self.session_closed(idx);
                    }
                    if emptied && !closed {
                        return;
                    }
                    turn += 1;
                    if turn >= TURN {
                        return self.queue_turn(idx);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if conn.write_failed {
                        self.connection_lost(idx, ErrorKind::WriteReset, Ending::Reset);
                    }
                    return;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.connection_lost(idx, ErrorKind::ReadReset, Ending::Reset),
            }
        }
    }

    /// Parses `left` decrypted bytes. Returns true when more may be read for the same response.
    fn take_in_plaintext(&mut self, idx: usize, mut left: usize, at_end: bool) -> bool {
        while left > 0 {
            let Some(tls) = self.conns.get_mut(idx).and_then(|conn| conn.tls.as_mut()) else {
                return false;
            };
            let Ok(n @ 1..) = tls.reader().read(&mut self.buffer) else {
                return false;
            };
            left -= n;
            if !self.parse_input(idx, n, at_end && left == 0) {
                return false;
            }
        }
        true
    }

    /// Handles the announced end of a session; the end of the connection follows.
    fn session_closed(&mut self, idx: usize) {
        let lingers = self.conns.get(idx).is_some_and(|conn| conn.state == State::Lingering);
        if !lingers {
            self.server_closed(idx);
        }
    }

    /// Handles records that break the session, and alerts.
    fn session_broke(&mut self, idx: usize, error: &rustls::Error) {
        if let Some(connector) = &self.connector {
            self.recorder.explain(ErrorKind::Tls, || connector.explain(error));
        }
        self.connection_lost(idx, ErrorKind::Tls, Ending::Closed { refused: false });
    }

    /// Sends the rest of the request in records, within one turn.
    pub(super) fn write_records(&mut self, idx: usize) {
        let mut turn = 0;
        loop {
            let Some(conn) = self.conns.get_mut(idx) else { return };
            let (Some(socket), Some(tls)) = (conn.stream.as_mut(), conn.tls.as_mut()) else {
                return;
            };
            let (sent, flushed) = flush(tls, socket);
            self.recorder.tally.bytes_sent += sent;
            match flushed {
                Flushed::All => {}
                Flushed::Blocked => return self.keep_rendered(idx),
                Flushed::Failed(_) => {
                    // The response may have come before the whole request was read (413, for instance).
                    conn.write_failed = true;
                    return self.read(idx, true);
                }
            }
            if conn.state != State::Busy || conn.offset == conn.length {
                conn.kept = None;
                return;
            }
            if turn >= TURN {
                self.keep_rendered(idx);
                return self.queue_turn(idx);
            }
            turn += 1;
            let request = self.mix.get(conn.request);
            let rendered = conn.kept.as_deref().unwrap_or(&self.scratch.out);
            let piece = request.piece(conn.close_asked, rendered, conn.offset);
            match tls.writer().write(piece) {
                Ok(n @ 1..) => conn.offset += n as u64,
                Ok(0) | Err(_) => return,
            }
        }
    }

    /// Announces the end of a session to the server, which may wait for it, and looks at once whether the server has closed:
    /// its end may have been read together with the last response.
    pub(super) fn say_goodbye(&mut self, idx: usize) {
        let Some(conn) = self.conns.get_mut(idx) else { return };
        let (Some(socket), Some(tls)) = (conn.stream.as_mut(), conn.tls.as_mut()) else {
            return;
        };
        tls.send_close_notify();
        let (sent, _) = flush(tls, socket);
        self.recorder.tally.bytes_sent += sent;
        self.queue_turn(idx);
    }
}
