//! Loads for `--tune`, on servers whose workers and threads are parameters.

use wsgibench_harness::prelude::*;

use super::{connections::ping, database::rows};
use crate::servers::{
    cherrypy::cherrypy_threads,
    database::gthread_database,
    granian::granian_threads,
    gunicorn::{gevent_workers, gthread, sync_workers},
    uwsgi::uwsgi_threads,
    waitress::waitress_threads,
};

/// The wait of 10 ms, as for another service.
fn waiting() -> Request {
    get("/sleep").expect_status(200).expect_body("10")
}

/// A wait of 10 ms, as for another service: threads that wait cost little, so that many are better.
#[scenario(
    servers = [gthread, sync_workers, gevent_workers, uwsgi_threads, granian_threads, waitress_threads, cherrypy_threads],
    connections = [64],
    tags = ["tuning"]
)]
pub fn wait(connections: usize) -> Load {
    Load::closed(connections).request(waiting())
}

/// A wait of 10 ms and, in one of four requests, some milliseconds of interpreted work: more threads than waiting needs delay each
/// other.
#[scenario(
    servers = [gthread, sync_workers, gevent_workers, uwsgi_threads, granian_threads, waitress_threads, cherrypy_threads],
    connections = [64],
    tags = ["tuning"]
)]
pub fn wait_and_work(connections: usize) -> Load {
    Load::closed(connections)
        .request(waiting().weight(3))
        .request(get("/cpu").expect_status(200).expect_body("1221129777"))
}

/// The wait of 10 ms at 200 random arrivals a second, for `--goal cost` and `--goal p99`.
#[scenario(
    servers = [gthread, sync_workers, gevent_workers, uwsgi_threads, granian_threads, waitress_threads, cherrypy_threads],
    rate = [200],
    tags = ["tuning"]
)]
pub fn wait_at_rate(rate: u32) -> Load {
    Load::poisson(rate).request(waiting())
}

/// A row by its key from PostgreSQL: each request waits for one of the 16 database connections of its process.
#[scenario(servers = [gthread_database], connections = [64], tags = ["tuning"])]
pub fn wait_for_database(connections: usize) -> Load {
    rows("GET", connections)
}

/// A health check in one of twenty requests, which must answer within 50 ms although the others may hold all threads.
#[scenario(servers = [gthread, sync_workers, waitress_threads], rate = [100], tags = ["tuning"])]
pub fn health_check(rate: u32) -> Load {
    Load::poisson(rate)
        .threshold(Threshold::p99_below(millis(50)).of_request("GET /"))
        .request(waiting().weight(19))
        .request(ping())
}

/// The wait of 10 ms with twenty slow readers of a download (4 KiB a second), each of which may hold a thread.
#[scenario(servers = [gthread, gevent_workers, waitress_threads], connections = [16], tags = ["tuning"])]
pub fn wait_with_slow_clients(connections: usize) -> Load {
    Load::closed(connections)
        .request(waiting())
        .timeout(secs(2))
        .background_clients(Slow::readers(20, "/download"))
}

/// Half a second of 600 arrivals a second of the wait of 10 ms, between 50 a second, for `--goal p99`.
#[scenario(servers = [gthread, sync_workers, waitress_threads], tags = ["tuning"])]
pub fn wait_in_a_burst() -> Load {
    Load::stages([
        Stage::constant(50, millis(500)).poisson(),
        Stage::constant(600, millis(500)).poisson(),
        Stage::constant(50, millis(1_000)).poisson(),
    ])
    .request(waiting())
}
