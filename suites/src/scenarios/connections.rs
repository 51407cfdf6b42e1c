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

/// A steady load of independent users at a share of what this server can do, percent: what do they wait?
#[scenario(share = [50, 80, 95])]
pub fn steady(share: u32) -> Load {
    ping(Load::poisson(f64::from(share) / 100.0))
        .of_capacity()
        .duration(secs(8))
}

/// From a third of what this server can do to four times as much for two seconds and back: how long until it answers as before?
#[scenario]
pub fn burst() -> Load {
    ping(Load::stages([
        Stage::constant(0.3, Some(secs(4))),
        Stage::constant(4.0, Some(secs(2))),
        Stage::constant(0.3, Some(secs(14))),
    ]))
    .of_capacity()
}

/// Sixteen users beside forty who take in a download at 4 KiB a second: does the server keep a thread for each of them?
#[scenario(connections = [16], slow = [40])]
pub fn slow_readers(connections: usize, slow: usize) -> Load {
    ping(Load::closed(connections))
        .timeout(secs(2))
        .background_clients(Slow::readers(slow, "/download"))
}

/// Sixteen users beside forty who send a form at 100 bytes a second.
#[scenario(connections = [16], slow = [40])]
pub fn slow_writers(connections: usize, slow: usize) -> Load {
    ping(Load::closed(connections))
        .timeout(secs(2))
        .background_clients(Slow::writers(slow, "/upload", 10_000))
}
