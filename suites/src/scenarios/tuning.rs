//! Loads for `--tune`, on servers whose workers and threads are parameters.

use wsgibench_harness::prelude::*;

use crate::servers::{gunicorn::gthread, waitress::waitress_threads};

/// A wait of 10 ms, as for another service: threads that wait cost little, so that many are better.
#[scenario(servers = [gthread, waitress_threads], connections = [64], tags = ["tuning"])]
pub fn wait(connections: usize) -> Load {
    Load::closed(connections).request(get("/sleep").expect_status(200).expect_body("10"))
}

/// A wait of 10 ms and, in one of four requests, some milliseconds of interpreted work: more threads than waiting needs delay each
/// other.
#[scenario(servers = [gthread, waitress_threads], connections = [64], tags = ["tuning"])]
pub fn wait_and_work(connections: usize) -> Load {
    Load::closed(connections)
        .request(get("/sleep").expect_status(200).expect_body("10").weight(3))
        .request(get("/cpu").expect_status(200).expect_body("1221129777"))
}

/// The wait of 10 ms at 200 random arrivals a second, for `--goal cost` and `--goal p99`.
#[scenario(servers = [gthread, waitress_threads], rate = [200], tags = ["tuning"])]
pub fn wait_at_rate(rate: u32) -> Load {
    Load::poisson(rate).request(get("/sleep").expect_status(200).expect_body("10"))
}
