//! CherryPy's server, cheroot.

use wsgibench_harness::prelude::*;

use super::{APPLICATION, BACKLOG, THREADS, image};

/// CherryPy's server (cheroot): a process a core with 4 threads each, keep-alive for 12,000 connections.
#[server]
fn cherrypy() -> Server {
    image("cherrypy")
        .command_for_cpus(|cpus| {
            let (workers, threads) = (cpus.to_string(), THREADS.to_string());
            [
                "python",
                "-m",
                "wsgibench_serve",
                "--workers",
                &workers,
                "--threads",
                &threads,
                "--backlog",
                BACKLOG,
                "--keep-alive-connections",
                "12000",
                "--port",
                "{port}",
                APPLICATION,
            ]
            .map(str::to_owned)
        })
        .tag("study")
}

/// CherryPy's server as it comes: 10 threads, a backlog of 5, 10 connections kept alive.
#[server]
fn cherrypy_default() -> Server {
    image("cherrypy")
        .command(["python", "-m", "wsgibench_serve", "--port", "{port}", APPLICATION])
        .as_it_comes()
}
