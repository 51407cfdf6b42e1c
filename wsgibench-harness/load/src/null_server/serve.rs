//! The event loop: single-threaded and edge-triggered, with one read and one write per request.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::SocketAddr,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use mio::{
    Events, Interest, Poll, Token, Waker,
    net::{TcpListener, TcpStream},
};
use slab::Slab;

use super::{
    connection::{Reading, Wants},
    delay::{Delayer, Delays},
    head::{Heads, LONGEST_HEAD},
};

const LISTENER: Token = Token(usize::MAX);
const STOP: Token = Token(usize::MAX - 1);

/// A server that is bound to its address.
#[derive(Debug)]
pub(super) struct EventLoop {
    poll: Poll,
    listener: TcpListener,
    connections: Slab<Connection>,
    heads: Heads,
    delayer: Option<Delayer>,
    /// Read buffer of all connections; a request that arrives at once is not copied.
    buffer: Vec<u8>,
    /// Counter of connections, so that a response never goes to a later connection in the same slot.
    generation: u64,
    /// Whether the last `accept` ran out of descriptors. It is retried after a close, because edges are not repeated.
    starved: bool,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    generation: u64,
    reading: Reading,
    /// Bytes read but not parsed; empty unless a head is incomplete or a response waits.
    held: Vec<u8>,
    /// Bytes of responses that the socket has not accepted.
    unwritten: Vec<u8>,
    /// The delayed response, and whether to close the connection afterwards.
    waits: Option<(&'static [u8], bool)>,
    /// Whether to close the connection once everything is written.
    closing: bool,
}

/// The state of a connection after an event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Liveness {
    Lives,
    Ends,
}

impl EventLoop {
    /// Binds `address`; with `delays`, responses are delayed.
    pub(super) fn bind(address: SocketAddr, delays: Option<Delays>) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::bind(address)?;
        // The default backlog is too short for 10,000 clients that arrive at once.
        rustix::net::listen(&listener, 65_535)?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            poll,
            listener,
            connections: Slab::with_capacity(1024),
            heads: Heads::default(),
            delayer: delays.map(Delayer::new),
            buffer: vec![0; LONGEST_HEAD],
            generation: 0,
            starved: false,
        })
    }

    /// Returns the address it listens on.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Returns a handle that stops [`run`](Self::run) from another thread.
    pub(super) fn stopper(&self) -> io::Result<Waker> {
        Waker::new(self.poll.registry(), STOP)
    }

    /// Serves until stopped; returns the record of response times if responses were delayed.
    pub(super) fn run(mut self) -> io::Result<Option<Histogram<u64>>> {
        let mut events = Events::with_capacity(1024);
        loop {
            let sleep = self.delayer.as_ref().and_then(|d| d.may_sleep(Instant::now()));
            match self.poll.poll(&mut events, sleep) {
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            }
            for event in &events {
                match event.token() {
                    STOP => return Ok(self.delayer.map(Delayer::into_record)),
                    LISTENER => self.accept()?,
                    Token(key) => self.handle_event(key, event.is_readable(), event.is_writable()),
                }
            }
            self.write_due();
            if self.starved {
                self.accept()?;
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        self.starved = false;
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                // The client closed the connection before it was accepted.
                Err(e) if matches!(e.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => continue,
                Err(e) if no_descriptors(&e) => {
                    self.starved = true;
                    // There is no open connection whose close could be awaited.
                    std::thread::sleep(Duration::from_millis(1));
                    return Ok(());
                }
                Err(e) => return Err(e),
            };
            // Otherwise the second of two pipelined responses could wait for a delayed acknowledgement.
            let _ = stream.set_nodelay(true);
            let entry = self.connections.vacant_entry();
            let interest = Interest::READABLE | Interest::WRITABLE;
            let token = Token(entry.key());
            self.poll.registry().register(&mut stream, token, interest)?;
            self.generation += 1;
            entry.insert(Connection {
                stream,
                generation: self.generation,
                reading: Reading::default(),
                held: Vec::new(),
                unwritten: Vec::new(),
                waits: None,
                closing: false,
            });
        }
    }

    /// Handles an event of a connection.
    fn handle_event(&mut self, key: usize, readable: bool, writable: bool) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        let mut liveness = Liveness::Lives;
        if writable && !connection.unwritten.is_empty() {
            liveness = connection.flush();
        }
        if liveness == Liveness::Lives && readable {
            liveness = connection.read(key, &mut self.buffer, &mut self.heads, self.delayer.as_mut());
        }
        if liveness == Liveness::Ends {
            // Dropping the stream closes it and removes it from the poller.
            self.connections.remove(key);
        }
    }

    /// Writes the responses that are due.
    fn write_due(&mut self) {
        let Some(delayer) = self.delayer.as_mut() else {
            return;
        };
        while let Some(((key, generation), read)) = delayer.next_due(Instant::now()) {
            let Some(connection) = self.connections.get_mut(key).filter(|c| c.generation == generation) else {
                continue;
            };
            let Some((answer, close)) = connection.waits.take() else {
                continue;
            };
            connection.closing |= close;
            let mut liveness = connection.write(answer);
            let now = Instant::now();
            delayer.record(now, now - read);
            if liveness == Liveness::Lives {
                let held = std::mem::take(&mut connection.held);
                liveness = connection.respond(key, held.as_slice(), &mut self.heads, Some(delayer));
            }
            if liveness == Liveness::Ends {
                self.connections.remove(key);
            }
        }
    }
}

impl Connection {
    /// Reads until the socket is empty, and responds to complete requests.
    fn read(
        &mut self,
        key: usize,
        buffer: &mut [u8],
        heads: &mut Heads,
        mut delayer: Option<&mut Delayer>,
    ) -> Liveness {
        loop {
            let count = match self.stream.read(buffer) {
                Ok(0) => return Liveness::Ends,
                Ok(count) => count,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Liveness::Lives,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return Liveness::Ends,
            };
            let liveness = if self.held.is_empty() && self.waits.is_none() {
                self.respond(key, &buffer[..count], heads, delayer.as_deref_mut())
            } else {
                let mut held = std::mem::take(&mut self.held);
                held.extend_from_slice(&buffer[..count]);
                self.respond(key, &held, heads, delayer.as_deref_mut())
            };
            // A short read emptied the socket: later data, and the end of the stream, trigger a new edge.
            if liveness == Liveness::Ends || count < buffer.len() {
                return liveness;
            }
        }
    }

    /// Responds to every complete request in `bytes`; keeps the rest.
    fn respond(
        &mut self,
        key: usize,
        mut bytes: &[u8],
        heads: &mut Heads,
        mut delayer: Option<&mut Delayer>,
    ) -> Liveness {
        while self.waits.is_none() && !self.closing {
            let (taken, wants) = self.reading.advance(heads, bytes);
            bytes = &bytes[taken..];
            let Wants::Answer { bytes: answer, close } = wants else {
                break;
            };
            if let Some(delayer) = delayer.as_deref_mut() {
                delayer.hold((key, self.generation), Instant::now());
                self.waits = Some((answer, close));
                break;
            }
            self.closing |= close;
            if self.write(answer) == Liveness::Ends {
                return Liveness::Ends;
            }
        }
        if !self.closing {
            self.held.extend_from_slice(bytes);
        }
        Liveness::Lives
    }

    fn write(&mut self, answer: &[u8]) -> Liveness {
        if !self.unwritten.is_empty() {
            self.unwritten.extend_from_slice(answer);
            return Liveness::Lives;
        }
        let written = match self.stream.write(answer) {
            Ok(written) => written,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => 0,
            Err(_) => return Liveness::Ends,
        };
        if written < answer.len() {
            self.unwritten.extend_from_slice(&answer[written..]);
            return self.flush();
        }
        self.end_if_closing()
    }

    fn flush(&mut self) -> Liveness {
        while !self.unwritten.is_empty() {
            match self.stream.write(&self.unwritten) {
                Ok(written) => drop(self.unwritten.drain(..written)),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Liveness::Lives,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Liveness::Ends,
            }
        }
        self.end_if_closing()
    }

    fn end_if_closing(&self) -> Liveness {
        if self.closing { Liveness::Ends } else { Liveness::Lives }
    }
}

fn no_descriptors(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    code == Some(rustix::io::Errno::MFILE.raw_os_error()) || code == Some(rustix::io::Errno::NFILE.raw_os_error())
}
