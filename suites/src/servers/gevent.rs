//! gevent's pywsgi.

use wsgibench_harness::prelude::*;

use super::{APPLICATION, BACKLOG, image};

/// gevent's pywsgi: a process a core, a greenlet a connection, keep-alive, no Nagle delay.
#[server]
fn gevent() -> Server {
    image("gevent")
        .command_for_cpus(|cpus| {
            let workers = cpus.to_string();
            [
                "python",
                "-m",
                "wsgibench_serve",
                "--workers",
                &workers,
                "--backlog",
                BACKLOG,
                "--port",
                "{port}",
                "--no-delay",
                APPLICATION,
            ]
            .map(str::to_owned)
        })
        .tag("study")
}
