//! Another type called `Server` is not ours.
#![allow(unused_variables, unused_imports, dead_code)]

struct Server;

#[wsgibench_harness::server]
fn gunicorn() -> Server {
    Server
}

fn main() {}
