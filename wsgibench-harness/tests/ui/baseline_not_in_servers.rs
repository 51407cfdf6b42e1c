//! A baseline outside of `servers` is an error.
#![allow(unused_variables, unused_imports, dead_code)]

use wsgibench_harness::prelude::*;

#[server]
fn gunicorn() -> Server {
    Server::dockerfile("x")
}

#[server]
fn uwsgi() -> Server {
    Server::dockerfile("x")
}

#[scenario(servers = [gunicorn], baseline = uwsgi)]
fn ping() -> Load {
    Load::closed(1).request(get("/"))
}

fn main() {}
