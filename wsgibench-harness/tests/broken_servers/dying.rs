//! Servers that are not available, or not for long.

use std::{
    io::Write,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};
use wsgibench_harness::load::{ErrorKind, Load, get};

use super::server::{Server, assert_idle, assert_only, count, read_request, reset, round, round_while, wait_until};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK";

/// An address without a listener.
fn nobody() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap()
}

#[test]
fn refused_connections_are_counted_without_spinning() {
    let closed = round(nobody(), Load::closed(8).request(get("/")), 0.6);
    assert_only(&closed, ErrorKind::Refused);
    assert_idle(&closed);
    assert_eq!(closed.connections.established, 0);
    // Every loop waits between attempts: 8 loops, an attempt every 10 to 100 ms.
    assert!(closed.counts.offered <= 8 * 60, "{:?}", closed.counts);

    let open = round(nobody(), Load::rate(100).request(get("/")), 0.6);
    assert_only(&open, ErrorKind::Refused);
    assert_eq!(open.counts.offered, 60);

    let users = Load::users(3)
        .every(Duration::from_millis(100))
        .arriving_for(Duration::from_millis(200))
        .requests_per_user(2)
        .request(get("/"));
    let users = round(nobody(), users, 0.8);
    assert_only(&users, ErrorKind::Refused);
    let who = users.users.unwrap();
    assert_eq!((who.arrived, who.finished, who.active), (6, 6, 0));
    assert_eq!(users.counts.offered, 12);
}

#[test]
fn full_backlog_is_a_connect_timeout() {
    let listener = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&listener, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    listen(&listener, 0).unwrap();
    let address = SocketAddr::try_from(getsockname(&listener).unwrap()).unwrap();
    // Fills the queue, from which no connection is accepted.
    let fillers: Vec<_> = (0..4)
        .filter_map(|_| TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok())
        .collect();
    let mut load = Load::closed(4).request(get("/"));
    load.connect_timeout = Duration::from_millis(200);
    let round = round(address, load, 1.0);
    assert!(count(&round, ErrorKind::ConnectTimeout) > 0, "{:?}", round.errors);
    assert_eq!(round.counts.done, 0);
    assert_idle(&round);
    drop(fillers);
}

/// A server that responds until it is stopped, which resets its connections.
struct Mortal {
    server: Server,
    dead: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

impl Mortal {
    fn on(address: SocketAddr) -> Self {
        let dead = Arc::new(AtomicBool::new(false));
        let streams = Arc::new(Mutex::new(Vec::new()));
        let (is_dead, kept) = (Arc::clone(&dead), Arc::clone(&streams));
        let server = Server::on(address, move |mut stream| {
            kept.lock().unwrap().push(stream.try_clone()?);
            while !is_dead.load(Ordering::Relaxed) && read_request(&mut stream)? {
                // Slow enough to leave the engine idle most of the time.
                thread::sleep(Duration::from_millis(2));
                stream.write_all(OK)?;
            }
            Ok(())
        });
        Self { server, dead, streams }
    }

    fn address(&self) -> SocketAddr {
        self.server.address
    }

    fn die(self) {
        self.dead.store(true, Ordering::Relaxed);
        drop(self.server);
        for stream in self.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
            reset(stream);
        }
    }
}

/// Errors beyond those of requests that were under way when the server died.
const AFTER_DEATH: u64 = 64;

fn loads() -> [Load; 2] {
    [
        Load::closed(8).request(get("/")),
        Load::rate(200).max_connections(8).request(get("/")),
    ]
}

#[test]
fn server_that_dies_is_reported_to_the_end_of_the_round() {
    for load in loads() {
        let server = Mortal::on((Ipv4Addr::LOCALHOST, 0).into());
        let round = round_while(server.address(), load, |watch| {
            wait_until(watch, |live| live.done > 0);
            server.die();
            let before = watch.live().errors;
            wait_until(watch, |live| live.errors > before + AFTER_DEATH);
        });
        assert!(round.counts.done > 0, "{:?}", round.counts);
        assert!(count(&round, ErrorKind::Refused) > 0, "{:?}", round.errors);
        assert_idle(&round);
    }
}

#[test]
fn server_that_returns_is_loaded_again() {
    for load in loads() {
        let server = Mortal::on((Ipv4Addr::LOCALHOST, 0).into());
        let address = server.address();
        let round = round_while(address, load, |watch| {
            wait_until(watch, |live| live.done > 0);
            server.die();
            let before = watch.live();
            wait_until(watch, |live| live.errors > before.errors + AFTER_DEATH);
            let dead = watch.live().done;
            // At most one response a connection was under way.
            assert!(dead <= before.done + 8, "{before:?}, then {dead} responses");
            let again = Mortal::on(address);
            wait_until(watch, |live| live.done > dead);
            again.die();
        });
        assert!(count(&round, ErrorKind::Refused) > 0, "{:?}", round.errors);
        assert_idle(&round);
    }
}
