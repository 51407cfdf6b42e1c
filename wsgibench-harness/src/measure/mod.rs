//! Runs the plan: launches, rounds, validity, comparisons, and the events that reports subscribe to.

mod availability;
pub mod bottleneck;
pub mod budget;
mod burst;
mod capacity;
#[cfg(feature = "kubernetes")]
mod cluster;
pub mod comparison;
pub mod conformance_runner;
pub mod counting;
mod cpu_accounting;
mod driver;
pub mod environment;
pub mod event;
mod fault_injection;
mod feature_requirements;
pub mod gate;
mod hooks;
mod interleave;
mod interrupt;
mod job;
mod launch;
mod launch_order;
mod listening_sockets;
mod metrics;
pub(crate) mod process_cpu;
pub mod profiling;
mod reference;
mod response_check;
mod runner;
mod sampler;
mod slow_clients;
mod thread_observer;
pub mod thresholds;
pub mod tuning;
pub mod validity;
pub mod wait_observer;

#[cfg(feature = "kubernetes")]
pub(crate) use cluster::run_if_pod;
pub use interrupt::{INTERRUPTED_STATUS, Interrupt};
pub use job::{Job, RunPlan};
pub use reference::Reference;
pub use runner::{Fixed, Policy, Runner};
