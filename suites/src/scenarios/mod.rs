//! What the servers are asked.

mod studies;

pub use studies::*;
