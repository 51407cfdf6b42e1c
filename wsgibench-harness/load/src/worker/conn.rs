//! One connection as an explicit state machine.

use mio::net::TcpStream;
use tokio_rustls::rustls::ClientConnection;

use super::super::{
    clock::{NEVER, Nanos},
    http1::Parser,
    wire::CheckState,
};

/// State of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No socket: not opened yet, or waiting to reconnect.
    Empty,
    /// The handshake is under way.
    Connecting,
    /// Open, no request on it.
    Idle,
    /// A request is being sent or answered.
    Busy,
    /// After its last response; the server closes first, so that `TIME_WAIT` stays on its side.
    Lingering,
}

/// The user of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// No user: a pooled connection of an open load, or a closing one.
    Nobody,
    /// A closed loop, or a user with this many requests left.
    Loop(u64),
    /// An additional idle connection.
    IdleConnection,
}

/// A loop (or, in an open load, a pooled connection) with its counts of this round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Agent {
    pub(super) owner: Owner,
    /// Responses in this round.
    pub(super) answers: u64,
    /// Failures since the last response.
    pub(super) failures: u8,
}

impl Agent {
    pub(super) fn new(owner: Owner) -> Self {
        Self {
            owner,
            answers: 0,
            failures: 0,
        }
    }

    pub(super) fn is_loop(&self) -> bool {
        matches!(self.owner, Owner::Loop(_))
    }
}

/// A connection and the request it carries.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts about one request, read on the hot path"
)]
pub(super) struct Conn {
    pub(super) stream: Option<TcpStream>,
    /// Session on the socket; `None` on a plain connection, and until the socket is connected.
    pub(super) tls: Option<Box<ClientConnection>>,
    pub(super) state: State,
    /// Distinguishes this use of the slot from earlier ones.
    pub(super) generation: u32,
    pub(super) agent: Agent,
    /// Responses on this socket.
    pub(super) answers: u32,
    /// When the connection was requested.
    pub(super) opened: Nanos,
    /// When its state times out; `NEVER` for no timeout.
    pub(super) deadline: Nanos,
    /// Time of its earliest entry in the timeout queue, `NEVER` for none. It may lie before `deadline`: an answered request
    /// leaves its entry behind for the next one, so that most requests queue nothing.
    pub(super) queued: Nanos,

    /// A request is in flight, or waits for this connection to open.
    pub(super) begun: bool,
    /// Whether it counts in the current round.
    pub(super) counted: bool,
    /// A byte of its response has arrived.
    pub(super) received_any: bool,
    /// It asked the server to close after it.
    pub(super) close_asked: bool,
    /// Sending it failed; a response may still be readable.
    pub(super) write_failed: bool,
    /// Which request of the mix.
    pub(super) request: u32,
    /// Its number in the session.
    pub(super) sequence: u64,
    /// Its intended start.
    pub(super) intended: Nanos,
    /// When its first byte left; `NEVER` before.
    pub(super) sent: Nanos,
    /// Bytes sent, and bytes in total.
    pub(super) offset: u64,
    pub(super) length: u64,
    /// Its rendered head, kept only if it could not be sent at once.
    pub(super) kept: Option<Box<[u8]>>,
    pub(super) parser: Parser,
    pub(super) check: CheckState,
}

impl Conn {
    pub(super) fn new(agent: Agent, generation: u32) -> Self {
        Self {
            stream: None,
            tls: None,
            state: State::Empty,
            generation,
            agent,
            answers: 0,
            opened: 0,
            deadline: NEVER,
            queued: NEVER,
            begun: false,
            counted: false,
            received_any: false,
            close_asked: false,
            write_failed: false,
            request: 0,
            sequence: 0,
            intended: 0,
            sent: NEVER,
            offset: 0,
            length: 0,
            kept: None,
            parser: Parser::new(false),
            check: CheckState::FRESH,
        }
    }

    pub(super) fn all_sent(&self) -> bool {
        self.offset == self.length
    }

    /// Returns whether bytes wait until the socket can take them.
    pub(super) fn wants_write(&self) -> bool {
        !self.all_sent() || self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Returns whether it counts as established (additional idle connections do not).
    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Idle | State::Busy) && self.agent.owner != Owner::IdleConnection
    }
}
