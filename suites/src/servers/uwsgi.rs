//! uWSGI behind its own HTTP router.

use wsgibench_harness::prelude::*;

use super::{BACKLOG, KEEP_ALIVE, THREADS, image, words};

/// uWSGI behind its own HTTP router, an additional process: a process a core with 4 threads each, keep-alive, chunked responses.
#[server]
pub fn uwsgi() -> Server {
    // Not --http11-socket: a connection kept alive pins a thread there (64 connections: 4 served, 60 starved).
    image("uwsgi")
        .reloads_on("SIGHUP")
        .command_for_cpus(|cpus| {
            words(&format!(
                "uwsgi --http {{host}}:{{port}} --http-keepalive={KEEP_ALIVE} --http-auto-chunked --master \
                 --processes {cpus} --threads {THREADS} --listen {BACKLOG} --buffer-size 65535 --disable-logging \
                 --die-on-term --need-app --module application:application"
            ))
        })
        .tag("study")
}

/// uWSGI with its default settings: one process, closes each connection without `Connection: close`, a backlog of 100, logs each request.
#[server]
pub fn uwsgi_default() -> Server {
    image("uwsgi")
        .command(words("uwsgi --http {host}:{port} --module application:application"))
        .untuned()
}
