//! A server path that does not exist: the compiler suggests similar names.
#![allow(unused_variables, unused_imports, dead_code)]

use wsgibench_harness::prelude::*;

mod servers {
    use wsgibench_harness::prelude::*;

    #[server]
    pub fn gunicorn() -> Server {
        Server::dockerfile("x")
    }
}
use servers::gunicorn;

#[scenario(servers = [gunicron])]
fn typo() -> Load {
    Load::closed(1).request(get("/"))
}

#[scenario(servers = [servers::gunicron, gunicorn])]
fn typo_in_path() -> Load {
    Load::closed(1).request(get("/"))
}

#[scenario(baseline = sevrers::gunicorn)]
fn typo_in_module() -> Load {
    Load::closed(1).request(get("/"))
}

fn main() {}
