//! Another type called `Server` is rejected.
#![allow(unused_variables, unused_imports, dead_code)]

struct Server;

#[wsgibench_harness::server]
fn gunicorn() -> Server {
    Server
}

fn main() {}
