//! The two studies' own.

use wsgibench_harness::prelude::*;

/// Ping-pong: a two-byte answer over connections that never pause, as both studies have it.
#[scenario(connections = [64, 100, 500, 1000, 5000, 10_000], tags = ["study"])]
pub fn ping(connections: usize) -> Load {
    Load::closed(connections)
        .get("/")
        .expect_status(200)
        .expect_header("content-type", "text/plain")
        .expect_body("OK")
}

/// Users who arrive, five a second for a minute, and each ask 10,000 times over one connection.
#[scenario(tags = ["study"])]
pub fn kubeup() -> Load {
    Load::users(5)
        .every(secs(1))
        .arriving_for(secs(60))
        .requests_per_user(10_000)
        .get("/")
        .expect_status(200)
        .expect_body("OK")
        .duration(secs(90))
}
