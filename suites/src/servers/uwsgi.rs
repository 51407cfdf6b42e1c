//! uWSGI behind its own HTTP router.

use wsgibench_harness::prelude::*;

use super::{BACKLOG, KEEP_ALIVE, THREADS, image, words};

/// uWSGI behind its own HTTP router, an additional process: a process a core with 4 threads each, keep-alive, chunked responses.
#[server]
pub fn uwsgi() -> Server {
    // Not --http11-socket: a connection kept alive pins a thread there (64 connections: 4 served, 60 starved).
    image("uwsgi")
        .reloads_on("SIGHUP")
        .command_for_cpus(|cpus| tuned(cpus, THREADS))
        .tag("study")
}

fn tuned(processes: usize, threads: usize) -> Vec<String> {
    words(&format!(
        "uwsgi --http {{host}}:{{port}} --http-keepalive={KEEP_ALIVE} --http-auto-chunked --master \
         --processes {processes} --threads {threads} --listen {BACKLOG} --buffer-size 65535 --disable-logging \
         --die-on-term --need-app --module application:application"
    ))
}

/// uWSGI with the numbers of processes and threads as parameters, for `--tune`. The default variant is `uwsgi` on one core.
#[server(processes = [1, 2, 4], threads = [1, 4, 16, 64])]
pub fn uwsgi_threads(processes: usize, threads: usize) -> Server {
    image("uwsgi")
        .reloads_on("SIGHUP")
        .command(tuned(processes, threads))
        .default_variant(processes == 1 && threads == THREADS)
        .tag("tuning")
        .opt_in()
}

/// uWSGI with its default settings: one process, closes each connection without `Connection: close`, a backlog of 100, logs each request.
#[server]
pub fn uwsgi_default() -> Server {
    image("uwsgi")
        .command(words("uwsgi --http {host}:{port} --module application:application"))
        .untuned()
}
