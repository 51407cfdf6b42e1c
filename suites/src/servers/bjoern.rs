//! bjoern.

use wsgibench_harness::prelude::*;

use super::{APPLICATION, BACKLOG, image};

/// bjoern: a process a core (single-threaded by design), keep-alive.
#[server]
fn bjoern() -> Server {
    image("bjoern")
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
                APPLICATION,
            ]
            .map(str::to_owned)
        })
        .tag("study")
}
