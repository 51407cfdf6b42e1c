//! `#[scenario]` stands on a function.
#![allow(unused_variables, unused_imports, dead_code)]

use wsgibench_harness::prelude::*;

#[scenario]
enum Ping {}

#[scenario]
const PONG: usize = 1;

#[scenario]
impl Ping {}

#[scenario]
use std::fmt;

fn main() {
    let _ = PONG;
}
