//! `#[server]` on a method.
#![allow(unused_variables, unused_imports, dead_code)]

use wsgibench_harness::prelude::*;

struct Suite;

impl Suite {
    #[server]
    fn gunicorn(&self) -> Server {
        Server::dockerfile("x")
    }

    #[scenario]
    fn ping(self) -> Load {
        Load::closed(1).request(get("/"))
    }
}

fn main() {}
