//! Scenarios of the two published studies.

use wsgibench_harness::prelude::*;

/// Ping-pong: a two-byte response over busy connections, as in both studies.
#[scenario(connections = [64, 100, 500, 1000, 5000, 10_000], tags = ["study"])]
pub fn ping(connections: usize) -> Load {
    Load::closed(connections).request(
        get("/")
            .expect_status(200)
            .expect_header("content-type", "text/plain")
            .expect_body("OK"),
    )
}

/// Five users a second arrive for a minute; each sends 10,000 requests over one connection.
#[scenario(tags = ["study"])]
pub fn kubeup() -> Load {
    Load::users(5)
        .every(secs(1))
        .arriving_for(secs(60))
        .requests_per_user(10_000)
        .duration(secs(90))
        .request(get("/").expect_status(200).expect_body("OK"))
}
