//! meinheld, in C on greenlets.

use wsgibench_harness::prelude::*;

use super::{KEEP_ALIVE, image, launcher};

fn on_python_39() -> Server {
    image("meinheld")
        .python_version("3.9")
        .note("Python 3.9, the newest that meinheld 1.0.2 (2020) builds on")
}

/// meinheld 1.0.2 (2020) on Python 3.9, the newest it builds on: a process a core (single-threaded), keep-alive, no access log.
#[server]
pub fn meinheld() -> Server {
    on_python_39()
        .command_for_cpus(|cpus| launcher(&format!("--workers {cpus} --keep-alive {KEEP_ALIVE} --max-fd 16384")))
        .tag("study")
}

/// meinheld with its default settings: no keep-alive, an access log, at most 4,096 descriptors.
#[server]
pub fn meinheld_default() -> Server {
    on_python_39().command(launcher("--access-log")).untuned()
}
