//! Errors on unknown options list the choices and suggest a similar one.
#![allow(unused_variables, unused_imports, dead_code)]

use wsgibench_harness::prelude::*;

#[scenario(conections = [64])]
fn typo(connections: usize) -> Load {
    Load::closed(connections).request(get("/"))
}

#[scenario(sevrers = [x], tag = ["a"], colour = "red")]
fn several() -> Load {
    Load::closed(1).request(get("/"))
}

#[scenario(connections = [64])]
fn list_without_parameter() -> Load {
    Load::closed(1).request(get("/"))
}

#[scenario(users = [64])]
fn model_of_a_script() -> Load {
    Load::closed(1).request(get("/"))
}

fn main() {
    let _ = (typo(1), several());
}
