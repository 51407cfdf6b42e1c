//! Requests of scripted users and their outcomes.

use anyhow::{Result, ensure};
use bytes::Bytes;

use super::{
    super::{Multipart, RootCertificate, User},
    once,
    server::{Server, Speech, certificate},
};

#[derive(serde::Deserialize)]
struct Thing {
    n: u32,
}

#[test]
fn every_method_header_and_body_arrives() {
    async fn talk(user: &mut User) -> Result<()> {
        let host = format!("[localhost:{}]", user.state.address.port());
        let text = user.get("/echo?a=1").await?.expect_status(200)?.text();
        ensure!(text == format!("GET /echo?a=1  {host} "), "{text}");
        for method in ["PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"] {
            let answer = user.request(method.parse()?, "/echo").body("x").await?;
            ensure!(answer.text().starts_with(method), "{}", answer.text());
        }
        ensure!(user.head("/echo").await?.body().is_empty());
        let json = user.post("/echo").json(&[1, 2]).await?.expect_body_contains("[1,2]")?;
        ensure!(json.text().contains("application/json"));
        let form = user.post("/echo").form(&[("a b", "c&d")]).await?;
        ensure!(form.text().ends_with("a+b=c%26d"), "{}", form.text());
        let upload = Multipart::new()
            .text("title", "hello")
            .file("photo\"", "cat.jpg", "image/jpeg", vec![1, 2, 3]);
        let text = user.post("/echo").multipart(&upload).await?.text();
        ensure!(text.contains("multipart/form-data; boundary=wsgibench"), "{text}");
        ensure!(text.contains("name=\"photo%22\"; filename=\"cat.jpg\"\r\nContent-Type: image/jpeg\r\n\r\n"));
        user.get("/echo")
            .header("x-own", "1")
            .await?
            .expect_header("server", "test")?
            .expect("own check", true)?;
        ensure!(user.get("/json").await?.json::<Thing>()?.n == 3);
        Ok(())
    }
    let round = once(&Server::start(), |user| Box::pin(talk(user)));
    assert_eq!(round.counts.done, 12);
    assert_eq!(round.connections.opened, 1);
    assert!(round.bytes_sent > 500 && round.bytes_received > 500);
}

#[test]
fn body_patterns_match_decoded_bodies_of_scripted_requests() {
    async fn talk(user: &mut User) -> Result<()> {
        user.get("/gzip").await?.expect_body_matches(r#""n":\d+\}$"#)?;
        Ok(())
    }
    let round = once(&Server::start(), |user| Box::pin(talk(user)));
    assert_eq!(round.counts.done, 1);
}

#[test]
fn bodies_stream_both_ways() {
    async fn talk(user: &mut User) -> Result<()> {
        let chunks = || (0..100).map(|_| Bytes::from(vec![7; 10_000]));
        let counted = user.post("/count").body_chunks(chunks(), Some(1_000_000)).await?;
        counted.expect_status(201)?.expect_body("1000000")?;
        let counted = user.post("/count").body_chunks(chunks(), None).await?;
        counted.expect_status(201)?.expect_body("1000000")?;
        let mut large = user.get("/large").stream().await?;
        let first = large.chunk().await?.map_or(0, |piece| piece.len() as u64);
        ensure!(first > 0 && first < 3_000_000);
        let (answer, rest) = large.drain().await?;
        answer.expect_status(200)?.expect("length", first + rest == 3_000_000)?;
        Ok(())
    }
    let round = once(&Server::start(), |user| Box::pin(talk(user)));
    assert_eq!(round.counts.done, 3);
    assert!(round.bytes_sent > 2_000_000 && round.bytes_received > 3_000_000);
}

#[test]
fn cookies_are_kept_and_redirects_followed_on_request() {
    async fn talk(user: &mut User) -> Result<()> {
        user.get("/me").await?.expect_status(401)?;
        user.get("/login").await?.expect_body("welcome")?;
        ensure!(user.cookie("session") == Some("abc"));
        user.get("/me").await?.expect_body("you")?;
        user.clear_cookies();
        user.get("/me").await?.expect_status(401)?;
        user.set_cookie("session", "abc");
        user.get("/me").await?.expect_body("you")?;
        user.get("/moved").await?.expect_status(303)?;
        let text = user.post("/moved").body("x").follow_redirects(3).await?.text();
        ensure!(text.starts_with("GET /echo?from=moved"), "{text}");
        let text = user.post("/kept").json(&1).follow_redirects(3).await?.text();
        ensure!(
            text.starts_with("POST /echo application/json") && text.ends_with('1'),
            "{text}"
        );
        Ok(())
    }
    let round = once(&Server::start(), |user| Box::pin(talk(user)));
    // Each followed redirect is a request.
    assert_eq!(round.counts.done, 10);
}

#[test]
fn redirects_cookies_and_encodings_of_real_servers() {
    use std::time::Duration;

    use super::{super::super::Load, round};

    async fn talk(user: &mut User) -> Result<()> {
        let cafe = user.get("/to-utf8").follow_redirects(1).await?.text();
        ensure!(cafe.starts_with("GET /caf%C3%A9 "), "{cafe}");
        let named = user
            .get("/by-name")
            .header("host", "shop.test")
            .follow_redirects(1)
            .await?;
        let named = named.expect_status(200)?.text();
        ensure!(named.contains("[shop.test]"), "{named}");
        let again = user
            .get("/by-name")
            .header("host", "shop.test")
            .follow_redirects(1)
            .await?;
        let again = again.text();
        ensure!(again.contains("/echo?name=1"), "the cookie of shop.test: {again}");
        let json: serde_json::Value = user.get("/gzip").await?.json()?;
        ensure!(json["n"] == 3);
        user.get("/gzip").await?.expect_body_contains("wsgibench")?;
        let unknown = user.get("/brotli").await?.text();
        ensure!(unknown.contains("content-encoding br is not supported"), "{unknown}");
        user.get("/many").await?.expect_body("many")?;
        for (path, reason) in [
            ("/round", "follow_redirects"),
            ("/nowhere", "no Location"),
            ("/away", "leaves"),
        ] {
            let error = user.get(path).follow_redirects(2).await.unwrap_err().to_string();
            ensure!(error.contains("redirect") && error.contains(reason), "{path}: {error}");
        }
        Ok(())
    }
    let server = Server::start();
    let load = Load::users(1)
        .arriving_for(Duration::from_millis(1))
        .requests_per_user(1)
        .for_script();
    let round = round(&server, load, Duration::from_millis(600), |user| Box::pin(talk(user)));
    assert_eq!(round.counts.failed, 3, "{:?} {:?}", round.errors, round.failed_checks);
}

#[test]
fn a_connection_closed_by_the_server_is_reopened_without_an_error() {
    async fn talk(user: &mut User) -> Result<()> {
        for _ in 0..5 {
            user.get("/last").await?.expect_body("bye")?;
        }
        Ok(())
    }
    let round = once(&Server::start(), |user| Box::pin(talk(user)));
    assert_eq!((round.counts.done, round.connections.opened), (5, 5));
}

#[test]
fn http2_and_tls_work_with_a_test_root_certificate() {
    for http2 in [false, true] {
        for tls in [false, true] {
            let (acceptor, pem) = certificate(http2);
            let server = Server::speaking(Speech {
                http2,
                tls: tls.then_some(acceptor),
            });
            let root_certificate = RootCertificate::from_pem(&pem).unwrap();
            let round = once(&server, move |user| {
                let root_certificate = tls.then(|| root_certificate.clone());
                Box::pin(async move {
                    if http2 {
                        user.use_http2();
                    }
                    if let Some(root_certificate) = &root_certificate {
                        user.use_tls(root_certificate);
                    }
                    for _ in 0..3 {
                        user.get("/login").await?.expect_body("welcome")?;
                        user.get("/me").await?.expect_body("you")?;
                    }
                    Ok(())
                })
            });
            assert_eq!((round.counts.done, round.connections.opened), (6, 1), "{http2} {tls}");
        }
    }
}

#[test]
fn an_unknown_certificate_is_rejected() {
    let (acceptor, _) = certificate(false);
    let server = Server::speaking(Speech {
        http2: false,
        tls: Some(acceptor),
    });
    let (_, other) = certificate(false);
    let root_certificate = RootCertificate::from_pem(&other).unwrap();
    once_failing(&server, move |user, kind| {
        let root_certificate = root_certificate.clone();
        Box::pin(async move {
            user.use_tls(&root_certificate);
            let failure = user.get("/").await.unwrap_err();
            *kind.lock().unwrap() = format!("{:?}: {failure}", failure.kind());
            Ok(())
        })
    });
    assert!(RootCertificate::from_pem("no certificate").is_err());
}

/// Runs a script whose only request must fail in TLS.
fn once_failing<F>(server: &Server, function: F)
where
    F: for<'a> Fn(&'a mut User, std::sync::Arc<std::sync::Mutex<String>>) -> super::Running<'a> + Send + Sync + 'static,
{
    let text = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let sink = std::sync::Arc::clone(&text);
    let load = super::Load::users(1)
        .arriving_for(std::time::Duration::from_millis(1))
        .requests_per_user(1)
        .for_script();
    let round = super::round(server, load, std::time::Duration::from_millis(500), move |user| {
        function(user, std::sync::Arc::clone(&sink))
    });
    assert_eq!(round.counts.failed, 1);
    let text = text.lock().unwrap();
    assert!(
        text.starts_with("Tls: ")
            && text.contains("BadSignature")
            && text.contains("root_certificate")
            && text.contains("`localhost`"),
        "{text}"
    );
}
