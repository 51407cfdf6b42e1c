//! Applications that compute, and applications that wait for a timer.

use wsgibench_harness::prelude::*;

/// A few milliseconds of interpreted work that hold the interpreter lock.
#[scenario(connections = [16])]
pub fn cpu(connections: usize) -> Load {
    Load::closed(connections).request(get("/cpu").expect_status(200).expect_body("1221129777"))
}

/// A wait of 10 ms, as for a database; shows how many requests overlap.
#[scenario(connections = [64])]
pub fn sleep(connections: usize) -> Load {
    Load::closed(connections).request(get("/sleep").expect_status(200).expect_body("10"))
}
