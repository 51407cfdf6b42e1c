//! Wrong values of options.
#![allow(unused_variables, unused_imports, dead_code)]

use wsgibench_harness::prelude::*;

#[scenario(servers = gunicorn, baseline = [gunicorn], tags = "a", ignore, setup = "fill", teardown, crate = 1)]
fn kinds() -> Load {
    Load::closed(1).request(get("/"))
}

#[scenario(servers = ["gunicorn", gunicorn(), 1 + 1], tags = [a, 1, ""], ignore = "", baseline = "gunicorn")]
fn elements() -> Load {
    Load::closed(1).request(get("/"))
}

#[scenario(servers = [], tags = [])]
fn empty() -> Load {
    Load::closed(1).request(get("/"))
}

#[scenario(servers, tags(a), ignore = 3)]
fn forms() -> Load {
    Load::closed(1).request(get("/"))
}

fn main() {}
