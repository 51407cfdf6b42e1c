//! CherryPy's server, cheroot.

use wsgibench_harness::prelude::*;

use super::{BACKLOG, CONNECTIONS, THREADS, image, launcher};

/// CherryPy's server (cheroot): a process a core with 4 threads each, keep-alive for 12,000 connections.
#[server]
pub fn cherrypy() -> Server {
    image("cherrypy")
        .command_for_cpus(|cpus| {
            launcher(&format!(
                "--workers {cpus} --threads {THREADS} --backlog {BACKLOG} --keep-alive-connections {CONNECTIONS}"
            ))
        })
        .tag("study")
}

/// CherryPy's server with its default settings: 10 threads, a backlog of 5, 10 connections kept alive.
#[server]
pub fn cherrypy_default() -> Server {
    image("cherrypy").command(launcher("")).untuned()
}
