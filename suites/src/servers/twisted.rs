//! Twisted's WSGI resource.

use wsgibench_harness::prelude::*;

use super::{BACKLOG, KEEP_ALIVE, THREADS, image, launcher};

/// Twisted's WSGI resource: a process a core with 4 threads each, keep-alive.
#[server]
pub fn twisted() -> Server {
    image("twisted")
        .command_for_cpus(|cpus| {
            launcher(&format!(
                "--workers {cpus} --threads {THREADS} --backlog {BACKLOG} --keep-alive {KEEP_ALIVE}"
            ))
        })
        .tag("catalogue")
}

/// Twisted's WSGI resource with its default settings: one process of up to 10 threads, a backlog of 50, an access log.
#[server]
pub fn twisted_default() -> Server {
    image("twisted").command(launcher("--access-log")).untuned()
}
