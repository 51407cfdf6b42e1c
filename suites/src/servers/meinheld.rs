//! meinheld.

use wsgibench_harness::prelude::*;

use super::{APPLICATION, image};

/// meinheld 1.0.2 (2020) on Python 3.9, the newest it builds on: a process a core (single-threaded), keep-alive, no access log.
#[server]
fn meinheld() -> Server {
    image("meinheld")
        .python_version("3.9")
        .command_for_cpus(|cpus| {
            let workers = cpus.to_string();
            [
                "python",
                "-m",
                "wsgibench_serve",
                "--workers",
                &workers,
                "--keep-alive",
                "75",
                "--max-fd",
                "16384",
                "--port",
                "{port}",
                APPLICATION,
            ]
            .map(str::to_owned)
        })
        .note(
            "on Python 3.9: its greenlet does not build on newer ones, so its figures are not of the same interpreter",
        )
        .tag("study")
}
