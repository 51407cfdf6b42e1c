//! What the servers are asked. Each answer is checked: a wrong one gets no number.

pub mod bodies;
pub mod connections;
pub mod database;
pub mod faults;
pub mod messages;
pub mod pythons;
pub mod studies;
pub mod visits;
pub mod work;
