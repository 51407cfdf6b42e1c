//! All that a file with servers and scenarios needs: `use wsgibench_harness::prelude::*;`

pub use std::time::Duration;

pub use anyhow::Result;

pub use crate::{
    declare::{CommandOutput, Limits, ParamValue, Profile, Server, SetupContext, Source, Variant, server::Service},
    load::{Arrivals, Body, Check, KeepAlive, Load, Request, Stage, Values},
    profile, scenario, server,
};

/// So many seconds.
#[must_use]
pub const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// So many milliseconds.
#[must_use]
pub const fn millis(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}
