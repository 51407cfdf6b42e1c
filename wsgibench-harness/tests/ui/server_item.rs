//! `#[server]` on items that are not functions.
#![allow(unused_variables, unused_imports, dead_code)]

use wsgibench_harness::prelude::*;

/// A struct.
#[server]
pub struct Gunicorn;

#[server]
mod gunicorn {}

#[server]
static UWSGI: u8 = 0;

trait Declared {
    #[server]
    fn bjoern() -> Server;
}

// The items are kept, so these are no further errors.
fn main() {
    let _ = (Gunicorn, UWSGI);
}
