//! `#[server]` functions with parameters without values or a wrong return type.
#![allow(unused_variables, unused_imports, dead_code)]

use wsgibench_harness::prelude::*;

#[server]
fn parameters(workers: usize, threads: usize) -> Server {
    Server::dockerfile("x")
}

#[server]
fn nothing() {}

#[server]
fn other() -> Load {
    Load::closed(1).request(get("/"))
}

#[server]
async fn awaited() -> Server {
    Server::dockerfile("x")
}

#[server]
unsafe fn dangerous() -> Server {
    Server::dockerfile("x")
}

#[server]
extern "C" fn foreign() -> Server {
    Server::dockerfile("x")
}

#[server]
fn generic<T: Default>() -> Server
where
    T: Clone,
{
    Server::dockerfile("x")
}

// Several at once.
#[server(tags = ["a"])]
async unsafe fn all_at_once(workers: usize) {}

fn main() {
    let _ = other();
}
