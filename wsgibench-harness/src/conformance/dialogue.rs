//! Runs a dialogue on a socket and records a transcript with timestamps. Dialogues write their own requests, since many of them
//! break the rules of HTTP on purpose.

use std::{
    io::Write as _,
    net::{Shutdown, SocketAddr},
    time::{Duration, Instant},
};

use crate::load::{
    Target,
    probe::{Received, Stream},
    tls::Connector,
};

use super::reading::{Reading, read};

/// Response timeout, after which the server counts as silent.
const TIMEOUT: Duration = Duration::from_secs(4);
/// Idle time after which no more data is expected.
const QUIET: Duration = Duration::from_millis(300);
/// Maximum number of bytes read from a connection.
const MOST: usize = 4 << 20;

/// The server under test.
#[derive(Clone, Debug)]
pub(super) struct Site {
    address: SocketAddr,
    /// Only for a server that speaks TLS.
    connector: Option<Connector>,
    /// Value of the `Host` header.
    pub(super) host: String,
    /// A path whose GET returns 200.
    pub(super) path: String,
}

impl Site {
    pub(super) fn new(target: &Target, path: &str) -> Self {
        Self {
            address: target.address,
            // The server became ready over TLS with the same settings: they can be used.
            connector: Connector::new(target).ok().flatten(),
            host: target.host.clone(),
            path: path.to_owned(),
        }
    }

    fn connect(&self, within: Duration) -> std::io::Result<Stream> {
        Stream::connect(self.address, self.connector.as_ref(), within)
    }

    /// Returns a request head without the final empty line.
    pub(super) fn head(&self, line: &str) -> String {
        format!("{line}\r\nHost: {}\r\n", self.host)
    }

    /// Returns a complete GET request for `target`.
    pub(super) fn get(&self, target: &str) -> String {
        self.head(&format!("GET {target} HTTP/1.1")) + "\r\n"
    }

    /// Returns a complete POST request to `target`; each of the extra header `lines` ends with CRLF.
    pub(super) fn post(&self, target: &str, lines: &str, body: &str) -> String {
        self.head(&format!("POST {target} HTTP/1.1")) + lines + "\r\n" + body
    }
}

/// One step of a dialogue.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Reads until this many complete responses have arrived in total.
    Answers(usize),
    /// Reads until an interim response (100) arrives, up to this timeout.
    Interim(Duration),
    /// Opens this many other connections first; each sends these bytes and stays open.
    SlowClients(usize, Vec<u8>),
}

/// The steps run on one connection.
#[derive(Clone, Debug)]
pub(super) struct Dialogue {
    /// Request methods in order, required to parse responses to HEAD.
    methods: Vec<&'static str>,
    steps: Vec<Step>,
}

/// The recorded result of a dialogue.
#[derive(Clone, Debug)]
pub(super) struct Transcript {
    /// Received data with its arrival time since the first send.
    pub(super) pieces: Vec<(Duration, Vec<u8>)>,
    /// The connection's final state.
    pub(super) end: End,
    /// Time from the last send to the first byte after it.
    pub(super) first_byte: Option<Duration>,
    methods: Vec<&'static str>,
}

/// The final state of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The server closed it.
    Closed,
    /// The server reset it.
    Reset,
    /// Still open, with no more data.
    Open,
    /// The connection could not be established.
    Refused,
}

impl Dialogue {
    /// Sends everything at once and reads one response for each method.
    pub(super) fn ask(methods: &[&'static str], request: impl Into<Vec<u8>>) -> Self {
        Self::of(methods, vec![Step::Send(request.into()), Step::Answers(methods.len())])
    }

    pub(super) fn of(methods: &[&'static str], steps: Vec<Step>) -> Self {
        Self {
            methods: methods.to_vec(),
            steps,
        }
    }

    /// Runs the dialogue and returns its transcript.
    pub(super) fn hold(&self, site: &Site) -> Transcript {
        let mut transcript = Transcript {
            pieces: Vec::new(),
            end: End::Refused,
            first_byte: None,
            methods: self.methods.clone(),
        };
        // Slow clients connect first, so that a server that accepts in order holds them before the tested connection.
        let slow_clients = self.connect_slow_clients(site);
        let Ok(stream) = site.connect(TIMEOUT) else {
            return transcript;
        };
        transcript.end = End::Open;
        let mut talk = Talk {
            stream,
            transcript,
            begun: Instant::now(),
            sent: None,
        };
        for step in &self.steps {
            match step {
                Step::Send(bytes) => talk.send(bytes),
                Step::Answers(n) => talk.listen(TIMEOUT, |reading| {
                    reading.answers.iter().filter(|a| a.whole).count() >= *n
                }),
                Step::Interim(time) => {
                    talk.listen(*time, |reading| {
                        !reading.interim.is_empty() || !reading.answers.is_empty()
                    });
                }
                Step::SlowClients(..) => {}
            }
        }
        // Anything that arrives now is unsolicited.
        talk.listen_for(QUIET);
        let _ = talk.stream.socket().shutdown(Shutdown::Both);
        drop(slow_clients);
        talk.transcript
    }

    fn connect_slow_clients(&self, site: &Site) -> Vec<Stream> {
        let mut clients = Vec::new();
        for step in &self.steps {
            if let Step::SlowClients(n, bytes) = step {
                clients.extend((0..*n).filter_map(|_| connect_slow_client(site, bytes)));
                std::thread::sleep(QUIET);
            }
        }
        clients
    }
}

/// Connects one slow client.
fn connect_slow_client(site: &Site, bytes: &[u8]) -> Option<Stream> {
    let mut stream = site.connect(TIMEOUT).ok()?;
    stream.write_all(bytes).ok()?;
    Some(stream)
}

struct Talk {
    stream: Stream,
    transcript: Transcript,
    begun: Instant,
    sent: Option<Instant>,
}

impl Talk {
    fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.socket().set_nodelay(true);
        let _ = self.stream.socket().set_write_timeout(Some(TIMEOUT));
        // A server may respond and close before the request is complete: the response counts, not the write error.
        let _ = self.stream.write_all(bytes);
        self.sent = Some(Instant::now());
        self.transcript.first_byte = None;
    }

    fn listen(&mut self, timeout: Duration, enough: impl Fn(&Reading) -> bool) {
        let deadline = Instant::now() + timeout;
        while self.transcript.end == End::Open && !enough(&self.transcript.reading()) {
            if !self.receive(deadline) {
                break;
            }
        }
    }

    fn listen_for(&mut self, time: Duration) {
        let deadline = Instant::now() + time;
        while self.transcript.end == End::Open && self.receive(deadline) {}
    }

    /// Waits for data; returns `false` after the deadline.
    fn receive(&mut self, deadline: Instant) -> bool {
        let length: usize = self.transcript.pieces.iter().map(|(_, piece)| piece.len()).sum();
        if length > MOST {
            return false;
        }
        let mut piece = vec![0; 64 << 10];
        match self.stream.read_until(deadline, &mut piece) {
            Received::Closed => self.transcript.end = End::Closed,
            Received::Reset => self.transcript.end = End::Reset,
            Received::Nothing => return false,
            Received::Bytes(n) => {
                piece.truncate(n);
                if let (None, Some(sent)) = (self.transcript.first_byte, self.sent) {
                    self.transcript.first_byte = Some(sent.elapsed());
                }
                self.transcript.pieces.push((self.begun.elapsed(), piece));
            }
        }
        true
    }
}

impl Transcript {
    /// Returns whether the server closed or reset the connection.
    pub(super) fn ended(&self) -> bool {
        matches!(self.end, End::Closed | End::Reset)
    }

    /// Parses the received bytes.
    pub(super) fn reading(&self) -> Reading {
        let bytes: Vec<u8> = self.pieces.iter().flat_map(|(_, piece)| piece).copied().collect();
        read(&bytes, self.ended(), &self.methods)
    }

    #[cfg(test)]
    pub(super) fn recorded(methods: &[&'static str], bytes: &[u8], end: End) -> Self {
        Self {
            pieces: vec![(Duration::ZERO, bytes.to_vec())],
            end,
            first_byte: Some(Duration::from_millis(1)),
            methods: methods.to_vec(),
        }
    }
}
