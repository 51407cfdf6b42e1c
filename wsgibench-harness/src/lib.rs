//! wsgibench: a benchmark harness for web servers, in the style of criterion, for `cargo bench`.
//!
//! Servers and scenarios are Rust functions under `#[server]` and `#[scenario]`. Each server runs isolated in a
//! container; a load engine of our own drives it; statistics are taken over launches.
//!
//! The rooms, each knowing only those below it: `cli`, `report`, `measure`, [`stats`], `store`, `sandbox`,
//! `declare`, [`load`].

pub mod load;
pub mod stats;
