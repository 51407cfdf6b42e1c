//! Scripted users: what a user does, written as an `async` function, run under every load model.
//!
//! A [`User`] has a connection of its own (HTTP/1.1 or HTTP/2, over TLS if asked), cookies of its own and random numbers of
//! its own. A [`ScriptSession`] runs a script the way a [`Session`](super::Session) offers a declared load, and gives the
//! same [`RoundResult`](super::RoundResult): the requests are what is counted.
//!
//! - closed: N users, each runs the script over and over, on one connection and with the cookies it has collected;
//! - open: each arrival is a new user who runs the script once; the first request counts from when it was due;
//! - users: they arrive on the schedule, each runs the script `requests_per_user` times and leaves.
//!
//! Every request is counted once: done when its answer passed the checks made of it, failed, or censored. What a script
//! does wrong is counted as [`ErrorKind::Script`](super::ErrorKind::Script) and never ends the run: an error of its own, a panic.
//! One that waits for ever for something other than an answer is censored at the end of the round, even if it holds
//! its thread, and counted by the name `the script hangs`. How long whole scripts took is in the step [`WHOLE_SCRIPT`].

mod accounting;
mod body;
mod connection;
mod content;
mod cookies;
mod exchange;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod multipart;
mod pace;
mod redirect;
mod request;
mod request_error;
mod response;
mod session;
mod tls;
mod user;
mod worker;
mod worker_state;

use std::{fmt, future::Future, pin::Pin, sync::Arc};

pub use multipart::Multipart;
pub use request::RequestBuilder;
pub use request_error::RequestError;
pub use response::{Response, Streaming};
pub use session::{ScriptSession, Trial};
pub use tls::RootCertificate;
pub use user::User;

/// The step under which the time of whole scripts is kept, think time included.
pub const WHOLE_SCRIPT: &str = "(whole script)";

/// What one run of a script is: borrowed from its user.
pub type Running<'a> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + 'a>>;

type Function = Arc<dyn for<'a> Fn(&'a mut User) -> Running<'a> + Send + Sync>;

/// The step to which the requests of a user's set-up belong.
pub const USER_SETUP: &str = "(user set-up)";
/// The step to which the requests of a user's tear-down belong.
pub const USER_TEARDOWN: &str = "(user tear-down)";

/// A script of whatever type it had; cheap to clone.
#[derive(Clone)]
pub struct Script {
    run: Function,
    setup: Option<Function>,
    teardown: Option<Function>,
}

/// Makes a [`Script`] of a function.
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
    /// One run of it.
    pub fn run<'a>(&self, user: &'a mut User) -> Running<'a> {
        (self.run)(user)
    }

    /// What each user does once, before its first run of the script. A user whose set-up fails runs no script: in a closed
    /// loop it tries again, an arrival is counted as failed.
    #[must_use]
    pub fn with_user_setup<F>(mut self, function: F) -> Self
    where
        F: for<'a> Fn(&'a mut User) -> Running<'a> + Send + Sync + 'static,
    {
        self.setup = Some(Arc::new(function));
        self
    }

    /// What each user does once, after its last run of the script: when it leaves, and in a closed loop when the load
    /// ends. A user who is broken off at the end of a round leaves without.
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

/// What of a script a user is at.
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
