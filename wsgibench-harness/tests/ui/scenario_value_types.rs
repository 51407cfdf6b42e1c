//! Values of a wrong type: the error points at the value.
#![allow(unused_variables, unused_imports, dead_code)]

use wsgibench_harness::prelude::*;

const LEVELS: [u8; 2] = [1, 2];

#[scenario(connections = [64, "many"])]
fn element(connections: usize) -> Load {
    Load::closed(connections).request(get("/"))
}

#[scenario(connections = LEVELS)]
fn constant(connections: usize) -> Load {
    Load::closed(connections).request(get("/"))
}

#[scenario(connections = element)]
fn not_iterable(connections: usize) -> Load {
    Load::closed(connections).request(get("/"))
}

#[scenario(cases(small(size = "x")))]
fn case(size: u64) -> Load {
    Load::closed(1).request(get("/"))
}

#[derive(Clone)]
struct Size;

#[scenario(size = [Size])]
fn own_type(size: Size) -> Load {
    Load::closed(1).request(get("/"))
}

fn main() {}
