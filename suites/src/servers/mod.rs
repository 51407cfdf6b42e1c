//! The servers, one file for each family. Unless the name says otherwise, a server is tuned for production on its
//! cores: keep-alive on, no access log, a backlog and connection limits for 10,000 connections. The suffix
//! `_default` marks the same server with its default settings; the two are never ranked together.
//!
//! NGINX Unit is not included: Debian no longer packages it, and it was archived in 2025.

pub mod bjoern;
pub mod cherrypy;
pub mod database;
pub mod fastwsgi;
pub mod gevent;
pub mod granian;
pub mod gunicorn;
pub mod hypercorn;
pub mod meinheld;
pub mod mod_wsgi;
pub mod nginx;
pub mod pythons;
pub mod pyvoy;
pub mod twisted;
pub mod uvicorn;
pub mod uwsgi;
pub mod waitress;
pub mod wsgiref;

use wsgibench_harness::prelude::Server;

/// Threads of each process, for servers with threads: enough to overlap waiting, few enough for the interpreter lock.
const THREADS: usize = 4;

/// Maximum length of the queue of connections to be accepted.
const BACKLOG: usize = 4_096;

/// Connections that each process keeps open: above the 10,000 of the studies.
const CONNECTIONS: usize = 12_000;

/// Seconds for which an idle connection is kept open.
const KEEP_ALIVE: usize = 75;

/// Returns a server with its files in `images/<folder>`, serving the suite's application.
fn image(folder: &str) -> Server {
    Server::dockerfile(format!("images/{folder}")).app("app")
}

/// Splits a command line into words. The sandbox expands `{port}` and `{host}`.
fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(ToOwned::to_owned).collect()
}

/// Returns the command line of an image's own launcher, which serves the application on the given port.
fn launcher(options: &str) -> Vec<String> {
    words(&format!(
        "python -m wsgibench_serve --port {{port}} {options} application:application"
    ))
}
