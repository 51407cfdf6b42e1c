//! The standard library's server.

use wsgibench_harness::prelude::*;

use super::{APPLICATION, BACKLOG, image};

/// The standard library's server, a baseline: HTTP/1.0, one process, one request at a time, on however many cores.
#[server]
fn wsgiref() -> Server {
    image("wsgiref")
        .command([
            "python",
            "-m",
            "wsgibench_serve",
            "--backlog",
            BACKLOG,
            "--port",
            "{port}",
            APPLICATION,
        ])
        .tag("study")
}
