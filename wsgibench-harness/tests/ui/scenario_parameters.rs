//! Parameters without a list, and lists without a parameter.
#![allow(unused_variables, unused_imports, dead_code)]

use wsgibench_harness::prelude::*;

#[scenario]
fn no_list(connections: usize, size: u64) -> Load {
    Load::closed(connections).request(get("/"))
}

#[scenario(connections = [], size = 3, kind = "a", flag, pair = (1, 2), call(1))]
fn wrong_lists(connections: usize, size: u64, kind: &str, flag: bool, pair: u8, call: u8) -> Load {
    Load::closed(connections).request(get("/"))
}

fn main() {}
