//! The scenarios. Every response is checked; a wrong one counts as an error.

pub mod bodies;
pub mod connections;
pub mod database;
pub mod faults;
pub mod messages;
pub mod pythons;
pub mod studies;
pub mod tuning;
pub mod visits;
pub mod work;
