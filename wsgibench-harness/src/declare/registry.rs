//! Entries of the registry, which the attribute macros generate.

use std::fmt;

use super::{Hook, ParamSet, Profile, ServerVariant};

/// The place of a declaration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// File, as the compiler reports it.
    pub file: &'static str,
    /// Line.
    pub line: u32,
    /// Column.
    pub column: u32,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A function under `#[server]`.
#[derive(Debug)]
pub struct ServerEntry {
    /// Function name.
    pub name: &'static str,
    /// Module path, for messages.
    pub module: &'static str,
    /// Place of the attribute.
    pub location: Location,
    /// `CARGO_MANIFEST_DIR` of the declaring crate, the base of relative folders.
    pub manifest_dir: &'static str,
    /// Doc comment.
    pub description: &'static str,
    /// Calls the function for each combination of its parameters.
    pub variants: fn() -> Vec<ServerVariant>,
}

/// A function under `#[scenario]`.
#[derive(Debug)]
pub struct ScenarioEntry {
    /// Function name.
    pub name: &'static str,
    /// Module path.
    pub module: &'static str,
    /// Place of the attribute.
    pub location: Location,
    /// `CARGO_MANIFEST_DIR` of the declaring crate.
    pub manifest_dir: &'static str,
    /// Doc comment.
    pub description: &'static str,
    /// Names of the servers to measure, which the compiler has checked to be `#[server]` functions; empty: all.
    pub servers: &'static [&'static str],
    /// Server with which the others are compared; empty: none.
    pub baseline: &'static str,
    /// Tags.
    pub tags: &'static [&'static str],
    /// Reason for skipping it by default; empty: it runs.
    pub ignore: &'static str,
    /// Hook before the first request of a launch.
    pub setup: Option<Hook>,
    /// Hook after the last request of a launch.
    pub teardown: Option<Hook>,
    /// Calls the function for each parameter set.
    pub params: fn() -> Vec<ParamSet>,
}

/// A function registered by [`profile!`](crate::profile!).
#[derive(Debug)]
pub struct ProfileEntry {
    /// Place of the attribute.
    pub location: Location,
    /// The function.
    pub build: fn() -> Profile,
}

inventory::collect!(ServerEntry);
inventory::collect!(ScenarioEntry);
inventory::collect!(ProfileEntry);
