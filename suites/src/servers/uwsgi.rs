//! uWSGI.

use wsgibench_harness::prelude::*;

use super::{APPLICATION, BACKLOG, THREADS, image};

/// uWSGI behind its own HTTP router: a process a core with 4 threads each, keep-alive, chunked answers; the router is one process more.
#[server]
fn uwsgi() -> Server {
    // Not --http11-socket: a connection kept alive pins a thread there (64 connections: 4 served, 60 starved).
    image("uwsgi")
        .command_for_cpus(|cpus| {
            let (processes, threads) = (cpus.to_string(), THREADS.to_string());
            [
                "uwsgi",
                "--http",
                "{host}:{port}",
                "--http-keepalive=75",
                "--http-auto-chunked",
                "--master",
                "--processes",
                &processes,
                "--threads",
                &threads,
                "--listen",
                BACKLOG,
                "--buffer-size",
                "65535",
                "--disable-logging",
                "--die-on-term",
                "--need-app",
                "--module",
                APPLICATION,
            ]
            .map(str::to_owned)
        })
        .tag("study")
}

/// uWSGI as it comes: closes each connection without saying so, a backlog of 100, logs each request.
#[server]
fn uwsgi_default() -> Server {
    image("uwsgi")
        .command(["uwsgi", "--http", "{host}:{port}", "--module", APPLICATION])
        .as_it_comes()
}
