//! Server paths of other items.
#![allow(unused_variables, unused_imports, dead_code)]

use wsgibench_harness::prelude::*;

fn without_attribute() -> Server {
    Server::dockerfile("x")
}

fn of_another_type(_workers: usize) -> u8 {
    0
}

struct Gunicorn;

const UWSGI: u8 = 0;

#[scenario(servers = [without_attribute])]
fn function() -> Load {
    Load::closed(1).request(get("/"))
}

#[scenario(servers = [of_another_type], baseline = of_another_type)]
fn other_function() -> Load {
    Load::closed(1).request(get("/"))
}

#[scenario(servers = [Gunicorn])]
fn a_type() -> Load {
    Load::closed(1).request(get("/"))
}

#[scenario(servers = [UWSGI])]
fn a_constant() -> Load {
    Load::closed(1).request(get("/"))
}

fn main() {}
