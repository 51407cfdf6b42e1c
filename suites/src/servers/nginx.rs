//! Servers behind nginx on a Unix socket, a common deployment.

use wsgibench_harness::prelude::*;

use super::{image, launcher};

/// Note on both servers: with more requests at once the socket's backlog is full, and nginx responds with 502.
const LIMIT: &str = "above about 4,100 requests at once nginx responds with 502: the Unix socket's backlog is full";

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
