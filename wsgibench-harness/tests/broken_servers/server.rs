//! A scripted server, and a load for it.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use wsgibench_harness::load::{
    self, ErrorKind, Live, Load, LoadPlan, RoundResult, Session, Target, Watch,
    script::{Running, ScriptSession, User, script},
};

/// The handler of one connection.
pub(crate) type Script = dyn Fn(TcpStream) -> std::io::Result<()> + Send + Sync;

/// A server that runs a script on each connection, each in its own thread.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    stop: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(script: impl Fn(TcpStream) -> std::io::Result<()> + Send + Sync + 'static) -> Self {
        Self::on(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), script)
    }

    pub(crate) fn on(
        address: SocketAddr,
        script: impl Fn(TcpStream) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let script: Arc<Script> = Arc::new(script);
        let stopped = Arc::clone(&stop);
        let accepting = thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let script = Arc::clone(&script);
                // Errors caused by the client are not relevant here.
                thread::spawn(move || drop(script(stream)));
            }
        });
        Self {
            address,
            stop,
            accepting: Some(accepting),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.accepting.take() {
            let _ = thread.join();
        }
    }
}

/// Reads one request without a body; returns false at the end of the stream.
pub(crate) fn read_request(stream: &mut TcpStream) -> std::io::Result<bool> {
    let mut seen = Vec::new();
    let mut byte = [0; 512];
    while !seen.ends_with(b"\r\n\r\n") {
        let n = stream.read(&mut byte)?;
        if n == 0 {
            return Ok(false);
        }
        seen.extend_from_slice(&byte[..n]);
    }
    Ok(true)
}

/// Sends these bytes in response to every request on a connection, then closes it if requested.
pub(crate) fn answering(answer: impl Into<Vec<u8>>, close: bool) -> impl Fn(TcpStream) -> std::io::Result<()> {
    let answer = answer.into();
    move |mut stream| {
        while read_request(&mut stream)? {
            stream.write_all(&answer)?;
            if close {
                break;
            }
        }
        Ok(())
    }
}

/// Resets a connection.
pub(crate) fn reset(stream: TcpStream) {
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    drop(stream);
}

pub(crate) fn plan(address: SocketAddr, load: Load, seconds: f64) -> LoadPlan {
    let mut plan = LoadPlan::new(Target::new(address, "broken.test"), load);
    plan.measurement_time = Duration::from_secs_f64(seconds);
    plan
}

/// Runs one round and checks the invariants: it has the requested length, and its counts add up.
pub(crate) fn round(address: SocketAddr, load: Load, seconds: f64) -> RoundResult {
    let round = load::run(&plan(address, load, seconds)).unwrap().rounds.remove(0);
    assert!((round.seconds - seconds).abs() < 1e-6, "{}", round.seconds);
    assert_whole(&round);
    round
}

/// Runs one round that lasts until `conduct` returns.
pub(crate) fn round_while(address: SocketAddr, load: Load, conduct: impl FnOnce(&Watch) + Send) -> RoundResult {
    let mut session = Session::start(&plan(address, load, 0.0)).unwrap();
    let watch = session.watch();
    let round = thread::scope(|scope| {
        scope.spawn(|| {
            conduct(&watch);
            watch.cancel();
        });
        session.round(Duration::from_secs(3_600)).unwrap()
    });
    session.finish().unwrap();
    assert_whole(&round);
    round
}

/// Waits until a running round satisfies `condition`.
pub(crate) fn wait_until(watch: &Watch, condition: impl Fn(Live) -> bool) {
    while !condition(watch.live()) {
        thread::sleep(Duration::from_millis(5));
    }
}

/// Checks that the figures of a round add up.
fn assert_whole(round: &RoundResult) {
    assert!(round.counts.adds_up(), "{:?}", round.counts);
    assert_eq!(round.errors.iter().map(|(_, n)| n).sum::<u64>(), round.counts.failed);
    assert!(round.counts.offered > 0);
}

/// No server in these tests answers quickly, so an engine that uses much CPU time is spinning.
pub(crate) fn assert_idle(round: &RoundResult) {
    let cpu = round.engine_cpu_seconds - round.engine_spin_seconds;
    assert!(cpu < 0.5 * round.seconds, "{cpu} s of CPU time in {} s", round.seconds);
}

/// One round of scripted users in closed loops.
pub(crate) fn scripted<F>(address: SocketAddr, load: Load, seconds: f64, function: F) -> RoundResult
where
    F: for<'a> Fn(&'a mut User) -> Running<'a> + Send + Sync + 'static,
{
    let mut session = ScriptSession::start(&plan(address, load, seconds), script(function)).unwrap();
    let round = session.round(Duration::from_secs_f64(seconds)).unwrap();
    session.finish().unwrap();
    assert!(round.counts.adds_up(), "{:?}", round.counts);
    round
}

pub(crate) fn count(round: &RoundResult, kind: ErrorKind) -> u64 {
    round.errors.iter().find(|(k, _)| *k == kind).map_or(0, |(_, n)| *n)
}

/// Checks that all failures are of this kind.
pub(crate) fn assert_only(round: &RoundResult, kind: ErrorKind) {
    assert!(
        count(round, kind) > 0,
        "no {kind:?}: {:?} {:?}",
        round.counts,
        round.errors
    );
    assert_eq!(count(round, kind), round.counts.failed, "{:?}", round.errors);
    assert_eq!(round.counts.done, 0, "{:?}", round.counts);
}

/// Checks that every request was completed, except those in flight at the end.
pub(crate) fn assert_fine(round: &RoundResult) {
    assert!(round.counts.done > 0, "{:?} {:?}", round.counts, round.errors);
    assert_eq!(round.counts.failed, 0, "{:?} {:?}", round.errors, round.failed_checks);
    assert_eq!(round.counts.timed_out, 0, "{:?}", round.counts);
}
