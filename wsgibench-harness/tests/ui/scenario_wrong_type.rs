//! Another type called `Load` is rejected.
#![allow(unused_variables, unused_imports, dead_code)]

struct Load;

#[wsgibench_harness::scenario]
fn ping() -> Load {
    Load
}

fn main() {}
