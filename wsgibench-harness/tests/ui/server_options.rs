//! `#[server]` with unknown options.
#![allow(unused_variables, unused_imports, dead_code)]

use wsgibench_harness::prelude::*;

#[server(port = 8000, limits(cpus = 2))]
fn gunicorn() -> Server {
    Server::dockerfile("x")
}

#[server(crate)]
fn uwsgi() -> Server {
    Server::dockerfile("x")
}

#[server("gunicorn")]
fn bjoern() -> Server {
    Server::dockerfile("x")
}

fn main() {
    let _ = (gunicorn(), uwsgi(), bjoern());
}
