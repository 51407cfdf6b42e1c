//! What happens when things go wrong. Sixteen connections ask for the ping; after three seconds something is done to the server.
//! The results are requests lost and seconds to recover, never a rate.

use wsgibench_harness::prelude::*;

use super::messages::DOCUMENT;

/// Time for the server to show its usual rate.
const CALM: Duration = secs(3);

/// A ping that gives up after two seconds, so that what hangs is counted within the round.
fn pings(connections: usize) -> Load {
    Load::closed(connections)
        .get("/")
        .expect_status(200)
        .expect_body("OK")
        .timeout(secs(2))
        .connect_timeout(secs(2))
        .duration(secs(15))
}

/// A worker is killed (`SIGKILL`): who notices, and who starts another?
#[scenario(connections = [16], tags = ["fault"])]
pub fn worker_killed(connections: usize) -> Load {
    pings(connections).fault(Fault::kill_worker().worker_from("/pid").after(CALM))
}

/// A graceful reload: does any request fail?
#[scenario(connections = [16], tags = ["fault"])]
pub fn reload(connections: usize) -> Load {
    pings(connections).fault(Fault::reload().after(CALM))
}

/// The server is stopped in an orderly way and started again.
#[scenario(connections = [16], tags = ["fault"])]
pub fn restart(connections: usize) -> Load {
    pings(connections)
        .fault(Fault::restart().after(CALM))
        .duration(secs(25))
}

/// The application takes memory, 32 MiB a request, until the limit strikes.
#[scenario(connections = [16], tags = ["fault"])]
pub fn memory_limit(connections: usize) -> Load {
    pings(connections)
        .fault(Fault::exhaust_memory("/leak?bytes=33554432").after(CALM))
        .duration(secs(25))
}

/// The application raises, fifty times.
#[scenario(connections = [16], tags = ["fault"])]
pub fn app_raises(connections: usize) -> Load {
    pings(connections).fault(Fault::ask("/raise").times(50).after(CALM))
}

/// The application calls `sys.exit`, three times.
#[scenario(connections = [16], tags = ["fault"])]
pub fn app_exits(connections: usize) -> Load {
    pings(connections).fault(Fault::ask("/exit").times(3).after(CALM))
}

/// The application answers text where bytes belong, fifty times.
#[scenario(connections = [16], tags = ["fault"])]
pub fn app_wrong_type(connections: usize) -> Load {
    pings(connections).fault(Fault::ask("/wrong-type").times(50).after(CALM))
}

/// Does memory grow? A steady load of small documents and forms, for as long as the parameter says; the slope comes with its interval.
#[scenario(minutes = [2, 30], tags = ["soak"], ignore = "minutes a launch: ask for it by --include-ignored")]
pub fn soak(minutes: u64) -> Load {
    Load::rate(200.0)
        .get("/json")
        .expect_status(200)
        .expect_body(DOCUMENT)
        .post("/echo")
        .header("Content-Type", "application/octet-stream")
        .body(vec![b'x'; 4_096])
        .expect_status(200)
        .expect(Check::BodyLength(4_096))
        .duration(secs(60 * minutes))
}
