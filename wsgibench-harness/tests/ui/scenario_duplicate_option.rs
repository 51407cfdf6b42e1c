//! Options that are given twice.
#![allow(unused_variables, unused_imports, dead_code)]

use wsgibench_harness::prelude::*;

#[scenario(connections = [1], tags = ["a"], connections = [2], tags = ["b"])]
fn ping(connections: usize) -> Load {
    Load::closed(connections).request(get("/"))
}

#[scenario(tags = ["a", "a"], servers = [x, x, other::x])]
fn pong() -> Load {
    Load::closed(1).request(get("/"))
}

fn main() {}
