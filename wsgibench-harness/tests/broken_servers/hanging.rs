//! Servers that do not respond, or not in time.

use std::{io::Write, net::TcpStream, thread, time::Duration};

use wsgibench_harness::load::{Load, get};

use super::server::{Server, assert_fine, assert_idle, read_request, round};

/// Keeps a connection open for longer than any test and reads nothing.
fn hold(stream: TcpStream) {
    thread::sleep(Duration::from_secs(20));
    drop(stream);
}

/// The four ways to hang: before reading, and before, within and after the head.
fn hanging_servers() -> Vec<(&'static str, Server)> {
    let after = |begin: &'static [u8]| {
        move |mut stream: TcpStream| {
            read_request(&mut stream)?;
            stream.write_all(begin)?;
            hold(stream);
            Ok(())
        }
    };
    vec![
        (
            "never reads",
            Server::start(|stream| {
                hold(stream);
                Ok(())
            }),
        ),
        ("before the head", Server::start(after(b""))),
        (
            "inside the head",
            Server::start(after(b"HTTP/1.1 200 OK\r\nContent-Le")),
        ),
        (
            "after the head",
            Server::start(after(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")),
        ),
    ]
}

#[test]
fn hang_is_censored_at_the_timeout() {
    for (name, server) in hanging_servers() {
        let load = Load::closed(4).request(get("/")).timeout(Duration::from_millis(150));
        let round = round(server.address, load, 1.0);
        assert_eq!(
            (round.counts.done, round.counts.failed),
            (0, 0),
            "{name}: {:?}",
            round.errors
        );
        assert!(round.counts.timed_out > 0, "{name}: {:?}", round.counts);
        assert_eq!(round.response_time.censored, round.counts.censored, "{name}");
        assert!(round.response_time.quantile(0.5).at_least, "{name}");
        assert!(round.response_time.quantile(0.5).ns >= 100_000_000, "{name}");
        assert_idle(&round);
    }
}

#[test]
fn requests_in_flight_at_the_end_are_censored() {
    for (name, server) in hanging_servers() {
        let round = round(server.address, Load::closed(3).request(get("/")), 0.5);
        assert_eq!(
            (round.counts.offered, round.counts.censored, round.counts.timed_out),
            (3, 3, 0),
            "{name}"
        );
        let p50 = round.response_time.quantile(0.5);
        assert!(p50.at_least && p50.ns > 0, "{name}: {p50:?}");
        assert_eq!(round.connections.served, 0, "{name}");
        assert_idle(&round);
    }
}

#[test]
fn hang_under_an_open_load_leaves_requests_unsent() {
    for (name, server) in hanging_servers() {
        let load = Load::rate(100).max_connections(10).request(get("/"));
        let round = round(server.address, load, 1.0);
        // 100 requests were due, 10 could be sent.
        assert_eq!(
            (round.counts.offered, round.counts.done, round.counts.failed),
            (100, 0, 0),
            "{name}"
        );
        assert_eq!((round.counts.censored, round.counts.unsent), (10, 90), "{name}");
        assert_eq!(round.response_time.censored, 100, "{name}");
        let p90 = round.response_time.quantile(0.9);
        assert!(p90.at_least && p90.ns > 800_000_000, "{name}: {p90:?}");
        assert_idle(&round);
    }
}

#[test]
fn all_users_of_a_hanging_server_are_counted() {
    for (name, server) in hanging_servers() {
        let load = Load::users(2)
            .every(Duration::from_millis(100))
            .arriving_for(Duration::from_millis(500))
            .requests_per_user(3)
            .duration(Duration::from_secs(1))
            .request(get("/"));
        let round = round(server.address, load, 1.0);
        let users = round.users.unwrap();
        assert_eq!((users.arrived, users.finished, users.active), (10, 0, 10), "{name}");
        assert_eq!((round.counts.offered, round.counts.censored), (10, 10), "{name}");
        assert_idle(&round);
    }
}

#[test]
fn response_sent_byte_by_byte_is_accepted() {
    let server = Server::start(|mut stream| {
        stream.set_nodelay(true)?;
        while read_request(&mut stream)? {
            for byte in b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n0\r\n\r\n" {
                stream.write_all(&[*byte])?;
                thread::sleep(Duration::from_micros(300));
            }
        }
        Ok(())
    });
    let load = Load::closed(4).request(get("/").expect_status(200).expect_body("OK"));
    let round = round(server.address, load, 1.0);
    assert_fine(&round);
    assert_idle(&round);
    assert_eq!(round.counts.retried, 0);
}
