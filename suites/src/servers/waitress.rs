//! waitress, in pure Python.

use wsgibench_harness::prelude::*;

use super::{THREADS, image, launcher, words};

/// waitress: a process a core with 4 threads each, keep-alive for 12,000 connections.
#[server]
pub fn waitress() -> Server {
    image("waitress")
        .command_for_cpus(|cpus| launcher(&format!("--workers {cpus} --threads {THREADS}")))
        .tag("catalogue")
}

/// waitress with the number of threads as a parameter, for `--tune`; the default variant has its default number.
#[server(threads = [1, 2, 4, 8, 16, 32, 64])]
pub fn waitress_threads(threads: usize) -> Server {
    image("waitress")
        .command(launcher(&format!("--workers 1 --threads {threads}")))
        .default_variant(threads == THREADS)
        .tag("tuning")
        .opt_in()
}

/// waitress with its default settings: one process of 4 threads, 100 connections, a backlog of 1,024.
#[server]
pub fn waitress_default() -> Server {
    image("waitress")
        .command(words("waitress-serve --listen={host}:{port} application:application"))
        .untuned()
}
