//! Servers behind nginx on a Unix socket, as most are deployed.

use wsgibench_harness::prelude::*;

use super::{image, launcher};

/// What both have in common: above that many requests at once the socket's backlog is full, and nginx answers 502.
const LIMIT: &str =
    "above some 4,100 requests at once nginx answers 502: a Unix socket refuses what its backlog cannot hold";

/// nginx in front of Gunicorn: a worker a core of nginx, 2 N + 1 sync workers on a Unix socket.
#[server]
pub fn gunicorn_nginx() -> Server {
    image("gunicorn_nginx")
        .command_for_cpus(|cpus| launcher(&format!("--cores {cpus}")))
        .tag("catalogue")
        .tag("nginx")
        .note(LIMIT)
}

/// nginx in front of uWSGI: a worker a core of nginx, a process a core with 4 threads each on a Unix socket, uwsgi protocol.
#[server]
pub fn uwsgi_nginx() -> Server {
    image("uwsgi_nginx")
        .command_for_cpus(|cpus| launcher(&format!("--cores {cpus}")))
        .tag("catalogue")
        .tag("nginx")
        .note(LIMIT)
}
