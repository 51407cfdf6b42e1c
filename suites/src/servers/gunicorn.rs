//! Gunicorn with its worker classes.

use wsgibench_harness::prelude::*;

use super::{BACKLOG, CONNECTIONS, KEEP_ALIVE, THREADS, image, words};

const APPLICATION: &str = "application:application";

/// Returns the command line with the options of every worker class: heartbeat file in memory, and no control socket, which needs a
/// writable home.
fn tuned(class: &str, workers: usize, more: &str) -> Vec<String> {
    words(&format!(
        "gunicorn --worker-class {class} --workers {workers} --bind {{host}}:{{port}} --backlog {BACKLOG} \
         --no-control-socket --worker-tmp-dir /dev/shm {more} {APPLICATION}"
    ))
}

/// Returns the options of worker classes that keep connections alive.
fn keep_alive() -> String {
    format!("--keep-alive {KEEP_ALIVE} --worker-connections {CONNECTIONS}")
}

/// Gunicorn, whose arbiter replaces the workers one by one on SIGHUP.
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

/// Gunicorn, sync workers: one request at a time each, every connection closed (keep-alive is not supported), 2 N + 1 workers as
/// its documentation recommends.
#[server]
pub fn gunicorn_sync() -> Server {
    gunicorn()
        .command_for_cpus(|cpus| tuned("sync", 2 * cpus + 1, ""))
        .tag("study")
        .note("closes every connection: intended for use behind a buffering proxy")
}

/// Gunicorn, sync worker with default settings: one worker, a backlog of 2,048.
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

/// Gunicorn, threaded workers with the numbers of workers and threads as parameters, for `--tune`. The default variant is
/// `gunicorn_gthread` on one core.
#[server(workers = [1, 2, 4], threads = [1, 4, 16, 64])]
pub fn gthread(workers: usize, threads: usize) -> Server {
    gunicorn()
        .command(tuned(
            "gthread",
            workers,
            &format!("--threads {threads} {}", keep_alive()),
        ))
        .default_variant(workers == 1 && threads == THREADS)
        .tag("tuning")
        .opt_in()
}

/// Gunicorn, sync workers with their number as a parameter, and with the application loaded before or after the fork, for `--tune`.
/// The default variant is `gunicorn_sync` on one core.
#[server(workers = [1, 3, 8, 16], preload = [false, true])]
pub fn sync_workers(workers: usize, preload: bool) -> Server {
    gunicorn()
        .command(tuned("sync", workers, if preload { "--preload" } else { "" }))
        .default_variant(workers == 3 && !preload)
        .tag("tuning")
        .opt_in()
}

/// Gunicorn, gevent workers with their number as a parameter, for `--tune`. The default variant is `gunicorn_gevent` on one core.
#[server(workers = [1, 2, 4])]
pub fn gevent_workers(workers: usize) -> Server {
    gunicorn()
        .command(tuned("gevent", workers, &keep_alive()))
        .default_variant(workers == 1)
        .tag("tuning")
        .opt_in()
}

/// Gunicorn, threaded worker with default settings: one worker, here with 4 threads, keep-alive of 2 s, 1,000 connections.
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

/// Gunicorn, gevent worker with default settings: one worker, keep-alive of 2 s, 1,000 connections.
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

/// Gunicorn, tornado worker with default settings: one worker, a backlog of 2,048.
#[server]
pub fn gunicorn_tornado_default() -> Server {
    untuned("--worker-class tornado")
}
