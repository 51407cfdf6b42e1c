//! CherryPy's server, cheroot.

use wsgibench_harness::prelude::*;

use super::{BACKLOG, CONNECTIONS, THREADS, image, launcher};

/// CherryPy's server (cheroot): a process a core with 4 threads each, keep-alive for 12,000 connections.
#[server]
pub fn cherrypy() -> Server {
    image("cherrypy")
        .command_for_cpus(|cpus| tuned(cpus, THREADS))
        .tag("study")
}

fn tuned(workers: usize, threads: usize) -> Vec<String> {
    launcher(&format!(
        "--workers {workers} --threads {threads} --backlog {BACKLOG} --keep-alive-connections {CONNECTIONS}"
    ))
}

/// CherryPy's server with the number of threads as a parameter, for `--tune`. The default variant has its default number.
#[server(threads = [1, 4, 10, 16, 32, 64])]
pub fn cherrypy_threads(threads: usize) -> Server {
    image("cherrypy")
        .command(tuned(1, threads))
        .default_variant(threads == 10)
        .tag("tuning")
        .opt_in()
}

/// CherryPy's server with its default settings: 10 threads, a backlog of 5, 10 connections kept alive.
#[server]
pub fn cherrypy_default() -> Server {
    image("cherrypy").command(launcher("")).untuned()
}
