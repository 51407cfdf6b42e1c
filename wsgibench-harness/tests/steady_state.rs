//! A load in steady state needs no allocations per request, and a finished load leaves no descriptors or threads.
//!
//! The counting allocator covers the whole process, so the tests run one at a time and the server does not allocate.

use std::{
    alloc::System,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use wsgibench_harness::load::{Load, LoadPlan, Request, Session, Target, Values, get};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Responds to each read, without allocations once a connection is established. With `in_pieces` each response is sent in
/// two writes that split its head.
fn server(in_pieces: bool) -> SocketAddr {
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nOK";
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut stream = stream;
                let mut buffer = [0; 4096];
                stream.set_nodelay(true)?;
                while stream.read(&mut buffer)? > 0 {
                    if in_pieces {
                        stream.write_all(&ANSWER[..20])?;
                        // Long enough that the first part is usually read separately.
                        thread::sleep(Duration::from_micros(50));
                        stream.write_all(&ANSWER[20..])?;
                    } else {
                        stream.write_all(ANSWER)?;
                    }
                }
                std::io::Result::Ok(())
            });
        }
    });
    address
}

fn plan(address: SocketAddr, load: Load) -> LoadPlan {
    LoadPlan::new(Target::new(address, "steady.test"), load)
}

/// Counts allocations and reallocations of this process during a number of requests.
fn allocations(session: &mut Session, requests: u64) -> usize {
    let region = Region::new(ALLOCATOR);
    let counts = session.warm_up_requests(requests, Duration::from_secs(60)).unwrap();
    let change = region.change();
    assert!(counts.done >= requests, "{counts:?}");
    assert_eq!(counts.failed, 0);
    change.allocations + change.reallocations
}

/// Allocations of a phase independent of the number of requests: histograms and the result.
const EDGES: usize = 200;

#[test]
fn requests_need_no_allocations() {
    let _turn = turn();
    let mut varying = Request::new("POST", "/{n}");
    varying.headers.push(("X-Pick".into(), "{pick}".into()));
    varying.body = wsgibench_harness::load::Body::Bytes(b"n={n}&row={row}".to_vec());
    varying.values = vec![
        ("n".into(), Values::Counter),
        ("pick".into(), Values::Random { low: 0, high: 999_999 }),
        ("row".into(), Values::Rows(vec!["some".into(), "thing".into()])),
    ];
    let loads = [
        (
            "plain",
            Load::closed(8).request(get("/").expect_status(200).expect_body("OK")),
            false,
            30_000,
        ),
        (
            "mixed and rendered",
            Load::closed(8).request(get("/")).request(varying),
            false,
            30_000,
        ),
        (
            "heads in pieces",
            Load::closed(8).request(get("/").expect_body("OK")),
            true,
            10_000,
        ),
        (
            "open",
            Load::rate(5_000).max_connections(32).request(get("/")),
            false,
            10_000,
        ),
    ];
    for (name, load, in_pieces, requests) in loads {
        let mut session = Session::start(&plan(server(in_pieces), load)).unwrap();
        // Let buffers grow to their final size.
        allocations(&mut session, 500);
        let count = allocations(&mut session, requests);
        println!("{name}: {count} allocations for {requests} requests");
        assert!(count < EDGES, "{name}: {count} allocations for {requests} requests");
        session.finish().unwrap();
    }
}

#[test]
fn finished_loads_leave_no_descriptors_or_threads() {
    let _turn = turn();
    let address = server(false);
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let run = || {
        let mut session = Session::start(&plan(address, Load::closed(20).request(get("/")))).unwrap();
        session.round(Duration::from_millis(100)).unwrap();
        let during = (descriptors(), threads());
        session.finish().unwrap();
        during
    };
    run();
    // The server closes its sockets and threads a little later than the client.
    let settle = || {
        let mut last = (descriptors(), threads());
        for _ in 0..50 {
            thread::sleep(Duration::from_millis(20));
            let now = (descriptors(), threads());
            if now == last {
                break;
            }
            last = now;
        }
        last
    };
    let before = settle();
    for _ in 0..3 {
        let during = run();
        assert!(during.0 >= before.0 + 20, "{during:?} {before:?}");
    }
    assert_eq!(settle(), before, "descriptors or threads were left");
}
