//! The servers, a file a family. Unless its name says otherwise each is set up as a careful operator would run it on the
//! cores it gets: keep-alive on, no access log, a backlog and connection limits that hold 10,000 connections. What ends with
//! `_default` is the same server as it comes; the two are never ranked together.
//!
//! Not here: NGINX Unit, which Debian does not package any more and which was archived in 2025.

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

/// Threads a process, for servers that have them: enough to overlap waiting, few enough for the interpreter lock.
const THREADS: usize = 4;

/// Longest queue of connections that wait to be accepted.
const BACKLOG: usize = 4_096;

/// Connections a process keeps open: above the 10,000 of the studies.
const CONNECTIONS: usize = 12_000;

/// Seconds that an idle connection is kept.
const KEEP_ALIVE: usize = 75;

/// A server whose files are in `images/<folder>`, serving the suite's application.
fn image(folder: &str) -> Server {
    Server::dockerfile(format!("images/{folder}")).app("app")
}

/// A command line by its words. `{port}` and `{host}` are left for the sandbox to fill in.
fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(ToOwned::to_owned).collect()
}

/// The command line of an image's own launcher, which serves the application on the port it is given.
fn launcher(options: &str) -> Vec<String> {
    words(&format!(
        "python -m wsgibench_serve --port {{port}} {options} application:application"
    ))
}
