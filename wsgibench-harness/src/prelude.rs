//! The items that a file with servers and scenarios needs.
//!
//! ```standalone_crate
//! use wsgibench_harness::prelude::*;
//!
//! /// Gunicorn, two workers a core.
//! #[server]
//! fn gunicorn() -> Server {
//!     Server::dockerfile("images/gunicorn")
//!         .app("app")
//!         .command_for_cpus(|cpus| ["gunicorn".into(), format!("--workers={}", 2 * cpus), "app:application".into()])
//!         .port(8000)
//! }
//!
//! /// One request per connection at a time.
//! #[scenario(connections = [64, 100], servers = [gunicorn], tags = ["fast"])]
//! fn ping(connections: usize) -> Load {
//!     Load::closed(connections).request(get("/").expect_status(200).expect_body("OK"))
//! }
//!
//! /// A visitor who signs in, thinks, and uploads a file.
//! #[scenario(users = [8])]
//! async fn visit(user: &mut User) -> Result<()> {
//!     user.post("/login").form(&[("name", "ada")]).await?.expect_status(200)?;
//!     user.think(millis(50)).await;
//!     user.post("/upload").body(vec![0; 64 * 1024]).await?.expect_status(201)?;
//!     Ok(())
//! }
//!
//! /// An increasing rate, until the server breaks.
//! #[scenario(ignore = "a minute a case")]
//! fn ramp() -> Load {
//!     Load::ramp(100..=5_000, secs(60)).request(get("/").expect_status(200))
//! }
//!
//! let declared = wsgibench_harness::declare::Declarations::collect().unwrap();
//! let ids: Vec<_> = declared.cases().into_iter().map(|case| case.id).collect();
//! assert_eq!(ids, ["ping/gunicorn/c64", "ping/gunicorn/c100", "visit/gunicorn/u8", "ramp/gunicorn/default"]);
//! ```

pub use std::time::Duration;

pub use anyhow::Result;

pub use crate::{
    declare::{Limits, Profile, Server, SetupContext, Variant, server::Companion},
    load::{
        Fault, KeepAlive, Load, Request, Slow, Stage, Tls, Values, delete, get, post, put, request,
        script::{Multipart, RequestError, Response, RootCertificate, User},
    },
    profile, scenario, server,
    stats::Threshold,
};

/// Returns a duration of `seconds`.
#[must_use]
pub const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Returns a duration of `milliseconds`.
#[must_use]
pub const fn millis(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}
