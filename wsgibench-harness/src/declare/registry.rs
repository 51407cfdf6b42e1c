//! What the attributes register. The macros write these values; nobody else needs to.

use std::fmt;

use super::{Hook, ParamSet, Profile, Server};

/// Where something is declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// File, as the compiler names it.
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
    /// Place.
    pub location: Location,
    /// `CARGO_MANIFEST_DIR` of the declaring crate: relative folders start here.
    pub manifest_dir: &'static str,
    /// Doc comment.
    pub description: &'static str,
    /// The function.
    pub build: fn() -> Server,
}

/// A function under `#[scenario]`.
#[derive(Debug)]
pub struct ScenarioEntry {
    /// Function name.
    pub name: &'static str,
    /// Module path.
    pub module: &'static str,
    /// Place.
    pub location: Location,
    /// `CARGO_MANIFEST_DIR` of the declaring crate.
    pub manifest_dir: &'static str,
    /// Doc comment.
    pub description: &'static str,
    /// Names of the servers it is for, each checked by the compiler to be a `#[server]`; empty: all.
    pub servers: &'static [&'static str],
    /// Server that the others are compared with; empty: none.
    pub baseline: &'static str,
    /// Tags.
    pub tags: &'static [&'static str],
    /// Why it is not run unless asked for; empty: it is run.
    pub ignore: &'static str,
    /// Run once a launch, before the first request.
    pub setup: Option<Hook>,
    /// Run once a launch, after the last request.
    pub teardown: Option<Hook>,
    /// Calls the function once for each of its parameter sets.
    pub params: fn() -> Vec<ParamSet>,
}

/// A function registered by [`profile!`](crate::profile).
#[derive(Debug)]
pub struct ProfileEntry {
    /// Place.
    pub location: Location,
    /// The function.
    pub build: fn() -> Profile,
}

inventory::collect!(ServerEntry);
inventory::collect!(ScenarioEntry);
inventory::collect!(ProfileEntry);
