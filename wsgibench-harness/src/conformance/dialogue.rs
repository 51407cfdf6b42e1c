//! The socket half: what is said on a connection, and a transcript of what came back and when.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use super::reading::{Reading, read};

/// How long an answer may take before the server counts as silent.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long nothing must come before it is believed that nothing more comes.
const QUIET: Duration = Duration::from_millis(300);
/// What is read at most: no rule wants more.
const MOST: usize = 4 << 20;

/// Whom the dialogues are held with.
#[derive(Clone, Debug)]
pub(super) struct Site {
    address: SocketAddr,
    /// For `Host`.
    pub(super) host: String,
    /// A path that a GET answers with 200.
    pub(super) path: String,
}

impl Site {
    pub(super) fn new(address: SocketAddr, path: &str) -> Self {
        Self {
            address,
            host: address.to_string(),
            path: path.to_owned(),
        }
    }

    /// A request head without its last empty line.
    pub(super) fn head(&self, line: &str) -> String {
        format!("{line}\r\nHost: {}\r\n", self.host)
    }

    /// A whole GET of `target`.
    pub(super) fn get(&self, target: &str) -> String {
        self.head(&format!("GET {target} HTTP/1.1")) + "\r\n"
    }

    /// A whole POST to `target` with these further lines (each with its end) and this body.
    pub(super) fn post(&self, target: &str, lines: &str, body: &str) -> String {
        self.head(&format!("POST {target} HTTP/1.1")) + lines + "\r\n" + body
    }
}

/// One step of a dialogue.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Says this.
    Say(Vec<u8>),
    /// Listens until so many whole answers have come, in all.
    Answers(usize),
    /// Listens until an interim answer (100) has come, for so long.
    Interim(Duration),
    /// So many other connections each say this, before all else, and stay.
    SlowClients(usize, Vec<u8>),
}

/// What is said on one connection.
#[derive(Clone, Debug)]
pub(super) struct Dialogue {
    /// The methods of the requests, in order: without them a HEAD's answer cannot be read.
    methods: Vec<&'static str>,
    steps: Vec<Step>,
}

/// What came of a dialogue.
#[derive(Clone, Debug)]
pub(super) struct Transcript {
    /// All that came, with the moment of each piece since the first word was said.
    pub(super) pieces: Vec<(Duration, Vec<u8>)>,
    /// How it ended.
    pub(super) end: End,
    /// From the last word said until the first byte after it.
    pub(super) first_byte: Option<Duration>,
    methods: Vec<&'static str>,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The server closed it.
    Closed,
    /// The server reset it.
    Reset,
    /// It is open still, and nothing more comes.
    Open,
    /// It never came about.
    Refused,
}

impl Dialogue {
    /// Says all at once, and listens for the answers to these methods.
    pub(super) fn ask(methods: &[&'static str], said: impl Into<Vec<u8>>) -> Self {
        Self::of(methods, vec![Step::Say(said.into()), Step::Answers(methods.len())])
    }

    pub(super) fn of(methods: &[&'static str], steps: Vec<Step>) -> Self {
        Self {
            methods: methods.to_vec(),
            steps,
        }
    }

    /// Says it and listens.
    pub(super) fn hold(&self, site: &Site) -> Transcript {
        let mut transcript = Transcript {
            pieces: Vec::new(),
            end: End::Refused,
            first_byte: None,
            methods: self.methods.clone(),
        };
        // A crowd is there first: a server that takes connections in turn has it in hand by the time that the other comes.
        let crowd: Vec<TcpStream> = self.crowd(site);
        let Ok(stream) = TcpStream::connect_timeout(&site.address, PATIENCE) else {
            return transcript;
        };
        transcript.end = End::Open;
        let mut talk = Talk {
            stream,
            transcript,
            begun: Instant::now(),
            said: None,
        };
        for step in &self.steps {
            match step {
                Step::Say(bytes) => talk.say(bytes),
                Step::Answers(n) => talk.listen(PATIENCE, |reading| {
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
        // Whatever comes now was not asked for.
        talk.listen_for(QUIET);
        let _ = talk.stream.shutdown(Shutdown::Both);
        drop(crowd);
        talk.transcript
    }

    fn crowd(&self, site: &Site) -> Vec<TcpStream> {
        let mut crowd = Vec::new();
        for step in &self.steps {
            if let Step::SlowClients(n, bytes) = step {
                crowd.extend((0..*n).filter_map(|_| joined(site, bytes)));
                std::thread::sleep(QUIET);
            }
        }
        crowd
    }
}

/// One of a crowd.
fn joined(site: &Site, bytes: &[u8]) -> Option<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&site.address, QUIET).ok()?;
    stream.write_all(bytes).ok()?;
    Some(stream)
}

struct Talk {
    stream: TcpStream,
    transcript: Transcript,
    begun: Instant,
    said: Option<Instant>,
}

impl Talk {
    fn say(&mut self, bytes: &[u8]) {
        let _ = self.stream.set_nodelay(true);
        let _ = self.stream.set_write_timeout(Some(PATIENCE));
        // A server that has closed by now has said all that it wants to: what it said is what counts.
        let _ = self.stream.write_all(bytes);
        self.said = Some(Instant::now());
        self.transcript.first_byte = None;
    }

    fn listen(&mut self, patience: Duration, enough: impl Fn(&Reading) -> bool) {
        let deadline = Instant::now() + patience;
        while self.transcript.end == End::Open && !enough(&self.transcript.reading()) {
            if !self.hear(deadline) {
                break;
            }
        }
    }

    fn listen_for(&mut self, time: Duration) {
        let deadline = Instant::now() + time;
        while self.transcript.end == End::Open && self.hear(deadline) {}
    }

    /// Waits for one piece; `false` when the time is over.
    fn hear(&mut self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let length: usize = self.transcript.pieces.iter().map(|(_, piece)| piece.len()).sum();
        if left.is_zero() || length > MOST || self.stream.set_read_timeout(Some(left)).is_err() {
            return false;
        }
        let mut piece = vec![0; 64 << 10];
        match self.stream.read(&mut piece) {
            Ok(0) => self.transcript.end = End::Closed,
            Ok(n) => {
                piece.truncate(n);
                if let (None, Some(said)) = (self.transcript.first_byte, self.said) {
                    self.transcript.first_byte = Some(said.elapsed());
                }
                self.transcript.pieces.push((self.begun.elapsed(), piece));
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => self.transcript.end = End::Reset,
        }
        true
    }
}

impl Transcript {
    /// The server has ended the connection.
    pub(super) fn ended(&self) -> bool {
        matches!(self.end, End::Closed | End::Reset)
    }

    /// The answers in it.
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
