//! Gunicorn.

use wsgibench_harness::prelude::*;

use super::{APPLICATION, BACKLOG, THREADS, image};

/// Options that every worker class shares. Its heartbeat file is in memory and its control socket, which needs a
/// writable home, is off.
fn command(class: &str, workers: usize, more: &[String]) -> Vec<String> {
    let mut words: Vec<String> = ["gunicorn", "--worker-class", class, "--workers"]
        .map(Into::into)
        .into();
    words.push(workers.to_string());
    words.extend(["--bind", "{host}:{port}", "--backlog", BACKLOG].map(Into::into));
    words.extend(["--no-control-socket", "--worker-tmp-dir", "/dev/shm"].map(Into::into));
    words.extend_from_slice(more);
    words.push(APPLICATION.into());
    words
}

/// Keep-alive for 12,000 connections a worker.
fn keep_alive() -> [String; 4] {
    ["--keep-alive", "75", "--worker-connections", "12000"].map(Into::into)
}

/// Gunicorn, sync workers: one request at a time each, every connection closed (it never keeps one alive), 2 N + 1 workers as its documentation says.
#[server]
fn gunicorn_sync() -> Server {
    image("gunicorn")
        .command_for_cpus(|cpus| command("sync", 2 * cpus + 1, &[]))
        .tag("study")
}

/// Gunicorn, threaded workers: a process a core with 4 threads each, keep-alive.
#[server]
fn gunicorn_gthread() -> Server {
    image("gunicorn")
        .command_for_cpus(|cpus| {
            let mut more = vec!["--threads".to_owned(), THREADS.to_string()];
            more.extend(keep_alive());
            command("gthread", cpus, &more)
        })
        .tag("study")
}

/// Gunicorn, gevent workers: a process a core, a greenlet a connection, keep-alive.
#[server]
fn gunicorn_gevent() -> Server {
    image("gunicorn")
        .command_for_cpus(|cpus| command("gevent", cpus, &keep_alive()))
        .tag("study")
}

/// Gunicorn as it comes: one sync worker, a backlog of 2,048.
#[server]
fn gunicorn_default() -> Server {
    image("gunicorn")
        .command([
            "gunicorn",
            "--bind",
            "{host}:{port}",
            "--no-control-socket",
            APPLICATION,
        ])
        .as_it_comes()
}
