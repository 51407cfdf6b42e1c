//! A scripted user.

use std::{sync::Arc, time::Duration};

use http::Method;
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::{
    super::{
        clock::Clock,
        error::LoadError,
        model::Load,
        plan::{LoadPlan, Stripe, Target},
        random::{self, Stream},
        result::ErrorKind,
        tls::{Connector, RootCertificate},
    },
    connection::{Link, Transport},
    cookies::CookieJar,
    request::RequestBuilder,
    request_error::RequestError,
    worker_state::WorkerState,
};

/// A scripted user with its own connection, cookies and random numbers.
///
/// Paths are relative to the server under load. A failed request is counted and returns a [`RequestError`]. With `?` the
/// script ends there; in a closed loop it starts again.
#[derive(Debug)]
pub struct User {
    pub(super) state: Arc<WorkerState>,
    pub(super) place: usize,
    pub(super) link: Option<Link>,
    /// Requests on the connection so far.
    pub(super) used: u32,
    pub(super) transport: Transport,
    pub(super) cookies: CookieJar,
    pub(super) step: Option<usize>,
    number: u64,
    random: Xoshiro256PlusPlus,
}

impl User {
    pub(super) fn new(state: &Arc<WorkerState>, number: u64) -> Self {
        let place = state.accounting().user_arrives(state.clock.now());
        Self {
            state: Arc::clone(state),
            place,
            link: None,
            used: 0,
            transport: Transport {
                http2: false,
                tls: state.tls.clone(),
            },
            cookies: CookieJar::default(),
            step: None,
            number,
            random: Xoshiro256PlusPlus::seed_from_u64(random::bits(
                random::stream(state.plan.seed, Stream::Users),
                number,
            )),
        }
    }

    /// Creates a user outside of a load, whose requests are not counted. It must be used on a
    /// [`LocalSet`](tokio::task::LocalSet), as in set-up hooks.
    ///
    /// # Errors
    /// Returns an error if the target's host is not a valid host name, or its TLS settings cannot be used.
    pub fn apart(target: &Target) -> Result<Self, LoadError> {
        let plan = LoadPlan::new(target.clone(), Load::closed(1).for_script());
        let state = Arc::new(WorkerState::new(Arc::new(plan), Clock::start(), Stripe::default())?);
        Ok(Self::new(&state, 0))
    }

    /// Closes the connection and clears the cookies, after a script left them in an unknown state.
    pub(super) fn renew(&mut self) {
        self.link = None;
        self.cookies.clear();
    }

    /// Returns the number of this user, from 0; unique in the session.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Returns this user's random number generator, reproducible with the run's seed.
    pub fn rng(&mut self) -> &mut impl rand::Rng {
        &mut self.random
    }

    /// Creates a GET request.
    pub fn get(&mut self, path: &str) -> RequestBuilder<'_> {
        self.request(Method::GET, path)
    }

    /// Creates a HEAD request.
    pub fn head(&mut self, path: &str) -> RequestBuilder<'_> {
        self.request(Method::HEAD, path)
    }

    /// Creates a POST request.
    pub fn post(&mut self, path: &str) -> RequestBuilder<'_> {
        self.request(Method::POST, path)
    }

    /// Creates a PUT request.
    pub fn put(&mut self, path: &str) -> RequestBuilder<'_> {
        self.request(Method::PUT, path)
    }

    /// Creates a PATCH request.
    pub fn patch(&mut self, path: &str) -> RequestBuilder<'_> {
        self.request(Method::PATCH, path)
    }

    /// Creates a DELETE request.
    pub fn delete(&mut self, path: &str) -> RequestBuilder<'_> {
        self.request(Method::DELETE, path)
    }

    /// Creates an OPTIONS request.
    pub fn options(&mut self, path: &str) -> RequestBuilder<'_> {
        self.request(Method::OPTIONS, path)
    }

    /// Creates a request with any method.
    pub fn request(&mut self, method: Method, path: &str) -> RequestBuilder<'_> {
        RequestBuilder::new(self, method, path)
    }

    /// Pauses for a time (with millisecond precision), which is not part of any request's latency.
    pub async fn think(&mut self, time: Duration) {
        if self.state.plan.load.skips_thinking {
            return;
        }
        let now = self.state.clock.now();
        self.state.accounting().thinks(self.place, true, now);
        tokio::time::sleep(time).await;
        let now = self.state.clock.now();
        self.state.accounting().thinks(self.place, false, now);
    }

    /// Begins a named step. Its requests get a separate latency distribution in the result.
    pub fn step(&mut self, name: &str) {
        self.step = Some(self.state.accounting().step(name));
    }

    /// Ends the current step.
    pub fn end_step(&mut self) {
        self.step = None;
    }

    /// Checks a condition that does not belong to a response; failures are counted under `name`.
    ///
    /// # Errors
    /// Returns an error unless it holds.
    pub fn expect(&mut self, name: &str, holds: bool) -> Result<(), RequestError> {
        if holds {
            return Ok(());
        }
        self.state.accounting().check_fails(self.place, name);
        Err(RequestError::new(
            ErrorKind::CheckFailed,
            format!("check `{name}` failed"),
        ))
    }

    /// Returns the value of a cookie.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(name)
    }

    /// Sets a cookie, as a response would.
    pub fn set_cookie(&mut self, name: &str, value: &str) {
        self.cookies.set(name, value, &self.state.base);
    }

    /// Clears all cookies.
    pub fn clear_cookies(&mut self) {
        self.cookies.clear();
    }

    /// Uses HTTP/2 for further connections (without TLS: with prior knowledge). Closes an open HTTP/1.1 connection.
    pub fn use_http2(&mut self) {
        if !self.transport.http2 {
            self.transport.http2 = true;
            self.link = None;
        }
    }

    /// Uses TLS for further connections, to servers whose certificate was signed by `root_certificate`. Users of a server that
    /// is declared with `Server::tls` use TLS without this.
    pub fn use_tls(&mut self, root_certificate: &RootCertificate) {
        // The name of the site was checked when the session began; one that TLS cannot ask for fails the handshake.
        if let Ok(connector) = Connector::with_root(root_certificate, &self.state.plan.target) {
            self.transport.tls = Some(Arc::new(connector));
            self.link = None;
        }
    }

    /// Closes the connection; the next request opens another.
    pub fn disconnect(&mut self) {
        self.link = None;
    }
}

impl Drop for User {
    fn drop(&mut self) {
        self.state.accounting().user_leaves(self.place, false);
    }
}
