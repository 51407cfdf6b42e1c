//! Granian, Python on a Rust runtime.

use wsgibench_harness::prelude::*;

use super::{BACKLOG, CONNECTIONS, THREADS, image, words};

/// Granian (WSGI): a worker a core with 4 blocking threads each on a Rust runtime, failed workers respawned.
#[server]
pub fn granian() -> Server {
    image("granian")
        .reloads_on("SIGHUP")
        .command_for_cpus(|cpus| {
            words(&format!(
                "granian --interface wsgi --workers {cpus} --blocking-threads {THREADS} --backlog {BACKLOG} \
                 --backpressure {CONNECTIONS} --respawn-failed-workers --no-ws --http 1 --log-level warning \
                 --host {{host}} --port {{port}} application:application"
            ))
        })
        .tag("catalogue")
}

/// Granian with its default settings: one worker, up to 512 Python threads.
#[server]
pub fn granian_default() -> Server {
    image("granian")
        .reloads_on("SIGHUP")
        .command(words(
            "granian --interface wsgi --host {host} --port {port} application:application",
        ))
        .untuned()
}
