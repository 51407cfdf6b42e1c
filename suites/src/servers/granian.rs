//! Granian, Python on a Rust runtime.

use wsgibench_harness::prelude::*;

use super::{BACKLOG, CONNECTIONS, THREADS, image, words};

/// Granian (WSGI): a worker a core with 4 blocking threads each on a Rust runtime, failed workers respawned.
#[server]
pub fn granian() -> Server {
    image("granian")
        .reloads_on("SIGHUP")
        .command_for_cpus(|cpus| tuned(cpus, THREADS))
        .tag("catalogue")
}

fn tuned(workers: usize, threads: usize) -> Vec<String> {
    words(&format!(
        "granian --interface wsgi --workers {workers} --blocking-threads {threads} --backlog {BACKLOG} \
         --backpressure {CONNECTIONS} --respawn-failed-workers --no-ws --http 1 --log-level warning \
         --host {{host}} --port {{port}} application:application"
    ))
}

/// Granian (WSGI) with the numbers of workers and Python threads as parameters, for `--tune`. The default variant is `granian` on
/// one core.
#[server(workers = [1, 2, 4], threads = [1, 4, 16, 64])]
pub fn granian_threads(workers: usize, threads: usize) -> Server {
    image("granian")
        .reloads_on("SIGHUP")
        .command(tuned(workers, threads))
        .default_variant(workers == 1 && threads == THREADS)
        .tag("tuning")
        .opt_in()
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
