//! Tests rules against small faulty servers on real sockets, and judges on recorded bytes.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use super::{
    Examined, Feature, RuleOutcome, Target, blocker,
    dialogue::{End, Transcript},
    rules,
};

fn shop(address: SocketAddr) -> Target {
    Target::new(address, "shop.test")
}

/// The response sent once a connection has sent the given bytes.
type Script = fn(&str, &mut TcpStream);

/// Starts a server that runs a script on each connection until the test process ends.
fn serve(script: Script) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            thread::spawn(move || {
                let mut received = Vec::new();
                let mut piece = [0; 4096];
                loop {
                    // One read is one request: the rules send each request in one write.
                    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
                    match stream.read(&mut piece) {
                        Ok(0) => return,
                        Ok(n) => received.extend_from_slice(&piece[..n]),
                        Err(_) if received.is_empty() => {}
                        Err(_) => {
                            script(&String::from_utf8_lossy(&received), &mut stream);
                            received.clear();
                        }
                    }
                }
            });
        }
    });
    address
}

fn ok(stream: &mut TcpStream) {
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK");
}

/// A response of the `see` route.
fn seen(stream: &mut TcpStream, body: &str, headers: &str) {
    let json =
        format!(r#"{{"method":"POST","path":"/conformance/see","query":"","body":"{body}","headers":{{{headers}}}}}"#);
    let _ = write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{json}",
        json.len()
    );
}

fn verdict(script: Script, rule: &str) -> (RuleOutcome, String) {
    let examined = Examined::begin(&shop(serve(script)), "/");
    let rule = rules().into_iter().find(|r| r.id == rule).unwrap();
    let finding = examined.ask(rule);
    (finding.verdict, finding.why)
}

fn judged(rule: &str, methods: &[&'static str], bytes: &str, end: End) -> RuleOutcome {
    let rule = rules().into_iter().find(|r| r.id == rule).unwrap();
    (rule.judge)(&[Transcript::recorded(methods, bytes.as_bytes(), end)]).verdict
}

#[test]
fn rules_for_a_server_that_always_responds_with_ok() {
    let script: Script = |_, stream| ok(stream);
    for (rule, expected) in [
        ("keep-alive", RuleOutcome::Pass),
        ("close", RuleOutcome::Fail),
        ("head", RuleOutcome::Fail),
        ("bad-line", RuleOutcome::Fail),
        ("two-hosts", RuleOutcome::Fail),
        ("no-host", RuleOutcome::Tolerated),
        ("head-1m", RuleOutcome::Tolerated),
        ("date", RuleOutcome::Tolerated),
        ("half-heads", RuleOutcome::Pass),
        // It does not report the received request.
        ("chunked-body", RuleOutcome::Skipped),
        ("wsgi-get", RuleOutcome::Skipped),
    ] {
        assert_eq!(verdict(script, rule).0, expected, "{rule}");
    }
}

#[test]
fn half_heads_is_tolerated_for_a_sequential_server() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut received = Vec::new();
            let mut piece = [0; 4096];
            // No other connection is served until the head is complete.
            while !received.ends_with(b"\r\n\r\n") {
                match stream.read(&mut piece) {
                    Ok(0) | Err(_) => break,
                    Ok(n) => received.extend_from_slice(&piece[..n]),
                }
            }
            ok(&mut stream);
        }
    });
    let rule = rules().into_iter().find(|rule| rule.id == "half-heads").unwrap();
    let finding = Examined::begin(&shop(address), "/").ask(rule);
    assert_eq!(finding.verdict, RuleOutcome::Tolerated, "{}", finding.why);
}

#[test]
fn closing_without_announcement_fails_keep_alive() {
    let script: Script = |_, stream| {
        ok(stream);
        let _ = stream.shutdown(std::net::Shutdown::Both);
    };
    assert_eq!(verdict(script, "keep-alive").0, RuleOutcome::Fail);
    assert_eq!(verdict(script, "close").0, RuleOutcome::Pass);
}

#[test]
fn lost_chunked_bodies_fail_and_block_chunked_loads() {
    let script: Script = |received, stream| {
        let chunked = received.contains("chunked");
        let length = received.contains("Content-Length: 5\r\n");
        seen(stream, if length && !chunked { "hello" } else { "" }, "");
    };
    let (found, why) = verdict(script, "chunked-body");
    assert_eq!(found, RuleOutcome::Fail, "{why}");
    assert!(why.contains("0 of 11"), "{why}");
    let address = serve(script);
    assert_eq!(
        blocker(&shop(address), "/", &[Feature::ChunkedRequests]).map(|finding| finding.rule),
        Some("chunked-body".to_owned())
    );
    assert_eq!(blocker(&shop(address), "/", &[]), None);
}

#[test]
fn rejected_chunked_bodies_are_refused_and_block_chunked_loads() {
    let script: Script = |received, stream| {
        if received.contains("chunked") {
            let _ = stream.write_all(b"HTTP/1.1 411 Length Required\r\nContent-Length: 0\r\n\r\n");
        } else {
            seen(stream, "", "");
        }
    };
    assert_eq!(verdict(script, "chunked-body").0, RuleOutcome::Refused);
    assert!(blocker(&shop(serve(script)), "/", &[Feature::ChunkedRequests]).is_some());
}

#[test]
fn parsing_a_body_as_a_request_fails_unread_body() {
    // It ignores Content-Length: any data after an empty line is a request.
    let script: Script = |received, stream| {
        for line in received.split("\r\n").filter(|line| line.ends_with("HTTP/1.1")) {
            let query = line.split(['?', ' ']).nth(2).unwrap_or("");
            let json =
                format!(r#"{{"method":"GET","path":"/conformance/see","query":"{query}","body":"","headers":{{}}}}"#);
            let body = if line.contains("unread") { "unread" } else { &json };
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
        }
    };
    assert_eq!(verdict(script, "unread-body").0, RuleOutcome::Fail);
    assert_eq!(verdict(script, "pipelining").0, RuleOutcome::Pass);
    assert_eq!(verdict(script, "lengths-differ").0, RuleOutcome::Fail);
}

#[test]
fn answering_one_of_three_requests_fails_pipelining() {
    let script: Script = |_, stream| {
        let json = r#"{"method":"GET","path":"/conformance/see","query":"n=1","body":"","headers":{}}"#;
        let _ = write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{json}",
            json.len()
        );
    };
    let (found, why) = verdict(script, "pipelining");
    assert_eq!(found, RuleOutcome::Fail);
    assert!(why.contains("1 of 3"), "{why}");
}

#[test]
fn buffering_fails_wsgi_no_delay_and_streaming_passes() {
    let script: Script = |received, stream| {
        if received.contains("streamed") {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfirstlast");
        } else {
            seen(stream, "", "");
        }
    };
    assert_eq!(verdict(script, "wsgi-no-delay").0, RuleOutcome::Fail);
    assert_eq!(verdict(script, "unknown-length").0, RuleOutcome::Pass);
    let streams: Script = |received, stream| {
        if received.contains("streamed") {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
            thread::sleep(Duration::from_millis(300));
            let _ = stream.write_all(b"4\r\nlast\r\n0\r\n\r\n");
        } else {
            seen(stream, "", "");
        }
    };
    assert_eq!(verdict(streams, "wsgi-no-delay").0, RuleOutcome::Pass);
}

#[test]
fn dropping_a_repeated_header_fails_fields_joined() {
    let last: Script = |_, stream| seen(stream, "", r#""HTTP_X_TWICE":"b""#);
    assert_eq!(verdict(last, "fields-joined").0, RuleOutcome::Fail);
    let both: Script = |_, stream| seen(stream, "", r#""HTTP_X_TWICE":"a, b""#);
    assert_eq!(verdict(both, "fields-joined").0, RuleOutcome::Pass);
}

#[test]
fn an_unreachable_server_fails_rules() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let examined = Examined::begin(&shop(address), "/");
    for rule in rules()
        .into_iter()
        .filter(|rule| ["keep-alive", "head", "bad-line"].contains(&rule.id))
    {
        assert_eq!(examined.ask(rule).verdict, RuleOutcome::Fail, "{}", rule.id);
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn outcomes_of_recorded_responses() {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK";
    let bad = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    for (rule, methods, bytes, end, expected) in [
        ("bad-line", "GET", bad, End::Closed, RuleOutcome::Pass),
        (
            "bad-line",
            "GET",
            "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
            End::Closed,
            RuleOutcome::Tolerated,
        ),
        ("bad-line", "GET", "", End::Reset, RuleOutcome::Tolerated),
        ("bad-line", "GET", "", End::Open, RuleOutcome::Fail),
        ("bad-line", "GET", "<p>no</p>", End::Closed, RuleOutcome::Tolerated),
        (
            "head",
            "HEAD",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
            End::Open,
            RuleOutcome::Pass,
        ),
        ("head", "HEAD", ok, End::Open, RuleOutcome::Fail),
        (
            "keep-alive",
            "GET",
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nOK",
            End::Closed,
            RuleOutcome::Tolerated,
        ),
        (
            "keep-alive",
            "GET",
            "HTTP/1.0 200 OK\r\n\r\nOK",
            End::Closed,
            RuleOutcome::Tolerated,
        ),
        ("keep-alive", "GET", ok, End::Closed, RuleOutcome::Fail),
        (
            "http-1.0",
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n0\r\n\r\n",
            End::Closed,
            RuleOutcome::Fail,
        ),
        (
            "http-1.0",
            "GET",
            "HTTP/1.1 426 Upgrade\r\nContent-Length: 0\r\n\r\n",
            End::Closed,
            RuleOutcome::Tolerated,
        ),
        (
            "unknown-length",
            "GET",
            "HTTP/1.1 200 OK\r\n\r\nfirstlast",
            End::Open,
            RuleOutcome::Fail,
        ),
        (
            "wsgi-too-short",
            "GET",
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
            End::Open,
            RuleOutcome::Fail,
        ),
        (
            "wsgi-too-short",
            "GET",
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
            End::Closed,
            RuleOutcome::Pass,
        ),
        (
            "wsgi-too-long",
            "GET",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK and more",
            End::Closed,
            RuleOutcome::Fail,
        ),
        ("wsgi-wrong-type", "GET", ok, End::Open, RuleOutcome::Fail),
        ("wsgi-raise", "GET", "", End::Open, RuleOutcome::Fail),
        (
            "wsgi-wrong-type",
            "GET",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
            End::Closed,
            RuleOutcome::Tolerated,
        ),
        (
            "wsgi-wrong-type",
            "GET",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
            End::Open,
            RuleOutcome::Fail,
        ),
        (
            "wsgi-get",
            "GET",
            "HTTP/1.1 500 No\r\nContent-Length: 15\r\n\r\nPEP 3333: no no",
            End::Open,
            RuleOutcome::Fail,
        ),
        (
            "no-content",
            "GET",
            "HTTP/1.1 204 No Content\r\n\r\n0\r\n\r\n",
            End::Open,
            RuleOutcome::Fail,
        ),
    ] {
        let methods: &[&'static str] = if methods == "HEAD" { &["HEAD"] } else { &["GET"] };
        assert_eq!(judged(rule, methods, bytes, end), expected, "{rule}: {bytes:?} {end:?}");
    }
}
