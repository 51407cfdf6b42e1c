//! Small requests and responses.

use wsgibench_harness::prelude::*;

/// The response of `/json`.
pub(super) const DOCUMENT: &str =
    r#"{"message":"Hello, World!","numbers":[0,1,2,3,4,5,6,7,8,9],"nested":{"true":true,"null":null}}"#;

/// A small JSON document, serialised for each response.
#[scenario(connections = [64])]
pub fn json(connections: usize) -> Load {
    Load::closed(connections).request(
        get("/json")
            .expect_status(200)
            .expect_header("content-type", "application/json")
            .expect_body(DOCUMENT),
    )
}

/// Request headers that the application echoes.
const HEADERS: usize = 30;

/// Thirty headers in, thirty out, each with the value that came in.
#[scenario(connections = [64])]
pub fn headers(connections: usize) -> Load {
    let echo = (1..=HEADERS).fold(get("/headers").expect_status(200).expect_body("30"), |echo, n| {
        let value = format!("value-{n:02}");
        echo.header(format!("X-In-{n:02}"), value.clone())
            .expect_header(format!("x-out-{n:02}"), value)
    });
    Load::closed(connections).request(echo)
}

/// The mix of a small site: seven pings to two documents to one form of 1 KiB.
#[scenario(connections = [64])]
pub fn mix(connections: usize) -> Load {
    let form = vec![b'x'; 1_024];
    Load::closed(connections)
        .request(get("/").weight(7).expect_status(200).expect_body("OK"))
        .request(get("/json").weight(2).expect_status(200).expect_body(DOCUMENT))
        .request(
            post("/echo")
                .header("Content-Type", "application/octet-stream")
                .body(form.clone())
                .expect_status(200)
                .expect_body(form)
                .expect_header("x-method", "POST"),
        )
}
