//! Storage of runs and baselines.
//!
//! A run is written twice: its journal grows round by round during the measurement and survives a kill; `run.json` is
//! written from the same record at the end. A run with a journal, without `run.json` and whose owner has exited is
//! recovered at the next start.

pub mod arms;
mod atomic;
pub mod baseline;
pub mod conformance;
mod error;
mod files;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod journal;
mod output_file;
pub mod record;
mod recovery;
mod runs;
#[cfg(test)]
pub(crate) mod samples;
pub mod tuning;
mod versioned;

pub use atomic::{write_atomically, write_json};
pub use baseline::{BaselineRun, Fingerprint};
pub use conformance::{ConformanceRecord, ServerConformance};
pub use error::StoreError;
pub use files::{Recovered, Remains};
pub use journal::{Entry, fold};
pub use output_file::{ignore_closed_pipe, write_output};
pub use runs::{RunWriter, Store};
