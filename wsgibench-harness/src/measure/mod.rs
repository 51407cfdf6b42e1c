//! The conductor: what is run, in which order, and what it says while it runs.

mod account;
mod availability;
mod bars;
mod burst;
mod capacity;
pub mod comparison;
mod conductor;
mod conformance;
mod crowd;
mod drill;
mod driver;
pub mod environment;
pub mod event;
pub mod examination;
pub mod gate;
mod hooks;
mod interleave;
mod interrupt;
mod job;
mod launch;
mod metrics;
mod order;
pub(crate) mod programs;
mod reference;
mod sampler;
pub mod validity;

pub use conductor::{Conductor, Fixed, Policy};
pub use interrupt::{INTERRUPTED_STATUS, Interrupt};
pub use job::{Job, Order};
pub use reference::Reference;
