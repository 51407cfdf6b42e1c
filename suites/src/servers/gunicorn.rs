//! Gunicorn with its worker classes.

use wsgibench_harness::prelude::*;

use super::{BACKLOG, CONNECTIONS, KEEP_ALIVE, THREADS, image, words};

const APPLICATION: &str = "application:application";

/// What every class is given: its heartbeat file in memory, and no control socket, which needs a writable home.
fn tuned(class: &str, workers: usize, more: &str) -> Vec<String> {
    words(&format!(
        "gunicorn --worker-class {class} --workers {workers} --bind {{host}}:{{port}} --backlog {BACKLOG} \
         --no-control-socket --worker-tmp-dir /dev/shm {more} {APPLICATION}"
    ))
}

/// Keep-alive for many connections a worker.
fn keep_alive() -> String {
    format!("--keep-alive {KEEP_ALIVE} --worker-connections {CONNECTIONS}")
}

/// Its arbiter replaces the workers one by one at a hang-up.
fn gunicorn() -> Server {
    image("gunicorn").reloads_on("SIGHUP")
}

fn untuned(options: &str) -> Server {
    gunicorn()
        .command(words(&format!(
            "gunicorn {options} --bind {{host}}:{{port}} {APPLICATION}"
        )))
        .untuned()
}

/// Gunicorn, sync workers: one request at a time each, every connection closed (it never keeps one alive), 2 N + 1 workers as
/// its documentation says.
#[server]
pub fn gunicorn_sync() -> Server {
    gunicorn()
        .command_for_cpus(|cpus| tuned("sync", 2 * cpus + 1, ""))
        .tag("study")
        .note("closes every connection: made to stand behind a proxy that buffers")
}

/// Gunicorn, sync worker as it comes: one worker, a backlog of 2,048.
#[server]
pub fn gunicorn_sync_default() -> Server {
    untuned("")
}

/// Gunicorn, threaded workers: a process a core with 4 threads each, keep-alive.
#[server]
pub fn gunicorn_gthread() -> Server {
    gunicorn()
        .command_for_cpus(|cpus| tuned("gthread", cpus, &format!("--threads {THREADS} {}", keep_alive())))
        .tag("study")
}

/// Gunicorn, threaded worker as it comes: one worker, here with 4 threads, keep-alive of 2 s, 1,000 connections.
#[server]
pub fn gunicorn_gthread_default() -> Server {
    untuned("--worker-class gthread --threads 4")
}

/// Gunicorn, gevent workers: a process a core, a greenlet a connection, keep-alive.
#[server]
pub fn gunicorn_gevent() -> Server {
    gunicorn()
        .command_for_cpus(|cpus| tuned("gevent", cpus, &keep_alive()))
        .tag("study")
}

/// Gunicorn, gevent worker as it comes: one worker, keep-alive of 2 s, 1,000 connections.
#[server]
pub fn gunicorn_gevent_default() -> Server {
    untuned("--worker-class gevent")
}

/// Gunicorn, tornado workers: a process a core, keep-alive.
#[server]
pub fn gunicorn_tornado() -> Server {
    gunicorn()
        .command_for_cpus(|cpus| tuned("tornado", cpus, ""))
        .tag("catalogue")
}

/// Gunicorn, tornado worker as it comes: one worker, a backlog of 2,048.
#[server]
pub fn gunicorn_tornado_default() -> Server {
    untuned("--worker-class tornado")
}
