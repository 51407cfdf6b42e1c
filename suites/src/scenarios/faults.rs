//! Faults: sixteen connections request the ping, and after three seconds a fault is injected into the server. The results are
//! requests lost and seconds to recover, never a rate.

use wsgibench_harness::prelude::*;

use super::messages::DOCUMENT;

/// Time before the fault, in which the usual rate is measured.
const CALM: Duration = secs(3);

/// Pings that time out after two seconds, so that a hanging server is counted within the round.
fn pings(connections: usize, duration: Duration) -> Load {
    Load::closed(connections)
        .duration(duration)
        .request(get("/").expect_status(200).expect_body("OK"))
        .timeout(secs(2))
        .connect_timeout(secs(2))
}

/// A worker is killed (`SIGKILL`); the server should start another.
#[scenario(connections = [16], tags = ["fault"])]
pub fn worker_killed(connections: usize) -> Load {
    pings(connections, secs(15)).fault(Fault::kill_worker_from("/pid").after(CALM))
}

/// A graceful reload; no request should fail.
#[scenario(connections = [16], tags = ["fault"])]
pub fn reload(connections: usize) -> Load {
    pings(connections, secs(15)).fault(Fault::reload().after(CALM))
}

/// The server is stopped (`SIGTERM`) and started again.
#[scenario(connections = [16], tags = ["fault"])]
pub fn restart(connections: usize) -> Load {
    pings(connections, secs(25)).fault(Fault::restart().after(CALM))
}

/// The application allocates 32 MiB a request until the memory limit is reached.
#[scenario(connections = [16], tags = ["fault"])]
pub fn memory_limit(connections: usize) -> Load {
    pings(connections, secs(25)).fault(Fault::exhaust_memory("/leak?bytes=33554432").after(CALM))
}

/// The application raises, fifty times.
#[scenario(connections = [16], tags = ["fault"])]
pub fn app_raises(connections: usize) -> Load {
    pings(connections, secs(15)).fault(Fault::harmful_requests("/raise", 50).after(CALM))
}

/// The application calls `sys.exit`, three times.
#[scenario(connections = [16], tags = ["fault"])]
pub fn app_exits(connections: usize) -> Load {
    pings(connections, secs(15)).fault(Fault::harmful_requests("/exit", 3).after(CALM))
}

/// The application returns text in place of bytes, fifty times.
#[scenario(connections = [16], tags = ["fault"])]
pub fn app_wrong_type(connections: usize) -> Load {
    pings(connections, secs(15)).fault(Fault::harmful_requests("/wrong-type", 50).after(CALM))
}

/// A steady load of small documents and forms for the given minutes; reports the growth of memory with its interval.
#[scenario(minutes = [2, 30], tags = ["soak"], ignore = "minutes a launch: ask for it by --include-ignored")]
pub fn soak(minutes: u64) -> Load {
    Load::rate(200.0)
        .duration(secs(60 * minutes))
        .request(get("/json").expect_status(200).expect_body(DOCUMENT))
        .request(
            post("/echo")
                .header("Content-Type", "application/octet-stream")
                .body(vec![b'x'; 4_096])
                .expect_status(200)
                .expect_body_length(4_096),
        )
}
