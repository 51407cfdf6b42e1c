//! bjoern, in C on libev.

use wsgibench_harness::prelude::*;

use super::{BACKLOG, image, launcher};

/// bjoern: a process a core (single-threaded by design), keep-alive.
#[server]
pub fn bjoern() -> Server {
    image("bjoern")
        .command_for_cpus(|cpus| launcher(&format!("--workers {cpus} --backlog {BACKLOG}")))
        .tag("study")
}

/// bjoern with its default settings: one process, a backlog of 1,024.
#[server]
pub fn bjoern_default() -> Server {
    image("bjoern").command(launcher("")).untuned()
}
