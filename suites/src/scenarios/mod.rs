//! What the servers are asked.

pub mod studies;
