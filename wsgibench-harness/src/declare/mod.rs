//! Servers, scenarios and profiles, and their expansion into cases.
//!
//! [`Declarations::collect`] validates the registered declarations as a whole; [`Declarations::cases`] expands them;
//! [`Selector::select`] selects cases; [`resolve()`] adapts a server to this machine. Everything except reading a profile's file is pure.

pub mod check;
pub mod error;
pub mod expand;
pub mod hook;
pub mod id;
pub mod limits;
mod notice;
pub mod param;
pub mod profile;
pub mod profiles;
pub(crate) mod python;
pub mod registry;
pub(crate) mod relocate;
pub mod resolve;
mod running;
#[cfg(test)]
pub(crate) mod samples;
pub mod scenario;
pub mod select;
pub mod server;
pub mod setting;
mod suggest;

pub use error::{DeclareError, DeclareErrors};
pub use expand::{Case, Declarations, DeclaredServer};
pub use hook::{CommandOutput, Hook, HookFuture, LaunchAccess, SetupContext};
pub use limits::Limits;
pub use notice::Notice;
pub use param::ParamValue;
pub use profile::Profile;
pub use profiles::ProfileError;
pub use registry::{Location, ProfileEntry, ScenarioEntry, ServerEntry};
pub use resolve::{Machine, resolve};
pub use running::RunningServer;
pub use scenario::{ParamSet, Scenario, Work};
pub use select::{Ignored, SelectError, Selector};
pub use server::{Command, Server, ServerSpec, Source, Variant};
pub use setting::{ServerVariant, Setting};
