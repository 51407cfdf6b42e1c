//! One connection as an explicit state machine: what it is doing, for whom, since when.

use mio::net::TcpStream;

use super::super::{
    clock::{NEVER, Nanos},
    http1::Parser,
    wire::CheckState,
};

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No socket: not opened yet, or waiting before the next attempt.
    Empty,
    /// The handshake is under way.
    Connecting,
    /// Open, no request on it.
    Idle,
    /// A request is being sent or answered.
    Busy,
    /// Answered for the last time; the server is to close first, so that the port is not kept with us.
    Lingering,
}

/// Who uses a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// Nobody: a connection of an open load's pool, or one on its way out.
    Nobody,
    /// A closed loop, or a user with this many requests still to begin.
    Loop(u64),
    /// A connection that only is there.
    IdleConnection,
}

/// A loop (or, in an open load, a pooled connection) with what it has had in this round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Agent {
    pub(super) owner: Owner,
    /// Answers in this round.
    pub(super) answers: u64,
    /// Failures since the last answer.
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
    pub(super) state: State,
    /// Told apart from an earlier user of the same place.
    pub(super) generation: u32,
    pub(super) agent: Agent,
    /// Answers on this socket.
    pub(super) answers: u32,
    /// When the connection was asked for.
    pub(super) opened: Nanos,
    /// When the state it is in has lasted too long.
    pub(super) deadline: Nanos,

    /// A request is on its way, or waits for this connection to open.
    pub(super) begun: bool,
    /// It belongs to the accounts of the round that is on.
    pub(super) counted: bool,
    /// A byte of its answer has come.
    pub(super) heard: bool,
    /// It asked the server to close after it.
    pub(super) close_asked: bool,
    /// Sending it failed; an answer may still be there to be read.
    pub(super) write_failed: bool,
    /// Which request of the mix.
    pub(super) request: u32,
    /// Its number in the session.
    pub(super) sequence: u64,
    /// When it was to start.
    pub(super) intended: Nanos,
    /// When its first byte left; `NEVER` before.
    pub(super) sent: Nanos,
    /// Bytes of it that have left, and bytes in all.
    pub(super) offset: u64,
    pub(super) length: u64,
    /// Its rendered head, kept only where it could not leave at once.
    pub(super) kept: Option<Box<[u8]>>,
    pub(super) parser: Parser,
    pub(super) check: CheckState,
}

impl Conn {
    pub(super) fn new(agent: Agent, generation: u32) -> Self {
        Self {
            stream: None,
            state: State::Empty,
            generation,
            agent,
            answers: 0,
            opened: 0,
            deadline: NEVER,
            begun: false,
            counted: false,
            heard: false,
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

    /// The socket is one of those that count as established (a bystander's is not).
    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Idle | State::Busy) && self.agent.owner != Owner::IdleConnection
    }
}
