//! TLS against a real server: certificates that verify and certificates that do not, in declared and scripted loads.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use super::{
    super::{
        ErrorKind, KeepAlive, Load, LoadPlan, Request, RoundResult, Session, get, post,
        probe::{Stream, speaks_tls},
        script::{Running, ScriptSession, User, script},
    },
    test_server::{Certificate, Flaw, TlsServer},
    *,
};

fn target(address: SocketAddr, host: &str, tls: Tls) -> Target {
    Target {
        address,
        host: host.to_owned(),
        tls: Some(tls),
    }
}

/// The first round in which a request ended.
fn declared(target: &Target, load: Load) -> RoundResult {
    let mut session = Session::start(&LoadPlan::new(target.clone(), load)).unwrap();
    let begun = Instant::now();
    loop {
        let round = session.round(Duration::from_millis(400)).unwrap();
        assert!(round.counts.adds_up(), "{:?}", round.counts);
        if round.counts.done + round.counts.failed > 0 || begun.elapsed() > Duration::from_secs(30) {
            session.finish().unwrap();
            return round;
        }
    }
}

fn scripted<F>(target: &Target, timeout: Duration, function: F) -> RoundResult
where
    F: for<'a> Fn(&'a mut User) -> Running<'a> + Send + Sync + 'static,
{
    let load = Load::closed(1).for_script().timeout(timeout);
    let mut session = ScriptSession::trial(&LoadPlan::new(target.clone(), load), script(function)).unwrap();
    let round = session.try_once(Duration::from_secs(30)).unwrap().round;
    session.finish().unwrap();
    assert!(round.counts.adds_up(), "{:?}", round.counts);
    round
}

fn ask_once(target: &Target) -> RoundResult {
    scripted(target, Duration::from_secs(10), |user| {
        Box::pin(async move {
            user.get("/").await?.expect_body("OK")?;
            Ok(())
        })
    })
}

fn good(name: &str) -> (TlsServer, Tls) {
    let certificate = Certificate::new(name, Flaw::Nothing);
    let server = TlsServer::start("127.0.0.1", &certificate);
    (server, Tls::new().root_certificate_pem(certificate.root))
}

fn assert_all_right(round: &RoundResult, what: &str) {
    let errors: Vec<_> = round.errors.iter().filter(|(_, n)| *n > 0).collect();
    assert!(
        round.counts.done > 0 && round.counts.failed == 0 && errors.is_empty(),
        "{what}: {:?} {:?} {:?}",
        round.counts,
        round.error_samples,
        round.failed_checks
    );
}

#[test]
fn every_load_model_speaks_tls() {
    let (server, tls) = good("shop.test");
    let target = target(server.address, "shop.test", tls);
    let ok = || get("/").expect_status(200).expect_body("OK");
    let loads: Vec<(&str, Load)> = vec![
        ("closed", Load::closed(4).request(ok())),
        ("rate", Load::rate(200).request(ok())),
        (
            "users",
            Load::users(2)
                .every(Duration::from_millis(50))
                .arriving_for(Duration::from_millis(200))
                .requests_per_user(3)
                .request(ok()),
        ),
        (
            "one request each",
            Load::closed(4).request(ok()).keep_alive(KeepAlive::Never),
        ),
        (
            "large responses",
            Load::closed(2).request(get("/large").expect_body(vec![b'x'; 200_000])),
        ),
        (
            "large requests",
            Load::closed(2).request(post("/").body(vec![b'y'; 300_000]).expect_body("OK")),
        ),
        (
            "closed without an announcement",
            Load::closed(2).request(close("/close")),
        ),
        ("closed with one", Load::closed(2).request(close("/bye"))),
    ];
    for (what, load) in loads {
        let round = declared(&target, load);
        assert_all_right(&round, what);
        assert!(round.bytes_sent > 0 && round.bytes_received > 0, "{what}");
    }
}

fn close(path: &str) -> Request {
    get(path).expect_status(200).expect_body("OK")
}

#[test]
fn each_connection_makes_a_full_handshake() {
    let (server, tls) = good("shop.test");
    let target = target(server.address, "shop.test", tls);
    let load = Load::closed(1).request(get("/")).keep_alive(KeepAlive::Never);
    let round = declared(&target, load);
    let full = server.full_handshakes.load(Ordering::Relaxed) as u64;
    assert!(round.counts.done > 0 && full >= round.counts.done, "{full} {round:?}");
    assert!(!round.connect_time.histogram.is_empty());
}

#[test]
fn scripted_users_speak_tls_as_the_target_does() {
    let (server, tls) = good("shop.test");
    let target = target(server.address, "shop.test", tls);
    let round = scripted(&target, Duration::from_secs(10), |user| {
        Box::pin(async move {
            user.get("/").await?.expect_body("OK")?;
            user.get("/close").await?.expect_body("OK")?;
            user.get("/cookie").await?.expect_body("none")?;
            user.get("/cookie").await?.expect_body("id=7")?;
            user.get("/here").follow_redirects(1).await?.expect_body("OK")?;
            let away = user.get("/plain").follow_redirects(1).await.unwrap_err();
            let message = away.to_string();
            user.expect(
                "the remedy",
                message.contains("leaves https://shop.test") && message.contains("over https"),
            )?;
            Ok(())
        })
    });
    // The redirect that leaves the server is the one failure.
    assert_eq!(
        (round.counts.done, round.counts.failed),
        (6, 1),
        "{:?}",
        round.failed_checks
    );
}

#[test]
fn addresses_have_no_sni_and_are_verified() {
    for (ip, host) in [("127.0.0.1", "127.0.0.1:8443"), ("::1", "[::1]:8443")] {
        let certificate = Certificate::new(ip, Flaw::Nothing);
        let server = TlsServer::start(ip, &certificate);
        let tls = Tls::new().root_certificate_pem(certificate.root.clone());
        let target = target(server.address, host, tls);
        assert_all_right(&declared(&target, Load::closed(1).request(get("/"))), host);
        assert_all_right(&ask_once(&target), host);
    }
}

#[test]
fn a_self_signed_certificate_can_be_trusted_itself() {
    let certificate = Certificate::new("shop.test", Flaw::SelfSigned);
    let server = TlsServer::start("127.0.0.1", &certificate);
    let target = target(
        server.address,
        "shop.test",
        Tls::new().root_certificate_pem(certificate.pem()),
    );
    assert_all_right(&declared(&target, Load::closed(1).request(get("/"))), "self-signed");
}

/// Loads a target over TLS and returns the explanations of a declared and of a scripted load.
fn failures(target: &Target) -> [String; 2] {
    let load = Load::closed(1).request(get("/"));
    [declared(target, load), ask_once(target)].map(|round| {
        let failed: Vec<_> = round.errors.iter().filter(|(_, n)| *n > 0).collect();
        assert!(
            matches!(failed[..], [(ErrorKind::Tls, _)]) && round.counts.done == 0,
            "{failed:?}"
        );
        let (_, text) = round
            .error_samples
            .iter()
            .find(|(kind, _)| *kind == ErrorKind::Tls)
            .expect("it is explained");
        text.clone()
    })
}

fn assert_fails(flaw: Flaw, own_root: bool, name: &str, parts: &[&str]) {
    let certificate = Certificate::new("shop.test", flaw);
    let server = TlsServer::start("127.0.0.1", &certificate);
    let root = if own_root {
        certificate.root.clone()
    } else {
        Certificate::new("other.test", Flaw::Nothing).root
    };
    let target = target(server.address, name, Tls::new().root_certificate_pem(root));
    for text in failures(&target) {
        for part in parts.iter().chain([&name]) {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
    }
}

#[test]
fn a_self_signed_certificate_is_told() {
    let parts = ["it is self-signed", ".root_certificate(\"cert.pem\")", "SSL_CERT_FILE"];
    assert_fails(Flaw::SelfSigned, false, "shop.test", &parts);
}

#[test]
fn an_unknown_authority_is_told() {
    let parts = [
        "UnknownIssuer",
        "its authority is not among",
        ".root_certificate(\"root.pem\")",
    ];
    assert_fails(Flaw::Nothing, false, "shop.test", &parts);
}

#[test]
fn a_wrong_name_is_told_with_the_names_of_the_certificate() {
    let parts = [
        "not valid for name \"shop.example\"",
        "shop.test",
        ".server_name(",
        ".host(",
    ];
    assert_fails(Flaw::Nothing, true, "shop.example", &parts);
}

#[test]
fn an_expired_certificate_is_told() {
    let parts = ["certificate expired", "renew"];
    assert_fails(Flaw::Expired, true, "shop.test", &parts);
}

#[test]
fn an_authoritys_certificate_as_the_servers_is_told() {
    let parts = ["CaUsedAsEndEntity", "CA:FALSE"];
    assert_fails(Flaw::Authority, true, "shop.test", &parts);
}

#[test]
fn a_plain_server_is_told_with_the_remedy() {
    for answer in [&b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"[..], b""] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut hello = [0; 4096];
                let _ = stream.read(&mut hello);
                let _ = stream.write_all(answer);
            }
        });
        let tls = Tls::new().root_certificate_pem(Certificate::new("shop.test", Flaw::Nothing).root);
        for text in failures(&target(address, "shop.test", tls)) {
            assert!(
                text.contains("leave out `.tls(...)`") && text.contains("http://"),
                "{text}"
            );
        }
    }
}

#[test]
fn a_handshake_that_is_never_answered_ends_by_the_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let tls = Tls::new().root_certificate_pem(Certificate::new("shop.test", Flaw::Nothing).root);
    let target = target(listener.local_addr().unwrap(), "shop.test", tls);
    let load = Load::closed(1)
        .request(get("/"))
        .connect_timeout(Duration::from_millis(150));
    let round = declared(&target, load);
    let scripted = scripted(&target, Duration::from_millis(300), |user| {
        Box::pin(async move {
            let _ = user.get("/").await;
            Ok(())
        })
    });
    for round in [round, scripted] {
        let (kind, text) = &round.error_samples[0];
        assert!(
            *kind == ErrorKind::Tls && text.contains("did not complete the handshake within 0."),
            "{text}"
        );
        assert!(round.counts.failed >= 1, "{:?}", round.counts);
    }
}

#[test]
fn a_plain_server_does_not_speak_tls_and_a_tls_server_does() {
    let (server, _) = good("shop.test");
    assert!(speaks_tls(server.address, Duration::from_secs(5)));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let plain = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    });
    assert!(!speaks_tls(address, Duration::from_secs(5)));
    plain.join().unwrap();
}

#[test]
fn blocking_probes_speak_tls() {
    let (server, tls) = good("shop.test");
    let target = target(server.address, "shop.test", tls);
    let connector = Connector::new(&target).unwrap();
    let mut stream = Stream::connect(target.address, connector.as_ref(), Duration::from_secs(5)).unwrap();
    stream
        .write_all(b"GET /close HTTP/1.1\r\nHost: shop.test\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("\r\n\r\nOK"), "{answer}");
}

#[test]
fn the_port_of_a_host_is_no_part_of_its_name() {
    for (host, name) in [
        ("shop.test", "shop.test"),
        ("shop.test:8443", "shop.test"),
        ("127.0.0.1:8443", "127.0.0.1"),
        ("[::1]:8443", "[::1]"),
        ("[::1]", "[::1]"),
        ("::1", "::1"),
    ] {
        assert_eq!(without_port(host), name);
        assert!(parse_name(without_port(host)).is_ok(), "{host}");
    }
    let error = parse_name("no name").unwrap_err();
    assert!(error.contains("server_name"), "{error}");
}

#[test]
fn settings_that_cannot_be_used_are_told() {
    let missing = Tls::new().root_certificate("/nowhere/root.pem").check().unwrap_err();
    assert!(
        missing.contains("/nowhere/root.pem") && missing.contains("root_certificate"),
        "{missing}"
    );
    let empty = Tls::new().root_certificate_pem("nothing").check().unwrap_err();
    assert!(empty.contains("BEGIN CERTIFICATE"), "{empty}");
}
