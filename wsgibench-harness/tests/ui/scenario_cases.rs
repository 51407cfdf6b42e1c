//! Mistakes in named cases.
#![allow(unused_variables, unused_imports, dead_code)]

use wsgibench_harness::prelude::*;

#[scenario(cases = [1, 2])]
fn list(size: u64) -> Load {
    Load::closed(1).request(get("/"))
}

#[scenario(cases())]
fn empty(size: u64) -> Load {
    Load::closed(1).request(get("/"))
}

#[scenario(cases(small = 1, large))]
fn no_parentheses(size: u64) -> Load {
    Load::closed(1).request(get("/"))
}

#[scenario(cases(small(siez = 1), large(size = 2)))]
fn unknown(size: u64) -> Load {
    Load::closed(1).request(get("/"))
}

#[scenario(cases(small(size = 1, size = 2), small(size = 3), none(), flag(size)))]
fn twice(size: u64) -> Load {
    Load::closed(1).request(get("/"))
}

#[scenario(size = [1], cases(small(size = 1)))]
fn both(size: u64) -> Load {
    Load::closed(1).request(get("/"))
}

#[scenario(cases(small(size = 1, connections = 1), large(size = 2)))]
fn uneven(size: u64, connections: usize) -> Load {
    Load::closed(connections).request(get("/"))
}

fn main() {}
