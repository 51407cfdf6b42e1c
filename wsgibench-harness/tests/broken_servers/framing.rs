//! Responses in every valid form and in invalid ones.

use std::{io::Write, thread, time::Duration};

use wsgibench_harness::load::{ErrorKind, KeepAlive, Load, Request, RoundResult, get};

use super::server::{
    Server, answering, assert_fine, assert_idle, assert_only, count, read_request, reset, round, scripted,
};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nOK";

fn checked(connections: usize) -> Load {
    Load::closed(connections).request(get("/").expect_status(200).expect_body("OK"))
}

#[test]
fn keep_alive_opens_each_connection_once() {
    let server = Server::start(answering(OK, false));
    let round = round(server.address, checked(8), 0.5);
    assert_fine(&round);
    assert_eq!((round.connections.wanted, round.connections.established), (8, 8));
    assert_eq!((round.connections.opened, round.connections.served), (0, 8));
    assert!(round.counts.done > 16);
}

#[test]
fn responses_in_every_valid_form_are_accepted() {
    let answers: [(&str, &[u8], bool); 8] = [
        ("close-delimited", b"HTTP/1.1 200 OK\r\n\r\nOK", true),
        ("HTTP/1.0", b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nOK", true),
        ("HTTP/1.0 close-delimited", b"HTTP/1.0 200 OK\r\n\r\nOK", true),
        ("HTTP/1.0 kept", b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nOK", false),
        ("Connection: close", b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nOK", true),
        ("interim answers", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK", false),
        ("chunked", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=\"y\"\r\nO\r\n01\r\nK\r\n0;z\r\nX-Sum: 7\r\nY: z\r\n\r\n", false),
        ("chunked and closed", b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n0\r\n\r\n", true),
    ];
    for (name, answer, close) in answers {
        let server = Server::start(answering(answer, close));
        let round = round(server.address, checked(4), 0.4);
        assert!(round.counts.done > 0, "{name}: {:?} {:?}", round.counts, round.errors);
        assert_fine(&round);
        // A server that announces a close and closes causes no retry.
        assert_eq!(round.counts.retried, 0, "{name}");
        assert_eq!(round.connections.opened > 0, close, "{name}: {:?}", round.connections);
    }
}

#[test]
fn scripted_and_declared_loads_accept_unusual_responses() {
    let headers: Vec<String> = (0..4_000).map(|n| format!("X-{n}: {n}")).collect();
    let headers = headers.join("\r\n");
    let answers = [
        (
            "an empty line first",
            "\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK".to_owned(),
        ),
        (
            "4,000 headers",
            format!("HTTP/1.1 200 OK\r\n{headers}\r\nContent-Length: 2\r\n\r\nOK"),
        ),
        (
            "an interim response",
            "HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK".to_owned(),
        ),
        (
            "lines that end with LF alone",
            "HTTP/1.1 200 OK\nContent-Length: 2\n\nOK".to_owned(),
        ),
    ];
    for (name, answer) in answers {
        let server = Server::start(answering(answer, false));
        let declared = round(server.address, checked(2), 0.3);
        let scripted = scripted(server.address, Load::closed(2).for_script(), 0.3, |user| {
            Box::pin(async move {
                user.get("/").await?.expect_status(200)?.expect_body_contains("OK")?;
                Ok(())
            })
        });
        for round in [declared, scripted] {
            assert!(round.counts.done > 0, "{name}: {:?}", round.counts);
            assert_fine(&round);
            assert_eq!(round.counts.retried, 0, "{name}");
            // Each user of a script opens its connection when it first needs it.
            assert!(round.connections.opened <= 2, "{name}: {:?}", round.connections);
        }
    }
}

#[test]
fn responses_without_a_body_are_accepted() {
    for (status, method) in [(204, "GET"), (304, "GET"), (200, "HEAD")] {
        let length = if status == 204 { "" } else { "Content-Length: 1234\r\n" };
        let server = Server::start(answering(format!("HTTP/1.1 {status} x\r\n{length}\r\n"), false));
        let load = Load::closed(2).request(Request::new(method, "/").expect_status(status));
        let round = round(server.address, load, 0.3);
        assert_fine(&round);
        assert!(round.counts.done > 2, "{status} {method}: {:?}", round.counts);
        assert_eq!(round.connections.opened, 0, "{status} {method}");
    }
}

#[test]
fn silent_close_after_each_response_is_retried() {
    let server = Server::start(|mut stream| {
        read_request(&mut stream)?;
        stream.write_all(OK)?;
        // The next request is already sent when this closes.
        thread::sleep(Duration::from_millis(3));
        Ok(())
    });
    let round = round(server.address, checked(4), 0.6);
    assert_fine(&round);
    assert!(round.counts.retried > 0, "{:?}", round.counts);
    assert!(round.counts.retried <= round.counts.offered, "{:?}", round.counts);
    assert_idle(&round);
}

#[test]
fn close_without_a_response_is_a_failure() {
    let server = Server::start(|mut stream| read_request(&mut stream).map(drop));
    let round = round(server.address, checked(4), 0.5);
    assert_only(&round, ErrorKind::PrematureEnd);
    assert_eq!(round.counts.retried, 0);
    assert_idle(&round);
}

#[test]
fn reset_within_a_body_is_a_failure() {
    let server = Server::start(|mut stream| {
        read_request(&mut stream)?;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")?;
        thread::sleep(Duration::from_millis(2));
        reset(stream);
        Ok(())
    });
    let round = round(server.address, Load::closed(4).request(get("/")), 0.5);
    assert_only(&round, ErrorKind::ReadReset);
    assert_idle(&round);
}

#[test]
fn malformed_responses_are_classified() {
    let mut long_head = b"HTTP/1.1 200 OK\r\n".to_vec();
    while long_head.len() < 1024 * 1024 {
        long_head.extend_from_slice(b"X-Filler: 0123456789012345678901234567890123456789\r\n");
    }
    long_head.extend_from_slice(b"Content-Length: 2\r\n\r\nOK");
    let answers: [(&str, Vec<u8>, ErrorKind); 7] = [
        (
            "length too long",
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nOK".to_vec(),
            ErrorKind::PrematureEnd,
        ),
        (
            "length too short",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nOK".to_vec(),
            ErrorKind::Malformed,
        ),
        (
            "cut in the head",
            b"HTTP/1.1 200 OK\r\nContent-Len".to_vec(),
            ErrorKind::PrematureEnd,
        ),
        ("head of 1 MB", long_head, ErrorKind::Malformed),
        ("two answers", [OK, OK].concat(), ErrorKind::Malformed),
        (
            "garbage",
            b"\x16\x03\x01 this is no HTTP\n".to_vec(),
            ErrorKind::Malformed,
        ),
        (
            "bad chunk",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n".to_vec(),
            ErrorKind::Malformed,
        ),
    ];
    for (name, answer, kind) in answers {
        let server = Server::start(answering(answer, true));
        for load in [Load::closed(3).request(get("/")), Load::rate(50).request(get("/"))] {
            let round = round(server.address, load, 0.5);
            assert!(count(&round, kind) > 0, "{name}: {:?} {:?}", round.counts, round.errors);
            assert_only(&round, kind);
            assert_idle(&round);
        }
    }
}

#[test]
fn scripted_and_declared_loads_report_malformed_responses_in_the_same_words() {
    let long: &[u8] = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n",
        &*vec![b'x'; 20_003],
    ]
    .concat()
    .leak();
    let answers: [(&[u8], ErrorKind, &str); 14] = [
        (
            b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
            ErrorKind::Malformed,
            "it is not HTTP/1.0 or HTTP/1.1",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type : text/plain\r\nContent-Length: 2\r\n\r\nOK",
            ErrorKind::Malformed,
            "space before the colon",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nOK",
            ErrorKind::Malformed,
            "content-length is not one number",
        ),
        (
            b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n0\r\n\r\n",
            ErrorKind::Malformed,
            "HTTP/1.0 has no transfer-encoding",
        ),
        (
            b"HTTP/1.1 2x0 OK\r\n\r\n",
            ErrorKind::Malformed,
            "the status is not a number",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            ErrorKind::Malformed,
            "a chunk size is not a number",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOKAY\r\n",
            ErrorKind::Malformed,
            "a chunk does not end where its size says",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nOK",
            ErrorKind::PrematureEnd,
            "7 bytes of the content-length are missing",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n",
            ErrorKind::PrematureEnd,
            "the last chunk is missing",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Len",
            ErrorKind::PrematureEnd,
            "the end of the head is missing",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOKAY",
            ErrorKind::Malformed,
            "2 bytes follow the end",
        ),
        (
            b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n1",
            ErrorKind::Malformed,
            "1 bytes follow the end",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n0\r\n\r\nmore",
            ErrorKind::Malformed,
            "4 bytes follow the end",
        ),
        (long, ErrorKind::Malformed, "3 bytes follow the end"),
    ];
    for (answer, kind, rule) in answers {
        let server = Server::start(answering(answer, true));
        let declared = round(server.address, Load::closed(1).request(get("/")), 0.3);
        let load = Load::closed(1).for_script();
        let scripted = scripted(server.address, load, 0.3, |user| {
            Box::pin(async move {
                let error = user.get("/").await.expect_err("the response is malformed");
                let text = error.to_string();
                assert!(
                    text.contains(" response: ") && text.contains("; its first line is "),
                    "{text}"
                );
                Ok(())
            })
        });
        assert!(count(&scripted, kind) > 0, "{rule}: {:?}", scripted.errors);
        assert_only(&scripted, kind);
        let sample = |round: &RoundResult| round.error_samples.iter().find(|(of, _)| *of == kind).cloned();
        assert_eq!(sample(&scripted), sample(&declared));
        let (_, text) = sample(&scripted).unwrap();
        assert!(text.starts_with(rule) || text.contains(rule), "{text}");
    }
}

#[test]
fn wrong_response_is_distinguished_from_a_malformed_one() {
    let server = Server::start(answering(
        &b"HTTP/1.1 500 Oh\r\nContent-Length: 4\r\n\r\nboom"[..],
        false,
    ));
    let refused = round(server.address, checked(2), 0.3);
    assert_only(&refused, ErrorKind::Status);
    assert_eq!(refused.failed_checks.len(), 1);
    assert_eq!(refused.failed_checks[0].name, "status 200");
    assert_eq!(refused.failed_checks[0].count, refused.counts.failed);
    assert!(refused.failed_checks[0].sample.contains("boom"));

    let other = round(
        server.address,
        Load::closed(2).request(get("/").expect_status(500).expect_body("bang")),
        0.3,
    );
    assert_only(&other, ErrorKind::CheckFailed);
    assert_eq!(other.failed_checks[0].sample, "boom");
}

#[test]
fn body_patterns_match_whole_bodies_of_declared_requests() {
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n20 b\r\n4\r\nooks\r\n0\r\n\r\n";
    let server = Server::start(answering(&chunked[..], false));
    let load = |pattern: &str| Load::closed(2).request(get("/").expect_body_matches(pattern));
    // The match extends over both chunks.
    assert_fine(&round(server.address, load(r"^\d+ books$"), 0.3));

    let failed = round(server.address, load("^no books"), 0.3);
    assert_only(&failed, ErrorKind::CheckFailed);
    assert_eq!(failed.failed_checks.len(), 1);
    assert_eq!(failed.failed_checks[0].name, "body matches ^no books");
    assert_eq!(failed.failed_checks[0].sample, "20 books");
}

#[test]
fn connections_without_keep_alive_are_closed_by_the_server() {
    // A conforming server: closes after `Connection: close`, and only then.
    let server = Server::start(|mut stream| {
        use std::io::Read;
        let mut buffer = [0; 2048];
        loop {
            let n = stream.read(&mut buffer)?;
            if n == 0 {
                return Ok(());
            }
            let text = String::from_utf8_lossy(&buffer[..n]).to_ascii_lowercase();
            if text.contains("connection: close") {
                stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nOK")?;
                return Ok(());
            }
            stream.write_all(OK)?;
        }
    });
    // Sockets left by an earlier server at this port are not counted.
    let before = time_wait_towards(server.address.port());
    for (keep_alive, per_connection) in [(KeepAlive::Never, 1), (KeepAlive::Requests(3), 3)] {
        for load in [checked(4), Load::rate(200).request(get("/").expect_body("OK"))] {
            let round = round(server.address, load.keep_alive(keep_alive), 0.5);
            assert_fine(&round);
            assert_eq!(round.counts.retried, 0);
            let opened = round.connections.opened * per_connection;
            assert!(
                opened + 8 * per_connection >= round.counts.done,
                "{:?} {:?}",
                round.connections,
                round.counts
            );
            assert!(
                opened <= round.counts.done + 32 * per_connection,
                "{:?} {:?}",
                round.connections,
                round.counts
            );
        }
    }
    // The server closes first, so no socket on the client's side (whose peer is the server's port) is in TIME_WAIT.
    let waiting = time_wait_towards(server.address.port());
    assert!(
        waiting <= before,
        "{waiting} connections of ours in TIME_WAIT, {before} before"
    );
}

/// Returns the sockets in `TIME_WAIT` whose remote port is this one.
fn time_wait_towards(port: u16) -> usize {
    let wanted = format!(":{port:04X}");
    std::fs::read_to_string("/proc/net/tcp")
        .unwrap()
        .lines()
        .filter(|line| {
            let mut fields = line.split_ascii_whitespace().skip(2);
            fields.next().is_some_and(|remote| remote.ends_with(&wanted)) && fields.next() == Some("06")
        })
        .count()
}

#[test]
fn kept_alive_connections_leave_no_time_wait_sockets() {
    let server = Server::start(answering(OK, false));
    let before = time_wait_towards(server.address.port());
    let round = round(server.address, checked(50), 0.3);
    assert_fine(&round);
    assert!(time_wait_towards(server.address.port()) <= before);
}
