//! The load generator of wsgibench. It can be used alone.
//!
//! [`run()`] executes a [`LoadPlan`] and returns a [`LoadResult`]; both are serde types. To read other counters at the
//! start and end of each round (such as the server's CPU time), use a [`Session`] instead.

#[cfg(not(target_os = "linux"))]
compile_error!("wsgibench supports Linux only; run it in a Linux virtual machine (on Windows, WSL 2)");

#[doc(hidden)]
pub mod affinity;
mod agenda;
mod body_check;
mod clock;
pub mod error;
mod excerpt;
pub mod fault;
#[cfg(any(test, feature = "testing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod http1;
pub mod kind;
pub mod model;
pub mod null_server;
#[doc(hidden)]
pub mod panics;
pub mod part;
pub mod plan;
pub mod preflight;
#[doc(hidden)]
pub mod probe;
mod random;
mod record;
pub mod request;
pub mod result;
mod retry;
pub mod schedule;
pub mod script;
pub mod session;
pub mod slices;
pub mod slow;
mod socket;
mod timer;
pub mod tls;
pub mod watch;
mod wire;
pub use wire::request_names;
mod worker;

pub use error::LoadError;
pub use fault::{Action, Fault};
pub use model::{Arrivals, Load, LoadWithoutRequest, Model, Stage};
pub use part::RoundPart;
pub use plan::{BeforeRequest, KeepAlive, LoadPlan, NextStep, Stripe, Target};
pub use preflight::raise_descriptors;
pub use preflight::{Notice, Topic, preflight};
pub use request::{Body, Check, Request, Values, delete, get, post, put, request};
pub use result::{
    Connections, Counts, ErrorKind, FailedCheck, Latency, LoadResult, Quantile, RequestResult, RoundResult, Second,
    Step, Users,
};
pub use schedule::Schedule;
pub use session::{Edge, Session};
pub use slow::{Slow, SlowKind};
pub use tls::Tls;
pub use watch::{Live, Watch};

/// Executes a plan: opens connections, warms up, measures the rounds, and closes the connections.
///
/// # Errors
/// Returns a [`LoadError`] if the plan cannot be executed on this machine or the engine fails. Failures of the server are
/// counted in the result.
pub fn run(plan: &LoadPlan) -> Result<LoadResult, LoadError> {
    let mut session = Session::start(plan)?;
    if !plan.warm_up.is_zero() {
        session.warm_up(plan.warm_up)?;
    }
    let mut rounds = Vec::new();
    for _ in 0..plan.rounds {
        rounds.push(session.round(plan.round_length())?);
        if session.watch().is_cancelled() {
            break;
        }
    }
    session.finish()?;
    Ok(LoadResult { rounds })
}
