//! uvicorn, an ASGI server, with a2wsgi.

use wsgibench_harness::prelude::*;

use super::{BACKLOG, KEEP_ALIVE, THREADS, image, words};

/// uvicorn (uvloop, httptools) with a2wsgi: a process a core with 4 threads each, keep-alive.
#[server]
pub fn uvicorn() -> Server {
    image("uvicorn")
        .env("WSGI_THREADS", THREADS.to_string())
        .command_for_cpus(|cpus| {
            words(&format!(
                "uvicorn --workers {cpus} --backlog {BACKLOG} --timeout-keep-alive {KEEP_ALIVE} --no-access-log \
                 --log-level warning --host {{host}} --port {{port}} wsgibench_asgi:app"
            ))
        })
        .tag("catalogue")
}

/// uvicorn with its default settings: one process, the 10 threads of a2wsgi, an access log.
#[server]
pub fn uvicorn_default() -> Server {
    image("uvicorn")
        .command(words("uvicorn --host {host} --port {port} wsgibench_asgi:app"))
        .untuned()
}
