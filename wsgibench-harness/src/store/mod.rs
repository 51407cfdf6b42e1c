//! Runs and baselines on disk.

pub mod record;
