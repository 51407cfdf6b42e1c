//! The servers, a file a family. Unless its name says otherwise each is set up as a careful operator would run it on the
//! cores it gets: keep-alive on, no access log, a backlog and connection limits that hold 10,000 connections.

pub mod bjoern;
pub mod cherrypy;
pub mod gevent;
pub mod gunicorn;
pub mod meinheld;
pub mod mod_wsgi;
pub mod uwsgi;
pub mod wsgiref;

use wsgibench_harness::prelude::*;

/// Threads a process, for servers that have them: enough to overlap waiting, few enough for the interpreter lock.
const THREADS: usize = 4;

/// Longest queue of connections that wait to be accepted.
const BACKLOG: &str = "4096";

/// Where every image has the application.
const APPLICATION: &str = "application:application";

/// A server whose files are in `images/<folder>`, serving the suite's application.
fn image(folder: &str) -> Server {
    Server::image(format!("images/{folder}")).app("app")
}
