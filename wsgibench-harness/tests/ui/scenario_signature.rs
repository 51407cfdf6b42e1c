//! Shapes of declared scenarios.
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
    Load::closed(connections)
}

#[scenario(connections = [1])]
fn hidden(connections: impl Into<usize>) -> Load {
    Load::closed(connections.into())
}

#[scenario(a = [1])]
fn pattern((a, b): (usize, usize)) -> Load {
    Load::closed(a + b)
}

#[scenario]
fn lifetime<'a>() -> Load {
    Load::closed(1)
}

#[scenario]
unsafe extern "C" fn dangerous() -> Load {
    Load::closed(1)
}

#[scenario(servers = [x])]
fn taken(servers: usize) -> Load {
    Load::closed(servers)
}

fn main() {
    let _ = other();
}
