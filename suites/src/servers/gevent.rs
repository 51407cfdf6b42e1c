//! gevent's own server.

use wsgibench_harness::prelude::*;

use super::{BACKLOG, image, launcher};

/// gevent's pywsgi: a process a core, a greenlet a connection, keep-alive, no Nagle delay.
#[server]
pub fn gevent() -> Server {
    image("gevent")
        .command_for_cpus(|cpus| launcher(&format!("--workers {cpus} --backlog {BACKLOG} --no-delay")))
        .tag("study")
}

/// gevent's pywsgi with its default settings: one process, a backlog of 128, an access log, head and body sent separately.
#[server]
pub fn gevent_default() -> Server {
    image("gevent")
        .command(launcher("--access-log"))
        .untuned()
        .note("Nagle's delay and delayed acknowledgements cost about 40 ms a request")
}
