//! The kinds of load, as types: they decide which settings a [`LoadWithoutRequest`](super::LoadWithoutRequest) has.
//!
//! These do not compile; the message names the remedy:
//!
//! A scenario needs a request:
//! ```compile_fail,E0308
//! use wsgibench_harness::prelude::*;
//! fn load() -> Load {
//!     Load::closed(64)
//! }
//! ```
//!
//! `max_connections` needs a schedule:
//! ```compile_fail,E0277
//! use wsgibench_harness::prelude::*;
//! let load = Load::closed(64).max_connections(9);
//! ```
//!
//! `seed` needs Poisson arrivals:
//! ```compile_fail,E0277
//! use wsgibench_harness::prelude::*;
//! let load = Load::rate(100).seed(7);
//! ```
//!
//! `every` needs arriving users:
//! ```compile_fail,E0277
//! use wsgibench_harness::prelude::*;
//! let load = Load::poisson(100).every(secs(1));
//! ```
//!
//! `duration` is the length of a ramp already:
//! ```compile_fail,E0277
//! use wsgibench_harness::prelude::*;
//! let load = Load::ramp(0..=100, secs(5)).duration(secs(9));
//! ```
//!
//! settings of the model come before the first request:
//! ```compile_fail,E0277
//! use wsgibench_harness::prelude::*;
//! let load = Load::poisson(100).request(get("/")).seed(7);
//! ```
//!
//! checks belong to the request:
//! ```compile_fail,E0277
//! use wsgibench_harness::prelude::*;
//! let load = Load::closed(64).request(get("/")).expect_status(200);
//! ```

/// `N` connections, each a closed loop: [`Load::closed`](super::Load::closed).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {}

/// Evenly spaced requests at a constant rate: [`Load::rate`](super::Load::rate).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConstantRate {}

/// Poisson arrivals at a constant mean rate: [`Load::poisson`](super::Load::poisson).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoissonRate {}

/// A rate that changes linearly: [`Load::ramp`](super::Load::ramp).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ramp {}

/// Stages, one after the other: [`Load::stages`](super::Load::stages).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stages {}

/// Users who arrive in batches: [`Load::users`](super::Load::users).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArrivingUsers {}

/// Kinds with an arrival schedule of requests. Implemented by this crate only.
#[diagnostic::on_unimplemented(
    message = "`max_connections` and `of_capacity` need a schedule of requests; this load is `{Self}`",
    label = "not a setting of a load of kind `{Self}`",
    note = "begin with `Load::rate`, `Load::poisson`, `Load::ramp` or `Load::stages`"
)]
pub trait Scheduled: sealed::Sealed {}

/// Kinds that can draw random arrival times. Implemented by this crate only.
#[diagnostic::on_unimplemented(
    message = "`seed` needs Poisson arrivals; this load is `{Self}`",
    label = "not a setting of a load of kind `{Self}`",
    note = "begin with `Load::poisson(rate)`, or with `Load::stages([Stage::constant(rate, duration).poisson()])`"
)]
pub trait RandomArrivals: sealed::Sealed {}

/// Kinds whose users arrive in batches. Implemented by this crate only.
#[diagnostic::on_unimplemented(
    message = "`every`, `arriving_for` and `requests_per_user` need arriving users; this load is `{Self}`",
    label = "not a setting of a load of kind `{Self}`",
    note = "begin with `Load::users(batch)`"
)]
pub trait Arriving: sealed::Sealed {}

/// Kinds whose round length can be set. Implemented by this crate only.
#[diagnostic::on_unimplemented(
    message = "`duration` cannot be set for a load of kind `{Self}`: its schedule has a length already",
    label = "not a setting of a load of kind `{Self}`",
    note = "give the length to `Load::ramp(rates, duration)`, or to each stage of `Load::stages`"
)]
pub trait Timed: sealed::Sealed {}

/// Holds for no type: the bound of methods that explain where a setting of the load model belongs.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "settings of the load model come before the first request",
    label = "a request has been added already",
    note = "call it between `Load::...` and `.request(...)`, e.g. `Load::poisson(50).seed(7).request(get(\"/\"))`"
)]
pub trait BeforeRequests {}

/// Holds for no type: the bound of methods that explain where a setting of a request belongs.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "methods, headers, bodies, weights and checks belong to a request, not to the load",
    label = "not a setting of a load",
    note = "build the request first, e.g. `Load::closed(64).request(get(\"/\").expect_status(200))`"
)]
pub trait IsRequest {}

macro_rules! implement {
    ($($kind:ident: $($traits:ident),*;)*) => {
        $(
            impl sealed::Sealed for $kind {}
            $(impl $traits for $kind {})*
        )*
    };
}

implement! {
    Closed: Timed;
    ConstantRate: Scheduled, Timed;
    PoissonRate: Scheduled, RandomArrivals, Timed;
    Ramp: Scheduled;
    Stages: Scheduled, RandomArrivals;
    ArrivingUsers: Arriving, Timed;
}

mod sealed {
    /// Keeps the kinds' traits implementable by this crate only.
    pub trait Sealed {}
}
