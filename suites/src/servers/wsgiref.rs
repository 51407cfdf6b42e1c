//! The standard library's server.

use wsgibench_harness::prelude::*;

use super::{BACKLOG, image, launcher};

/// The standard library's server, a baseline: HTTP/1.0, one process, one request at a time, on however many cores.
#[server]
pub fn wsgiref() -> Server {
    image("wsgiref")
        .command(launcher(&format!("--backlog {BACKLOG}")))
        .tag("study")
        .note("HTTP/1.0: closes every connection")
}

/// The standard library's server with its default settings: a backlog of 5 and an access log.
#[server]
pub fn wsgiref_default() -> Server {
    image("wsgiref").command(launcher("--access-log")).untuned()
}
