//! One load from several pods: a coordinator inside the cluster holds the barrier, measures the offsets of the pods' clocks, and
//! collects the parts of a round.
//!
//! `clock`, `skew`, `split` and `coordinator` are pure; `serve`, `control` and `frame` do their input and output.

pub(crate) mod clock;
pub(crate) mod control;
pub(crate) mod coordinator;
pub(crate) mod frame;
pub(crate) mod message;
pub(crate) mod serve;
pub(crate) mod skew;
pub(crate) mod split;

#[cfg(test)]
mod simulation;
