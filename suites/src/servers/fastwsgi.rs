//! `FastWSGI`, in C on libuv.

use wsgibench_harness::prelude::*;

use super::{BACKLOG, image, launcher};

/// `FastWSGI`: a process a core (single-threaded by design), keep-alive.
#[server]
pub fn fastwsgi() -> Server {
    image("fastwsgi")
        .command_for_cpus(|cpus| {
            launcher(&format!(
                "--workers {cpus} --backlog {BACKLOG} --no-delay --read-buffer 16384"
            ))
        })
        .tag("catalogue")
}

/// `FastWSGI` with its default settings: one process, 64 KiB of memory for each connection.
#[server]
pub fn fastwsgi_default() -> Server {
    image("fastwsgi")
        .command(launcher(""))
        .untuned()
        .note("64 KiB a connection: about 720 MB at 10,000")
}
