//! Requests that a server received and never answered: each is an error, and none is hidden by a retry.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use wsgibench_harness::load::{ErrorKind, Fault, Load, Values, get, post};

use super::server::{Server, count, read_request, round, scripted};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK";

/// A parent that respawns two workers, which share its listener; see `prefork.py`.
struct Prefork {
    parent: Child,
    address: SocketAddr,
    log: tempfile::NamedTempFile,
}

impl Prefork {
    fn start() -> Self {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut parent = Command::new("python3")
            .args(["-c", include_str!("prefork.py")])
            .arg(log.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 runs the pre-fork server of this test");
        let mut line = String::new();
        BufReader::new(parent.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = format!("127.0.0.1:{}", line.trim()).parse().unwrap();
        Self { parent, address, log }
    }

    /// Requests begun and completed, by worker.
    fn counts(&self) -> BTreeMap<i32, (u64, u64)> {
        let mut counts = BTreeMap::<i32, (u64, u64)>::new();
        for line in std::fs::read_to_string(self.log.path()).unwrap().lines() {
            let (event, worker) = line.split_once(' ').unwrap();
            let entry = counts.entry(worker.parse().unwrap()).or_default();
            match event {
                "begun" => entry.0 += 1,
                _ => entry.1 += 1,
            }
        }
        counts
    }

    /// Waits for this many requests in progress, kills the worker with the most of them, and returns its pid.
    fn kill_a_busy_worker(&self, requests: u64) -> i32 {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            assert!(Instant::now() < deadline, "{:?}", self.counts());
            let counts = self.counts();
            let under_way = |(begun, answered): &(u64, u64)| begun - answered;
            if counts.values().map(under_way).sum::<u64>() == requests {
                let (worker, _) = counts.iter().max_by_key(|(_, counts)| under_way(counts)).unwrap();
                let pid = rustix::process::Pid::from_raw(*worker).unwrap();
                rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
                return *worker;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Prefork {
    fn drop(&mut self) {
        // The parent exits, with its workers, when its standard input is closed.
        let _ = self.parent.kill();
        let _ = self.parent.wait();
    }
}

#[test]
fn killed_worker_loses_the_requests_in_its_log() {
    for by_script in [false, true] {
        let server = Prefork::start();
        let address = server.address;
        let load = Load::closed(16).request(get("/work")).fault(Fault::kill_worker());
        let running = thread::spawn(move || {
            if by_script {
                scripted(address, load, 6.0, |user| {
                    Box::pin(async move {
                        user.get("/work").await?;
                        Ok(())
                    })
                })
            } else {
                round(address, load, 6.0)
            }
        });
        let killed = server.kill_a_busy_worker(16);
        let round = running.join().unwrap();
        let (begun, answered) = server.counts()[&killed];
        assert!(begun > answered, "{begun} {answered}");
        assert_eq!(
            round.counts.failed,
            begun - answered,
            "{:?} {:?}",
            round.counts,
            round.errors
        );
        assert_eq!(
            (round.counts.retried, round.counts.timed_out),
            (0, 0),
            "scripted: {by_script}"
        );
    }
}

/// Number of requests by path.
type RequestsByPath = Arc<Mutex<BTreeMap<String, u64>>>;

/// A server that handles each POST and drops one response in twenty.
fn forgetful(by_reset: bool) -> (Server, RequestsByPath, Arc<AtomicU64>) {
    let works = Arc::new(Mutex::new(BTreeMap::new()));
    let dropped = Arc::new(AtomicU64::new(0));
    let (done, lost) = (Arc::clone(&works), Arc::clone(&dropped));
    let number = AtomicU64::new(0);
    let server = Server::start(move |mut stream: TcpStream| {
        let mut buffer = [0; 4096];
        loop {
            let n = stream.read(&mut buffer)?;
            if n == 0 {
                return Ok(());
            }
            let text = String::from_utf8_lossy(&buffer[..n]);
            let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
            *done.lock().unwrap().entry(path).or_default() += 1;
            if number.fetch_add(1, Ordering::Relaxed) % 20 == 19 {
                lost.fetch_add(1, Ordering::Relaxed);
                if by_reset {
                    super::server::reset(stream);
                }
                return Ok(());
            }
            thread::sleep(Duration::from_millis(1));
            stream.write_all(OK)?;
        }
    });
    (server, works, dropped)
}

#[test]
fn post_with_a_dropped_response_is_an_error_without_a_retry() {
    for (by_script, by_reset) in [(false, false), (false, true), (true, false), (true, true)] {
        let (server, works, dropped) = forgetful(by_reset);
        let round = if by_script {
            scripted(server.address, Load::closed(4).for_script(), 1.0, |user| {
                Box::pin(async move {
                    let order: u64 = rand::RngExt::random(user.rng());
                    user.post(&format!("/order/{order}")).await?;
                    Ok(())
                })
            })
        } else {
            let load = Load::closed(4).request(post("/order/{id}").values("id", Values::Counter));
            round(server.address, load, 1.0)
        };
        let works = works.lock().unwrap();
        let dropped = dropped.load(Ordering::Relaxed);
        let about = format!(
            "by script {by_script}, by reset {by_reset}: {:?} {:?}",
            round.counts, round.errors
        );
        assert!(
            works.values().all(|times| *times == 1),
            "some work was done twice; {about}"
        );
        assert_eq!(round.counts.retried, 0, "{about}");
        // Responses dropped before the round began or after it ended are not in its counts.
        assert!(
            round.counts.failed > 0 && round.counts.failed <= dropped,
            "{dropped} dropped; {about}"
        );
    }
}

#[test]
fn unanswered_get_is_lost() {
    let server = Server::start(|mut stream| {
        read_request(&mut stream)?;
        stream.write_all(OK)?;
        read_request(&mut stream).map(drop)
    });
    let round = round(server.address, Load::closed(4).request(get("/")), 0.5);
    assert!(
        count(&round, ErrorKind::PrematureEnd) > 0,
        "{:?} {:?}",
        round.counts,
        round.errors
    );
    assert_eq!(round.counts.retried, 0, "{:?}", round.counts);
}
