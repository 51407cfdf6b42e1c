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
        plan::{Plan, Target},
        random,
        result::ErrorKind,
    },
    connection::{Link, Transport},
    failure::Failure,
    jar::Jar,
    request::RequestBuilder,
    tls::Authority,
    world::World,
};

/// A user that a script plays: a connection, cookies and random numbers of its own.
///
/// Paths are relative to the server under load. A request that fails is counted and gives a [`Failure`], which `?` hands
/// on; the script ends there, and in a closed loop begins anew.
#[derive(Debug)]
pub struct User {
    pub(super) world: Arc<World>,
    pub(super) place: usize,
    pub(super) link: Option<Link>,
    /// Requests on the connection so far.
    pub(super) used: u32,
    pub(super) transport: Transport,
    pub(super) jar: Jar,
    pub(super) step: Option<usize>,
    number: u64,
    random: Xoshiro256PlusPlus,
}

impl User {
    pub(super) fn new(world: &Arc<World>, number: u64) -> Self {
        let place = world.notes().user_comes(world.clock.now());
        Self {
            world: Arc::clone(world),
            place,
            link: None,
            used: 0,
            transport: Transport::default(),
            jar: Jar::default(),
            step: None,
            number,
            random: Xoshiro256PlusPlus::seed_from_u64(random::bits(world.plan.seed, number)),
        }
    }

    /// A user of no load: what it asks is counted nowhere. It must be used on a [`LocalSet`](tokio::task::LocalSet), as
    /// set-up hooks are.
    ///
    /// # Errors
    /// The target's host is no name of a server.
    pub fn apart(target: &Target) -> Result<Self, LoadError> {
        let plan = Plan::new(target.clone(), Load::closed(1));
        let world = Arc::new(World::new(Arc::new(plan), Clock::start())?);
        Ok(Self::new(&world, 0))
    }

    /// Forgets connection and cookies, for a script that left them in no known state.
    pub(super) fn renew(&mut self) {
        self.link = None;
        self.jar.clear();
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
        let now = self.world.clock.now();
        self.world.notes().thinks(self.place, true, now);
        tokio::time::sleep(time).await;
        let now = self.world.clock.now();
        self.world.notes().thinks(self.place, false, now);
    }

    /// Requests from here on belong to the step of this name, which has latencies of its own in the result.
    pub fn step(&mut self, name: &str) {
        self.step = Some(self.world.notes().step(name));
    }

    /// Requests from here on belong to no step.
    pub fn end_step(&mut self) {
        self.step = None;
    }

    /// A check that is not about one answer; its failures are counted under `name`.
    ///
    /// # Errors
    /// It does not hold.
    pub fn expect(&mut self, name: &str, holds: bool) -> Result<(), Failure> {
        if holds {
            return Ok(());
        }
        self.world.notes().check_fails(self.place, name);
        Err(Failure::new(ErrorKind::CheckFailed, format!("check `{name}` failed")))
    }

    /// The value of a cookie.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.jar.get(name)
    }

    /// Sets a cookie as if the server had.
    pub fn set_cookie(&mut self, name: &str, value: &str) {
        self.jar.set(name, value, &self.world.base);
    }

    /// Drops all cookies.
    pub fn forget_cookies(&mut self) {
        self.jar.clear();
    }

    /// Speaks HTTP/2 from the next connection on (without TLS: with prior knowledge). A connection that is open for
    /// HTTP/1.1 is closed.
    pub fn use_http2(&mut self) {
        if !self.transport.http2 {
            self.transport.http2 = true;
            self.link = None;
        }
    }

    /// Speaks TLS from the next connection on, with servers whose certificate comes from `authority`.
    pub fn use_tls(&mut self, authority: &Authority) {
        if self.transport.authority.is_none() {
            self.link = None;
        }
        self.transport.authority = Some(authority.clone());
    }

    /// Closes the connection; the next request opens another.
    pub fn disconnect(&mut self) {
        self.link = None;
    }
}

impl Drop for User {
    fn drop(&mut self) {
        self.world.notes().user_goes(self.place, false);
    }
}
