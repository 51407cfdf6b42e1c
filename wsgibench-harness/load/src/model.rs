//! Loads: a load model, a weighted mix of requests, and how connections are used.

use std::{marker::PhantomData, ops::RangeInclusive, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    fault::Fault,
    kind::{
        Arriving, ArrivingUsers, BeforeRequests, Closed, ConstantRate, IsRequest, PoissonRate, Ramp, RandomArrivals,
        Scheduled, Stages, Timed,
    },
    plan::KeepAlive,
    request::Request,
    slow::Slow,
};
use wsgibench_stats::Threshold;

/// When requests are due.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "model", rename_all = "snake_case")]
pub enum Model {
    /// N connections; each sends its next request when the previous one is answered.
    Closed {
        /// Simultaneous connections, 1 to 100,000.
        connections: usize,
    },
    /// Requests are due on a schedule, independent of the server.
    Open {
        /// The schedule, one stage after the other.
        stages: Vec<Stage>,
        /// Maximum number of simultaneous connections; a request that is due while all are busy waits in a queue.
        max_connections: usize,
        /// Seed of the Poisson arrivals.
        seed: u64,
    },
    /// Users arrive on a schedule; each is a closed loop on its own connection (a partly open load).
    Users {
        /// Users that arrive together.
        batch: usize,
        /// Time between arrivals.
        every: Duration,
        /// Time in which users arrive.
        arriving_for: Duration,
        /// Requests that each user sends before leaving.
        requests_per_user: u64,
    },
}

/// Spacing of the arrivals within a stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Arrivals {
    /// Even.
    #[default]
    Constant,
    /// Exponentially distributed gaps, drawn from the load's seed.
    Poisson,
}

/// A stage of an open schedule: the rate changes linearly from `from` to `to`.
///
/// ```
/// use std::time::Duration;
/// use wsgibench_harness::load::Stage;
///
/// let stages = [
///     Stage::constant(100, Duration::from_secs(5)),
///     Stage::ramp(100..=2_000, Duration::from_secs(30)).poisson(),
///     Stage::unlimited(100),
/// ];
/// assert_eq!(stages[1].to, 2_000.0);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stage {
    /// Requests per second at the start of the stage.
    pub from: f64,
    /// Requests per second at its end.
    pub to: f64,
    /// Length of the stage; `None`, for the last stage only: until the round ends.
    #[serde(rename = "lasting")]
    pub duration: Option<Duration>,
    /// Spacing of the arrivals.
    pub arrivals: Arrivals,
}

impl Stage {
    /// Returns a stage of evenly spaced requests at `rate` per second.
    #[must_use]
    pub fn constant(rate: impl Into<f64>, duration: Duration) -> Self {
        let rate = rate.into();
        Self::new(rate, rate, Some(duration))
    }

    /// Returns a stage whose rate changes linearly over `duration`, requests per second.
    #[must_use]
    pub fn ramp<R: Into<f64> + Copy>(rates: RangeInclusive<R>, duration: Duration) -> Self {
        Self::new((*rates.start()).into(), (*rates.end()).into(), Some(duration))
    }

    /// Returns a last stage at `rate` requests per second that lasts until the round ends.
    #[must_use]
    pub fn unlimited(rate: impl Into<f64>) -> Self {
        let rate = rate.into();
        Self::new(rate, rate, None)
    }

    /// Spaces the arrivals randomly, as those of independent users are.
    #[must_use]
    pub fn poisson(mut self) -> Self {
        self.arrivals = Arrivals::Poisson;
        self
    }

    fn new(from: f64, to: f64, duration: Option<Duration>) -> Self {
        Self {
            from,
            to,
            duration,
            arrivals: Arrivals::Constant,
        }
    }
}

/// A load: when requests are due, which ones, and how connections are used. Scenarios return it.
///
/// A load begins with its model, takes the settings of that model, and then its requests. The first
/// [`request`](LoadWithoutRequest::request) makes it a `Load`; a scenario that adds none does not compile.
///
/// ```
/// use wsgibench_harness::prelude::*;
///
/// let load = Load::closed(64).request(get("/").expect_status(200).expect_body("OK"));
///
/// let mix = Load::poisson(2_000)
///     .seed(7)
///     .max_connections(500)
///     .request(get("/item/{id}").values("id", Values::Random { low: 1, high: 1_000 }).weight(9))
///     .request(post("/item").body("name=new").expect_status(201))
///     .timeout(secs(5));
/// assert_eq!(mix.requests.len(), 2);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Load {
    /// When requests are due.
    pub model: Model,
    /// The mix; each request carries its weight.
    pub requests: Vec<Request>,
    /// Lifetime of a connection.
    pub keep_alive: KeepAlive,
    /// Time after which an unanswered request is censored as a timeout and its connection closed.
    pub timeout: Duration,
    /// Time after which a connection that is not established counts as a connect timeout.
    pub connect_timeout: Duration,
    /// Additional connections that are opened and left idle.
    pub idle_connections: usize,
    /// Round length that the load itself sets (`duration`, `ramp`, `stages`); see [`own_length`](Self::own_length).
    pub measurement_time: Option<Duration>,
    /// Whether the rates are shares of the server's capacity (1.0). The caller determines the capacity and converts the rates
    /// before it runs the load; the engine interprets rates as requests per second.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub of_capacity: bool,
    /// Slow clients that the caller opens before the load and keeps until its end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub background_clients: Vec<Slow>,
    /// Faults that the caller injects into the server during a round.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
    /// Thresholds of its figures, which the caller judges over launches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub thresholds: Vec<Threshold>,
    /// Scripted users do not think: [`User::think`](crate::script::User::think) returns at once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skips_thinking: bool,
}

/// A load model with its settings, to which no request has been added.
///
/// `K` is the [kind](super::kind) of load and decides which settings there are: `seed` for Poisson arrivals, `every` for
/// arriving users, and so on. [`request`](Self::request) makes it a [`Load`]. Scripted scenarios use it without requests,
/// since their script sends them: `#[scenario(load = Load::users(5).every(secs(1)))]`.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadWithoutRequest<K> {
    load: Load,
    kind: PhantomData<K>,
}

impl<K> LoadWithoutRequest<K> {
    fn new(model: Model) -> Self {
        Self {
            load: Load::new(model),
            kind: PhantomData,
        }
    }

    /// Adds the first request of the mix.
    #[must_use]
    pub fn request(self, request: Request) -> Load {
        self.load.request(request)
    }

    /// Adds the requests of a mix. Without any, the declaration of the scenario fails.
    #[must_use]
    pub fn requests(self, requests: impl IntoIterator<Item = Request>) -> Load {
        self.load.requests(requests)
    }

    /// Returns the load for scripted users, whose script sends the requests.
    #[must_use]
    pub fn for_script(self) -> Load {
        self.load
    }

    /// Sets the seed of the Poisson arrivals, 0 by default.
    #[must_use]
    pub fn seed(mut self, value: u64) -> Self
    where
        K: RandomArrivals,
    {
        if let Model::Open { seed, .. } = &mut self.load.model {
            *seed = value;
        }
        self
    }

    /// Sets the largest number of simultaneous connections, 1,000 by default.
    #[must_use]
    pub fn max_connections(mut self, n: usize) -> Self
    where
        K: Scheduled,
    {
        if let Model::Open { max_connections, .. } = &mut self.load.model {
            *max_connections = n;
        }
        self
    }

    /// Interprets the rates as shares of each server's capacity, which is measured at the beginning of each launch: 1.0 is the
    /// highest rate at which 98 % of requests are answered in time, 99 % of them within 100 ms.
    ///
    /// ```
    /// use wsgibench_harness::prelude::*;
    /// let load = Load::poisson(0.8).of_capacity().request(get("/").expect_status(200));
    /// ```
    #[must_use]
    pub fn of_capacity(mut self) -> Self
    where
        K: Scheduled,
    {
        self.load.of_capacity = true;
        self
    }

    /// Sets the time between arrivals, 1 s by default.
    #[must_use]
    pub fn every(mut self, gap: Duration) -> Self
    where
        K: Arriving,
    {
        if let Model::Users { every, .. } = &mut self.load.model {
            *every = gap;
        }
        self
    }

    /// Sets the time in which users arrive, 60 s by default. A round has the same length, unless [`duration`](Self::duration)
    /// gives the last users time to finish.
    #[must_use]
    pub fn arriving_for(mut self, time: Duration) -> Self
    where
        K: Arriving,
    {
        if let Model::Users { arriving_for, .. } = &mut self.load.model {
            *arriving_for = time;
        }
        self
    }

    /// Sets the number of requests of each user, 1 by default; for scripted users, the number of script runs.
    #[must_use]
    pub fn requests_per_user(mut self, n: u64) -> Self
    where
        K: Arriving,
    {
        if let Model::Users { requests_per_user, .. } = &mut self.load.model {
            *requests_per_user = n;
        }
        self
    }

    /// Sets the length of a round, overriding the profile.
    #[must_use]
    pub fn duration(mut self, time: Duration) -> Self
    where
        K: Timed,
    {
        self.load.measurement_time = Some(time);
        self
    }
}

/// Settings that are allowed before and after the first request: connections, background clients, faults.
macro_rules! common_settings {
    ($this:ident => $load:expr) => {
        /// Sets the lifetime of connections; [`KeepAlive::Always`] by default.
        #[must_use]
        pub fn keep_alive(mut self, keep_alive: KeepAlive) -> Self {
            let $this = &mut self;
            $load.keep_alive = keep_alive;
            self
        }

        /// Sets the time after which an unanswered request counts as a timeout, 30 s by default. A request may have
        /// [its own](Request::timeout).
        #[must_use]
        pub fn timeout(mut self, timeout: Duration) -> Self {
            let $this = &mut self;
            $load.timeout = timeout;
            self
        }

        /// Sets the time after which a connection that is not established counts as a connect timeout, 10 s by default.
        #[must_use]
        pub fn connect_timeout(mut self, timeout: Duration) -> Self {
            let $this = &mut self;
            $load.connect_timeout = timeout;
            self
        }

        /// Opens `n` more connections and leaves them idle. Declared loads only.
        #[must_use]
        pub fn idle_connections(mut self, n: usize) -> Self {
            let $this = &mut self;
            $load.idle_connections = n;
            self
        }

        /// Adds slow clients in the background of the load.
        #[must_use]
        pub fn background_clients(mut self, slow: Slow) -> Self {
            let $this = &mut self;
            $load.background_clients.push(slow);
            self
        }

        /// Adds a threshold, which is judged over launches. A broken threshold fails a gate.
        ///
        /// ```
        /// use wsgibench_harness::prelude::*;
        ///
        /// let load = Load::rate(200)
        ///     .request(get("/"))
        ///     .threshold(Threshold::p99_below(millis(50)))
        ///     .threshold(Threshold::errors_below(0.001));
        /// assert_eq!(load.thresholds[0].to_string(), "p99<50ms");
        /// ```
        #[must_use]
        pub fn threshold(mut self, threshold: Threshold) -> Self {
            let $this = &mut self;
            $load.thresholds.push(threshold);
            self
        }

        /// Injects a fault into the server during each round. The results are requests lost and time to recover; such a
        /// scenario is not ranked, and needs a `duration`.
        #[must_use]
        pub fn fault(mut self, fault: Fault) -> Self {
            let $this = &mut self;
            $load.faults.push(fault);
            self
        }
    };
}

/// Methods that exist only for their compile error, which names the place where the setting belongs.
macro_rules! misplaced {
    ($bound:ident: $($method:ident($($arg:ident),*)),* $(,)?) => {
        $(
            #[doc(hidden)]
            #[must_use]
            pub fn $method<'a $(, $arg)*>(self $(, _: $arg)*) -> Self
            where
                &'a (): $bound,
            {
                self
            }
        )*
    };
}

impl<K> LoadWithoutRequest<K> {
    common_settings!(this => this.load);

    misplaced!(IsRequest: get(A), post(A), put(A), delete(A), header(A, B), body(A), streamed_body(A), chunked_body(A),
        weight(A), values(A, B), expect(A), expect_status(A), expect_body(A), expect_body_contains(A),
        expect_body_matches(A), expect_body_length(A), expect_header(A, B), expect_json(A, B));
}

impl Load {
    common_settings!(this => this);

    misplaced!(IsRequest: get(A), post(A), put(A), delete(A), header(A, B), body(A), streamed_body(A), chunked_body(A),
        weight(A), values(A, B), expect(A), expect_status(A), expect_body(A), expect_body_contains(A),
        expect_body_matches(A), expect_body_length(A), expect_header(A, B), expect_json(A, B));

    misplaced!(BeforeRequests: seed(A), max_connections(A), of_capacity(), every(A), arriving_for(A),
        requests_per_user(A), duration(A));

    /// Returns a load of this model without requests: connections are kept alive, requests time out after 30 s,
    /// connection attempts after 10 s.
    #[must_use]
    pub fn new(model: Model) -> Self {
        Self {
            model,
            requests: Vec::new(),
            keep_alive: KeepAlive::Always,
            timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            idle_connections: 0,
            measurement_time: None,
            of_capacity: false,
            background_clients: Vec::new(),
            faults: Vec::new(),
            thresholds: Vec::new(),
            skips_thinking: false,
        }
    }

    /// Begins a load of `connections` closed loops (1 to 100,000): each sends its next request when the previous one is
    /// answered.
    #[must_use]
    pub fn closed(connections: usize) -> LoadWithoutRequest<Closed> {
        LoadWithoutRequest::new(Model::Closed { connections })
    }

    /// Begins an open load of evenly spaced requests, `per_second` of them.
    #[must_use]
    pub fn rate(per_second: impl Into<f64>) -> LoadWithoutRequest<ConstantRate> {
        open(vec![Stage::unlimited(per_second)])
    }

    /// Begins an open load with Poisson arrivals at a mean rate of `per_second` requests.
    #[must_use]
    pub fn poisson(per_second: impl Into<f64>) -> LoadWithoutRequest<PoissonRate> {
        open(vec![Stage::unlimited(per_second).poisson()])
    }

    /// Begins an open load whose rate changes linearly over `duration`, which is the length of a round; requests per second.
    #[must_use]
    pub fn ramp<R: Into<f64> + Copy>(rates: RangeInclusive<R>, duration: Duration) -> LoadWithoutRequest<Ramp> {
        open(vec![Stage::ramp(rates, duration)])
    }

    /// Begins an open load of stages, one after the other. A round has the length of all stages, or that of the profile if the
    /// last stage is [unlimited](Stage::unlimited).
    #[must_use]
    pub fn stages(stages: impl IntoIterator<Item = Stage>) -> LoadWithoutRequest<Stages> {
        open(stages.into_iter().collect())
    }

    /// Begins a load of users who arrive in batches; each sends its requests one after the other on its own connection.
    ///
    /// ```
    /// use wsgibench_harness::prelude::*;
    /// let load = Load::users(5)
    ///     .every(secs(1))
    ///     .arriving_for(secs(60))
    ///     .requests_per_user(10_000)
    ///     .request(get("/").expect_status(200));
    /// ```
    #[must_use]
    pub fn users(batch: usize) -> LoadWithoutRequest<ArrivingUsers> {
        LoadWithoutRequest::new(Model::Users {
            batch,
            every: Duration::from_secs(1),
            arriving_for: Duration::from_secs(60),
            requests_per_user: 1,
        })
    }

    /// Adds a request to the mix.
    #[must_use]
    pub fn request(mut self, request: Request) -> Self {
        self.requests.push(request);
        self
    }

    /// Adds several requests to the mix.
    #[must_use]
    pub fn requests(mut self, requests: impl IntoIterator<Item = Request>) -> Self {
        self.requests.extend(requests);
        self
    }

    /// Returns the round length that the load itself sets: its `duration`, the length of its schedule, or the time in
    /// which its users arrive. `None`: the profile sets it.
    #[must_use]
    pub fn own_length(&self) -> Option<Duration> {
        self.measurement_time.or(match self.model {
            Model::Users { arriving_for, .. } => Some(arriving_for),
            Model::Closed { .. } | Model::Open { .. } => None,
        })
    }
}

fn open<K>(stages: Vec<Stage>) -> LoadWithoutRequest<K> {
    let total: Option<Duration> = stages.iter().map(|stage| stage.duration).sum();
    let mut load = LoadWithoutRequest::new(Model::Open {
        stages,
        max_connections: 1_000,
        seed: 0,
    });
    load.load.measurement_time = total;
    load
}
