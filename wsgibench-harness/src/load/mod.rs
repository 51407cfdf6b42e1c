//! The load engine: the ground floor. It knows nothing of servers, containers or reports and can be used alone.
//!
//! [`run`](run()) takes a [`LoadPlan`] and gives a [`LoadResult`]; both are serde types. A caller that must look at the
//! server at the edges of each round (its CPU time, say) drives a [`Session`] instead.

mod agenda;
mod body_check;
mod clock;
pub mod error;
mod excerpt;
pub mod fault;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
pub mod http1;
pub mod kind;
pub mod model;
pub mod plan;
pub mod preflight;
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
pub mod watch;
mod wire;
mod worker;

pub use error::LoadError;
pub use fault::{Action, Fault};
pub use model::{Arrivals, Load, LoadWithoutRequest, Model, Stage};
pub use plan::{KeepAlive, LoadPlan, Stripe, Target};
pub(crate) use preflight::raise_descriptors;
pub use preflight::{Notice, Topic, preflight};
pub use request::{Body, Check, Request, Values, delete, get, post, put, request};
pub use result::{
    Connections, Counts, ErrorKind, FailedCheck, Latency, LoadResult, Quantile, RoundResult, Second, Step, Users,
};
pub use schedule::Schedule;
pub use session::{Edge, Session};
pub use slow::{Slow, SlowKind};
pub use watch::{Live, Watch};

/// Carries out a whole plan: connections, warm-up, rounds, and everything closed again.
///
/// # Errors
/// A plan that cannot be carried out here, or a fault in the engine; see [`LoadError`]. What the server does wrong is
/// counted in the result.
pub fn run(plan: &LoadPlan) -> Result<LoadResult, LoadError> {
    let mut session = Session::start(plan)?;
    if !plan.warm_up.is_zero() {
        session.warm_up(plan.warm_up)?;
    }
    let mut rounds = Vec::new();
    for _ in 0..plan.rounds {
        rounds.push(session.round(plan.round_length())?);
        if session.is_cancelled() {
            break;
        }
    }
    session.finish()?;
    Ok(LoadResult { rounds })
}
