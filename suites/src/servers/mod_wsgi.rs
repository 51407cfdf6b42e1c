//! `mod_wsgi` in Apache, by `mod_wsgi-express`.

use wsgibench_harness::prelude::*;

use super::{BACKLOG, KEEP_ALIVE, THREADS, image, words};

/// Apache's event MPM holds about 1,040 threads.
fn threads() -> Limits {
    Limits::new().pids(2_048)
}

/// `mod_wsgi-express` (Apache 2.4, event MPM): a daemon process a core with 4 threads each, keep-alive; one Apache process in front.
#[server]
pub fn mod_wsgi() -> Server {
    image("mod_wsgi")
        .command_for_cpus(|cpus| {
            words(&format!(
                "python -m wsgibench_serve --tuned --port {{port}} --processes {cpus} --threads {THREADS} \
                 --server-backlog {BACKLOG} --daemon-backlog {BACKLOG} --keep-alive-timeout {KEEP_ALIVE} \
                 --limit-request-body 1073741824 --disable-reloading --log-to-terminal /app/application.py"
            ))
        })
        .limits(threads())
        .tag("study")
}

/// `mod_wsgi-express` with its default settings: one daemon process of 5 threads, keep-alive of 2 s, a backlog of 500.
#[server]
pub fn mod_wsgi_default() -> Server {
    image("mod_wsgi")
        .command(words(
            "python -m wsgibench_serve --port {port} --log-to-terminal /app/application.py",
        ))
        .limits(threads())
        .untuned()
}
