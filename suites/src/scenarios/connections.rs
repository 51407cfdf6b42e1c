//! What connections cost: opened for each request, idle by the thousand, or all at once.

use wsgibench_harness::prelude::*;

fn ping(load: Load) -> Load {
    load.get("/").expect_status(200).expect_body("OK")
}

/// A connection for each request.
#[scenario(connections = [64])]
pub fn closing(connections: usize) -> Load {
    ping(Load::closed(connections).keep_alive(KeepAlive::Never))
}

/// Sixteen busy connections beside ten thousand that are open and say nothing.
#[scenario(connections = [16], idle = [10_000])]
pub fn idle(connections: usize, idle: usize) -> Load {
    ping(Load::closed(connections).idle_connections(idle))
}

/// From 200 requests a second to 20,000 for two seconds and back: how long until it answers as before?
#[scenario]
pub fn burst() -> Load {
    ping(Load::stages([
        Stage::constant(200.0, Some(secs(4))),
        Stage::constant(20_000.0, Some(secs(2))),
        Stage::constant(200.0, Some(secs(14))),
    ]))
}
