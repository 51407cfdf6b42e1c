//! Invalid signatures of declared scenarios.
#![allow(unused_variables, unused_imports, dead_code)]

use wsgibench_harness::prelude::*;

#[scenario]
fn nothing() {}

#[scenario]
fn other() -> Server {
    Server::dockerfile("x")
}

#[scenario(connections = [1])]
fn generic<T>(connections: usize) -> Load {
    Load::closed(connections).request(get("/"))
}

#[scenario(connections = [1])]
fn hidden(connections: impl Into<usize>) -> Load {
    Load::closed(connections.into()).request(get("/"))
}

#[scenario(a = [1])]
fn pattern((a, b): (usize, usize)) -> Load {
    Load::closed(a + b).request(get("/"))
}

#[scenario]
fn lifetime<'a>() -> Load {
    Load::closed(1).request(get("/"))
}

#[scenario]
unsafe extern "C" fn dangerous() -> Load {
    Load::closed(1).request(get("/"))
}

#[scenario(servers = [x])]
fn taken(servers: usize) -> Load {
    Load::closed(servers).request(get("/"))
}

fn main() {
    let _ = other();
}
