//! Launches whose load comes from pods of a cluster.

mod driver;
mod pod;
mod round;

pub(super) use driver::ClusterDriver;
pub(crate) use pod::run_if_pod;
