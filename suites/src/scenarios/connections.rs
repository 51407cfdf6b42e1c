//! The cost of connections: one for each request, thousands idle, slow clients, and bursts.

use wsgibench_harness::prelude::*;

pub(super) fn ping() -> Request {
    get("/").expect_status(200).expect_body("OK")
}

/// A connection for each request.
#[scenario(connections = [64])]
pub fn closing(connections: usize) -> Load {
    Load::closed(connections).keep_alive(KeepAlive::Never).request(ping())
}

/// Sixteen busy connections and ten thousand idle ones.
#[scenario(connections = [16], idle = [10_000])]
pub fn idle(connections: usize, idle: usize) -> Load {
    Load::closed(connections).idle_connections(idle).request(ping())
}

/// The latency of Poisson arrivals at a share of the server's capacity, percent.
#[scenario(share = [50, 80, 95])]
pub fn steady(share: u32) -> Load {
    Load::poisson(f64::from(share) / 100.0)
        .of_capacity()
        .duration(secs(8))
        .request(ping())
}

/// A burst of two seconds at four times the server's capacity, from and back to a third of it: the time to recover.
#[scenario]
pub fn burst() -> Load {
    Load::stages([
        Stage::constant(0.3, secs(4)),
        Stage::constant(4.0, secs(2)),
        Stage::constant(0.3, secs(14)),
    ])
    .of_capacity()
    .request(ping())
}

/// Sixteen users and forty slow readers of a download (4 KiB a second), each of which may occupy a thread of the server.
#[scenario(connections = [16], slow = [40])]
pub fn slow_readers(connections: usize, slow: usize) -> Load {
    Load::closed(connections)
        .request(ping())
        .timeout(secs(2))
        .background_clients(Slow::readers(slow, "/download"))
}

/// Sixteen users and forty slow senders of a form (100 bytes a second).
#[scenario(connections = [16], slow = [40])]
pub fn slow_writers(connections: usize, slow: usize) -> Load {
    Load::closed(connections)
        .request(ping())
        .timeout(secs(2))
        .background_clients(Slow::writers(slow, "/upload", 10_000))
}
