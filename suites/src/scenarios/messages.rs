//! Small requests and answers.

use wsgibench_harness::prelude::*;

/// What `/json` answers.
pub(super) const DOCUMENT: &str =
    r#"{"message":"Hello, World!","numbers":[0,1,2,3,4,5,6,7,8,9],"nested":{"true":true,"null":null}}"#;

/// A small JSON document, made anew for each answer.
#[scenario(connections = [64])]
pub fn json(connections: usize) -> Load {
    Load::closed(connections)
        .get("/json")
        .expect_status(200)
        .expect_header("content-type", "application/json")
        .expect_body(DOCUMENT)
}

/// Headers that the application answers one by one.
const HEADERS: usize = 30;

/// Thirty headers in, thirty out, each with the value that came in.
#[scenario(connections = [64])]
pub fn headers(connections: usize) -> Load {
    let mut request = Request::new("GET", "/headers");
    request.checks = vec![Check::Status(200), Check::Body("30".into())];
    for n in 1..=HEADERS {
        let value = format!("value-{n:02}");
        request.headers.push((format!("X-In-{n:02}"), value.clone()));
        request.checks.push(Check::Header(format!("x-out-{n:02}"), value));
    }
    Load::closed(connections).request(request)
}

/// What a small site is asked: seven pings to two documents to one form of 1 KiB.
#[scenario(connections = [64])]
pub fn mix(connections: usize) -> Load {
    let weighted = |weight, request| Request { weight, ..request };
    let form = Request {
        headers: vec![("Content-Type".into(), "application/octet-stream".into())],
        body: Body::Bytes(vec![b'x'; 1_024]),
        checks: vec![
            Check::Status(200),
            Check::Body(vec![b'x'; 1_024]),
            Check::Header("x-method".into(), "POST".into()),
        ],
        ..Request::new("POST", "/echo")
    };
    let get = |path: &str, body: &str| Request {
        checks: vec![Check::Status(200), Check::Body(body.into())],
        ..Request::new("GET", path)
    };
    Load::closed(connections)
        .request(weighted(7, get("/", "OK")))
        .request(weighted(2, get("/json", DOCUMENT)))
        .request(weighted(1, form))
}
