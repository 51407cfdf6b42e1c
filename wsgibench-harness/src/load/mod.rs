//! The load engine: the ground floor. It knows nothing of servers, containers or reports and can be used alone.
//!
//! [`run`](run()) takes a [`Plan`] and gives a [`LoadResult`]; both are serde types. A caller that must look at the
//! server at the edges of each round (its CPU time, say) drives a [`Session`] instead.

pub mod model;
pub mod plan;
pub mod request;
pub mod result;

pub use model::{Arrivals, Load, Model, Stage};
pub use plan::{KeepAlive, Plan, Stripe, Target};
pub use request::{Body, Check, Request, Values};
pub use result::{Counts, ErrorKind, Latency, LoadResult, RoundResult, Second};
