//! What is measured and what is asked of it: servers, scenarios, profiles, and their expansion into cases.

pub mod limits;
pub mod profile;
pub mod registry;
pub mod scenario;
pub mod server;

pub use limits::Limits;
pub use profile::Profile;
pub use registry::{Location, ProfileEntry, ScenarioEntry, ServerEntry};
pub use scenario::{ParamSet, Scenario, Work};
pub use server::{Command, Server, ServerSpec, Source, Variant};
