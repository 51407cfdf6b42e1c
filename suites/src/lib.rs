//! The reference servers, scenarios and profiles of wsgibench.
//!
//! A bench target uses them by `use wsgibench_suites as _;`: each function under `#[server]` and `#[scenario]` registers
//! itself. How to add a server is told in `suites/images/README.md`.

pub mod profiles;
pub mod scenarios;
pub mod servers;
