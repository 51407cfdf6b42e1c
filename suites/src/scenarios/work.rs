//! Applications that compute, and applications that wait.

use wsgibench_harness::prelude::*;

/// A fixed amount of interpreted work, a few milliseconds that hold the interpreter lock.
#[scenario(connections = [16])]
pub fn cpu(connections: usize) -> Load {
    Load::closed(connections)
        .get("/cpu")
        .expect_status(200)
        .expect_body("1221129777")
}

/// A wait of 10 ms, as for a database: how many requests overlap?
#[scenario(connections = [64])]
pub fn sleep(connections: usize) -> Load {
    Load::closed(connections)
        .get("/sleep")
        .expect_status(200)
        .expect_body("10")
}
