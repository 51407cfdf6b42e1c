//! Scripted users: `async` functions that run under every load model.
//!
//! Each [`User`] has its own connection (HTTP/1.1 or HTTP/2, optionally over TLS), cookies and random numbers. A
//! [`ScriptSession`] runs a script as a [`Session`](super::Session) runs a declared load, and returns the same
//! [`RoundResult`](super::RoundResult), which counts requests.
//!
//! - closed: each of N users runs the script repeatedly, on one connection and with its cookies;
//! - open: each arrival is a new user who runs the script once; the latency of its first request counts from the due time;
//! - users: users arrive on the schedule, run the script `requests_per_user` times, and leave.
//!
//! Every request is counted once: done if its response passed the checks, failed, or censored. An error or panic of a
//! script is counted as [`ErrorKind::Script`](super::ErrorKind::Script) and never ends the run. A script that waits forever
//! for anything other than a response is censored at the end of the round, even if it blocks its thread, and counted under
//! the name `the script hangs`. The durations of whole scripts are in the step [`WHOLE_SCRIPT`].

mod accounting;
mod body;
mod connection;
mod content;
mod cookies;
mod exchange;
#[cfg(any(test, feature = "testing"))]
#[doc(hidden)]
pub mod fuzzing;
mod multipart;
mod pace;
mod redirect;
mod request;
mod request_error;
mod response;
mod response_start;
mod session;
mod user;
mod worker;
mod worker_state;

use std::{fmt, future::Future, pin::Pin, sync::Arc};

pub use super::tls::RootCertificate;
pub use cookies::RefusedCookie;
pub use multipart::Multipart;
pub use request::RequestBuilder;
pub use request_error::RequestError;
pub use response::{Response, Streaming};
pub use session::{ScriptSession, Trial};
pub use user::User;

/// The step with the durations of whole scripts, including think time.
pub const WHOLE_SCRIPT: &str = "(whole script)";

/// The future of one run of a script, which borrows its user.
pub type Running<'a> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + 'a>>;

type Function = Arc<dyn for<'a> Fn(&'a mut User) -> Running<'a> + Send + Sync>;

/// The step of requests of a user's set-up.
pub const USER_SETUP: &str = "(user set-up)";
/// The step of requests of a user's tear-down.
pub const USER_TEARDOWN: &str = "(user tear-down)";

/// A type-erased script; cheap to clone.
#[derive(Clone)]
pub struct Script {
    run: Function,
    setup: Option<Function>,
    teardown: Option<Function>,
}

/// Creates a [`Script`] from a function.
///
/// ```
/// use wsgibench_harness::load::script::{User, script};
///
/// async fn greet(user: &mut User) -> anyhow::Result<()> {
///     user.get("/").await?.expect_status(200)?;
///     Ok(())
/// }
/// let greeting = script(|user| Box::pin(greet(user)));
/// ```
pub fn script<F>(function: F) -> Script
where
    F: for<'a> Fn(&'a mut User) -> Running<'a> + Send + Sync + 'static,
{
    Script {
        run: Arc::new(function),
        setup: None,
        teardown: None,
    }
}

impl Script {
    /// Starts one run of the script.
    pub fn run<'a>(&self, user: &'a mut User) -> Running<'a> {
        (self.run)(user)
    }

    /// Sets the function that each user runs once, before its first run of the script. If it fails, the user does not run the
    /// script: in a closed loop it tries again, an arrival is counted as failed.
    #[must_use]
    pub fn with_user_setup<F>(mut self, function: F) -> Self
    where
        F: for<'a> Fn(&'a mut User) -> Running<'a> + Send + Sync + 'static,
    {
        self.setup = Some(Arc::new(function));
        self
    }

    /// Sets the function that each user runs once, after its last run of the script: when it leaves, and in a closed loop when
    /// the load ends. A user who is interrupted at the end of a round does not run it.
    #[must_use]
    pub fn with_user_teardown<F>(mut self, function: F) -> Self
    where
        F: for<'a> Fn(&'a mut User) -> Running<'a> + Send + Sync + 'static,
    {
        self.teardown = Some(Arc::new(function));
        self
    }

    fn part(&self, part: Part) -> Option<&Function> {
        match part {
            Part::Setup => self.setup.as_ref(),
            Part::Run => Some(&self.run),
            Part::Teardown => self.teardown.as_ref(),
        }
    }
}

/// The part of a script that a user runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Setup,
    Run,
    Teardown,
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script")
    }
}

#[cfg(test)]
mod tests;
