//! `#[server]` has no options but `crate`.
#![allow(unused_variables, unused_imports, dead_code)]

use wsgibench_harness::prelude::*;

#[server(port = 8000, limits(cpus = 2))]
fn gunicorn() -> Server {
    Server::image("x")
}

#[server(crate)]
fn uwsgi() -> Server {
    Server::image("x")
}

#[server("gunicorn")]
fn bjoern() -> Server {
    Server::image("x")
}

fn main() {
    let _ = (gunicorn(), uwsgi(), bjoern());
}
