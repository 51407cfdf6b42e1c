//! Slow clients in the background of a load. One thread transfers each client's share of bytes at every tick.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use crate::{
    load::{
        Slow, SlowKind, Target,
        probe::{Stream, closing_head},
        tls::Connector,
    },
    store::record::SlowRecord,
};

/// Time between two transfers.
const TICK: Duration = Duration::from_millis(50);
/// Timeout of a connection attempt; with a full backlog, the kernel retries after one and three seconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum wait of the load until all clients are connected.
const GATHERING: Duration = Duration::from_secs(5);
/// Time between the connection of all clients and the start of the load.
const SETTLING: Duration = Duration::from_secs(1);
/// Receive buffer of a reader; small, so that the kernel does not accept data that the client has not read.
const BUFFER: usize = 4_096;

/// Slow clients, which stay connected until this is dropped.
pub(super) struct SlowClients {
    over: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<SlowRecord>>>,
    missing: Option<String>,
    thread: Option<JoinHandle<()>>,
}

impl SlowClients {
    /// Connects the slow clients and waits until they are connected; `None` for a load without any.
    ///
    /// # Errors
    /// Returns an error if the thread cannot be started, or the TLS settings cannot be used.
    pub(super) fn spawn(slow: &[Slow], target: &Target) -> std::io::Result<Option<Self>> {
        if slow.is_empty() {
            return Ok(None);
        }
        let over = Arc::new(AtomicBool::new(false));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut groups = slow
            .iter()
            .map(|slow| Group::new(slow, target))
            .collect::<std::io::Result<Vec<Group>>>()?;
        let (ended, records) = (Arc::clone(&over), Arc::clone(&seen));
        let thread = thread::Builder::new().name("slow clients".to_owned()).spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                for group in &mut groups {
                    group.turn(&ended);
                }
                *records.lock().unwrap_or_else(PoisonError::into_inner) = groups.iter().map(Group::record).collect();
                thread::sleep(TICK);
            }
        })?;
        let mut clients = Self {
            over,
            seen,
            missing: None,
            thread: Some(thread),
        };
        let deadline = Instant::now() + GATHERING;
        while clients.absent().is_some() && Instant::now() < deadline {
            thread::sleep(TICK);
        }
        thread::sleep(SETTLING);
        clients.missing = clients.absent();
        Ok(Some(clients))
    }

    /// Returns a message about groups whose clients were not all connected when the load began; `None` if all were.
    pub(super) fn missing(&self) -> Option<&str> {
        self.missing.as_deref()
    }

    /// A group counts as connected once all its clients were, even if some have finished since.
    fn absent(&self) -> Option<String> {
        let seen = self.look();
        if seen.is_empty() {
            return Some("no slow client had tried to connect".to_owned());
        }
        let short = seen
            .iter()
            .filter(|group| group.there + group.finished + group.sent_away < group.wanted)
            .map(|group| format!("{} of {}", group.there, group.name));
        let short = short.collect::<Vec<_>>().join(", ");
        (!short.is_empty()).then(|| format!("only {short} were connected when the load began"))
    }

    /// Returns the current state of each group.
    pub(super) fn look(&self) -> Vec<SlowRecord> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for SlowClients {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Group {
    slow: Slow,
    address: SocketAddr,
    /// Only for a server that speaks TLS.
    connector: Option<Connector>,
    head: Vec<u8>,
    clients: Vec<Option<Client>>,
    finished: u64,
    sent_away: u64,
    not_let_in: u64,
}

struct Client {
    stream: Stream,
    /// Whether the connection is established, TLS included.
    connected: bool,
    /// Start of the connection attempt; once established, the time of that.
    since: Instant,
    /// Bytes read or written so far.
    moved: u64,
    /// Bytes of the head sent so far.
    begun: usize,
}

/// Result of a client's turn.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    Stays,
    Finished,
    SentAway,
    NotLetIn,
}

impl Group {
    fn new(slow: &Slow, target: &Target) -> std::io::Result<Self> {
        let connector = Connector::new(target).map_err(std::io::Error::other)?;
        let host = &target.host;
        let head = match slow.kind {
            SlowKind::Reader => closing_head("GET", &slow.path, host, ""),
            SlowKind::Writer { body } => {
                let lines = format!("Content-Type: application/octet-stream\r\nContent-Length: {body}\r\n");
                closing_head("POST", &slow.path, host, &lines)
            }
        };
        Ok(Self {
            address: target.address,
            connector,
            head: head.into_bytes(),
            clients: (0..slow.count).map(|_| None).collect(),
            slow: slow.clone(),
            finished: 0,
            sent_away: 0,
            not_let_in: 0,
        })
    }

    fn turn(&mut self, over: &AtomicBool) {
        for place in &mut self.clients {
            if over.load(Ordering::Relaxed) {
                return;
            }
            let Some(client) = place else {
                match Client::arrive(self.address, self.connector.as_ref()) {
                    Ok(client) => *place = Some(client),
                    Err(_) => self.not_let_in += 1,
                }
                continue;
            };
            match client.turn(&self.slow, &self.head) {
                Turn::Stays => {}
                Turn::Finished => {
                    self.finished += 1;
                    *place = None;
                }
                Turn::SentAway => {
                    self.sent_away += 1;
                    *place = None;
                }
                Turn::NotLetIn => {
                    self.not_let_in += 1;
                    *place = None;
                }
            }
        }
    }

    fn record(&self) -> SlowRecord {
        SlowRecord {
            name: self.slow.name(),
            there: self.clients.iter().flatten().filter(|client| client.connected).count() as u64,
            wanted: self.slow.count as u64,
            finished: self.finished,
            sent_away: self.sent_away,
            not_let_in: self.not_let_in,
        }
    }
}

impl Client {
    /// Starts to connect without waiting, so that a stalled server has attempts of all clients at once.
    fn arrive(address: SocketAddr, connector: Option<&Connector>) -> std::io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_recv_buffer_size(BUFFER)?;
        match socket.connect(&address.into()) {
            Err(error) if is_later(&error) || error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
            outcome => outcome?,
        }
        Ok(Self {
            stream: Stream::over(socket.into(), connector)?,
            connected: false,
            since: Instant::now(),
            moved: 0,
            begun: 0,
        })
    }

    /// Checks whether the connection attempt has ended.
    fn shake_hands(&mut self) -> Turn {
        if !matches!(self.stream.socket().take_error(), Ok(None)) {
            return Turn::NotLetIn;
        }
        let shaken = if self.stream.socket().peer_addr().is_ok() {
            self.stream.shake_hands()
        } else {
            Ok(false)
        };
        let Ok(shaken) = shaken else {
            return Turn::NotLetIn;
        };
        if shaken {
            self.connected = true;
            self.since = Instant::now();
        } else if self.since.elapsed() > CONNECT_TIMEOUT {
            return Turn::NotLetIn;
        }
        Turn::Stays
    }

    fn turn(&mut self, slow: &Slow, head: &[u8]) -> Turn {
        if !self.connected {
            return self.shake_hands();
        }
        if self.begun < head.len() {
            match self.stream.write(&head[self.begun..]) {
                Ok(n) => self.begun += n,
                Err(error) if is_later(&error) => {}
                Err(_) => return Turn::SentAway,
            }
            return Turn::Stays;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "bytes by now, at a low speed"
        )]
        let due = (self.since.elapsed().as_secs_f64() * slow.bytes_per_second as f64) as u64;
        let share = usize::try_from(due.saturating_sub(self.moved))
            .unwrap_or(0)
            .min(1 << 16);
        match slow.kind {
            SlowKind::Reader => self.read(share),
            SlowKind::Writer { body } => self.write(share, body),
        }
    }

    fn read(&mut self, share: usize) -> Turn {
        if share == 0 {
            return Turn::Stays;
        }
        let mut piece = vec![0; share];
        match self.stream.read(&mut piece) {
            Ok(0) => Turn::Finished,
            Ok(n) => {
                self.moved += n as u64;
                Turn::Stays
            }
            Err(error) if is_later(&error) => Turn::Stays,
            Err(_) => Turn::SentAway,
        }
    }

    fn write(&mut self, share: usize, body: u64) -> Turn {
        // A response or close before the end of the body disconnects the client; after it, the client is finished.
        let mut piece = [0; 4_096];
        let still_open = matches!(self.stream.read(&mut piece), Err(error) if is_later(&error));
        if !still_open {
            return if self.moved >= body {
                Turn::Finished
            } else {
                Turn::SentAway
            };
        }
        let left = usize::try_from(body.saturating_sub(self.moved)).unwrap_or(usize::MAX);
        let share = share.min(left);
        if share == 0 {
            return Turn::Stays;
        }
        match self.stream.write(&vec![b's'; share]) {
            Ok(n) => {
                self.moved += n as u64;
                Turn::Stays
            }
            Err(error) if is_later(&error) => Turn::Stays,
            Err(_) => Turn::SentAway,
        }
    }
}

fn is_later(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    fn target(listener: &TcpListener) -> Target {
        let address = listener.local_addr().unwrap();
        Target::new(address, address.to_string())
    }

    #[test]
    fn writer_sends_its_body_slowly() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let slow = [Slow::writers(1, "/up", 1_000).bytes_per_second(500)];
        let slow_clients = SlowClients::spawn(&slow, &target(&listener)).unwrap().unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        let mut bytes = Vec::new();
        // It was connected a second ago: about half of its body has arrived.
        let _ = stream.read_to_end(&mut bytes);
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with("POST /up HTTP/1.1\r\n") && head.contains("Content-Length: 1000"),
            "{head}"
        );
        assert!(!body.is_empty() && body.len() < 1_000, "{}", body.len());
        let seen = slow_clients.look();
        assert_eq!((seen[0].there, seen[0].wanted, seen[0].sent_away), (1, 1, 0));
    }

    #[test]
    fn disconnected_reader_reconnects() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let slow = [Slow::readers(1, "/down")];
        let slow_clients = SlowClients::spawn(&slow, &target(&listener)).unwrap().unwrap();
        for _ in 0..2 {
            let (stream, _) = listener.accept().unwrap();
            drop(stream);
        }
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            let seen = slow_clients.look();
            if seen[0].finished + seen[0].sent_away >= 2 {
                return;
            }
            thread::sleep(TICK);
        }
        panic!("{:?}", slow_clients.look());
    }

    #[test]
    fn clients_of_a_stalled_server_connect_concurrently_and_are_reported() {
        use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};
        let listener = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&listener, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        // The backlog accepts one or two of the 40 clients; the others get no response.
        listen(&listener, 0).unwrap();
        let address = SocketAddr::try_from(getsockname(&listener).unwrap()).unwrap();
        let target = Target::new(address, address.to_string());
        let slow_clients = SlowClients::spawn(&[Slow::readers(40, "/down")], &target)
            .unwrap()
            .unwrap();
        let missing = slow_clients.missing().unwrap();
        assert!(
            missing.contains("of 40 slow readers of /down were connected"),
            "{missing}"
        );
        let seen = slow_clients.look();
        // All attempts are still pending: none was abandoned for the next one.
        assert_eq!((seen[0].not_let_in, seen[0].sent_away), (0, 0), "{seen:?}");
    }

    #[test]
    fn clients_that_connect_are_not_missing() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let slow_clients = SlowClients::spawn(&[Slow::readers(20, "/down")], &target(&listener))
            .unwrap()
            .unwrap();
        assert_eq!(slow_clients.missing(), None);
        assert_eq!(slow_clients.look()[0].there, 20);
    }

    #[test]
    fn load_without_slow_clients_starts_none() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(SlowClients::spawn(&[], &target(&listener)).unwrap().is_none());
    }
}
