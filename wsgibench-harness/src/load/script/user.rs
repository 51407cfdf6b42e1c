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
    },
    connection::{Link, Transport},
    cookies::CookieJar,
    request::RequestBuilder,
    request_error::RequestError,
    tls::RootCertificate,
    worker_state::WorkerState,
};

/// A user that a script plays: a connection, cookies and random numbers of its own.
///
/// Paths are relative to the server under load. A request that fails is counted and gives a [`RequestError`], which `?` hands
/// on; the script ends there, and in a closed loop begins anew.
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
        let place = state.accounting().user_comes(state.clock.now());
        Self {
            state: Arc::clone(state),
            place,
            link: None,
            used: 0,
            transport: Transport::default(),
            cookies: CookieJar::default(),
            step: None,
            number,
            random: Xoshiro256PlusPlus::seed_from_u64(random::bits(
                random::stream(state.plan.seed, Stream::Users),
                number,
            )),
        }
    }

    /// A user of no load: what it asks is counted nowhere. It must be used on a [`LocalSet`](tokio::task::LocalSet), as
    /// set-up hooks are.
    ///
    /// # Errors
    /// The target's host is no name of a server.
    pub fn apart(target: &Target) -> Result<Self, LoadError> {
        let plan = LoadPlan::new(target.clone(), Load::closed(1).for_script());
        let state = Arc::new(WorkerState::new(Arc::new(plan), Clock::start(), Stripe::default())?);
        Ok(Self::new(&state, 0))
    }

    /// Forgets connection and cookies, for a script that left them in no known state.
    pub(super) fn renew(&mut self) {
        self.link = None;
        self.cookies.clear();
    }

    /// The number of this user, from 0; unique in the session.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Random numbers of this user: the same in every run with the same seed.
    pub fn rng(&mut self) -> &mut impl rand::Rng {
        &mut self.random
    }

    /// A GET.
    pub fn get(&mut self, path: &str) -> RequestBuilder<'_> {
        self.request(Method::GET, path)
    }

    /// A HEAD.
    pub fn head(&mut self, path: &str) -> RequestBuilder<'_> {
        self.request(Method::HEAD, path)
    }

    /// A POST.
    pub fn post(&mut self, path: &str) -> RequestBuilder<'_> {
        self.request(Method::POST, path)
    }

    /// A PUT.
    pub fn put(&mut self, path: &str) -> RequestBuilder<'_> {
        self.request(Method::PUT, path)
    }

    /// A PATCH.
    pub fn patch(&mut self, path: &str) -> RequestBuilder<'_> {
        self.request(Method::PATCH, path)
    }

    /// A DELETE.
    pub fn delete(&mut self, path: &str) -> RequestBuilder<'_> {
        self.request(Method::DELETE, path)
    }

    /// An OPTIONS.
    pub fn options(&mut self, path: &str) -> RequestBuilder<'_> {
        self.request(Method::OPTIONS, path)
    }

    /// Any method.
    pub fn request(&mut self, method: Method, path: &str) -> RequestBuilder<'_> {
        RequestBuilder::new(self, method, path)
    }

    /// Does nothing for a time (to the millisecond). It counts for no request.
    pub async fn think(&mut self, time: Duration) {
        let now = self.state.clock.now();
        self.state.accounting().thinks(self.place, true, now);
        tokio::time::sleep(time).await;
        let now = self.state.clock.now();
        self.state.accounting().thinks(self.place, false, now);
    }

    /// Requests from here on belong to the step of this name, which has latencies of its own in the result.
    pub fn step(&mut self, name: &str) {
        self.step = Some(self.state.accounting().step(name));
    }

    /// Requests from here on belong to no step.
    pub fn end_step(&mut self) {
        self.step = None;
    }

    /// A check that is not about one answer; its failures are counted under `name`.
    ///
    /// # Errors
    /// It does not hold.
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

    /// The value of a cookie.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(name)
    }

    /// Sets a cookie as if the server had.
    pub fn set_cookie(&mut self, name: &str, value: &str) {
        self.cookies.set(name, value, &self.state.base);
    }

    /// Drops all cookies.
    pub fn clear_cookies(&mut self) {
        self.cookies.clear();
    }

    /// Speaks HTTP/2 from the next connection on (without TLS: with prior knowledge). A connection that is open for
    /// HTTP/1.1 is closed.
    pub fn use_http2(&mut self) {
        if !self.transport.http2 {
            self.transport.http2 = true;
            self.link = None;
        }
    }

    /// Speaks TLS from the next connection on, with servers whose certificate comes from `root_certificate`.
    pub fn use_tls(&mut self, root_certificate: &RootCertificate) {
        if self.transport.root_certificate.is_none() {
            self.link = None;
        }
        self.transport.root_certificate = Some(root_certificate.clone());
    }

    /// Closes the connection; the next request opens another.
    pub fn disconnect(&mut self) {
        self.link = None;
    }
}

impl Drop for User {
    fn drop(&mut self) {
        self.state.accounting().user_goes(self.place, false);
    }
}
