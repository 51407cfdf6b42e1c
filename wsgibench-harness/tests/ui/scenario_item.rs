//! `#[scenario]` on items that are not functions.
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
