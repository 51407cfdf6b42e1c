//! Tokens that are not options; the options after a mistake are still parsed.
#![allow(unused_variables, unused_imports, dead_code)]

use wsgibench_harness::prelude::*;

#[scenario([64, 100])]
fn bare_list(connections: usize) -> Load {
    Load::closed(connections).request(get("/"))
}

#[scenario(connections =, size = [1] [2], colour = "red")]
fn torn(connections: usize, size: u64) -> Load {
    Load::closed(connections).request(get("/"))
}

#[scenario(connections: [64])]
fn colon(connections: usize) -> Load {
    Load::closed(connections).request(get("/"))
}

fn main() {}
