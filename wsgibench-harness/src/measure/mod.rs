//! The conductor: what is run, in which order, and what it says while it runs.

pub mod event;
