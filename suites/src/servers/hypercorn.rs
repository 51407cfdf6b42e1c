//! Hypercorn with its own WSGI adapter.

use wsgibench_harness::prelude::*;

use super::{BACKLOG, KEEP_ALIVE, image, words};

/// Hypercorn (uvloop) and its own WSGI adapter: a process a core, Python's default pool of threads, keep-alive.
#[server]
pub fn hypercorn() -> Server {
    image("hypercorn")
        .command_for_cpus(|cpus| {
            words(&format!(
                "hypercorn --config python:wsgibench_config --worker-class uvloop --workers {cpus} --backlog {BACKLOG} \
                 --keep-alive {KEEP_ALIVE} --log-level warning --bind {{host}}:{{port}} wsgi:application:application"
            ))
        })
        .tag("catalogue")
}

/// Hypercorn with its default settings: one process on asyncio, a backlog of 100, bodies up to 16 MiB.
#[server]
pub fn hypercorn_default() -> Server {
    image("hypercorn")
        .command(words("hypercorn --bind {host}:{port} wsgi:application:application"))
        .untuned()
}
