//! What is asked of a server: a load model, the requests and the checks, as a value.

use std::{ops::RangeInclusive, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    fault::Fault,
    plan::KeepAlive,
    request::{Body, Check, Request, Values},
    slow::Slow,
};

/// When requests are due.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "model", rename_all = "snake_case")]
pub enum Model {
    /// N connections; each sends its next request when the last is answered.
    Closed {
        /// Simultaneous connections, 1 to 100,000.
        connections: usize,
    },
    /// Requests are due on a schedule, whatever the server does.
    Open {
        /// The arrival process, stage after stage.
        stages: Vec<Stage>,
        /// Upper bound of simultaneous connections; a request that is due while all are busy waits in a queue.
        max_connections: usize,
        /// Seed of the Poisson draws.
        seed: u64,
    },
    /// Users arrive on a schedule; each is a closed loop of its own on a connection of its own (partly open).
    Users {
        /// Users that arrive together.
        batch: usize,
        /// Time between arrivals.
        every: Duration,
        /// How long users go on arriving.
        arriving_for: Duration,
        /// Requests each user makes before leaving.
        requests_per_user: u64,
    },
}

/// How arrivals are spread within a stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// Evenly spaced.
    #[default]
    Constant,
    /// Exponential gaps, from the plan's seed.
    Poisson,
}

/// A piece of an open schedule: the rate goes in a straight line from `from` to `to`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// Requests per second at the start of the stage.
    pub from: f64,
    /// Requests per second at its end.
    pub to: f64,
    /// How long it lasts; `None` (only for the last stage) lasts until the round ends.
    pub lasting: Option<Duration>,
    /// Even or Poisson.
    pub arrivals: Arrivals,
}

/// A load: the model, a weighted mix of requests, and how connections are used. Scenarios return it.
///
/// ```
/// use wsgibench_harness::load::Load;
/// let load = Load::closed(64).get("/").expect_status(200).expect_body("OK");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// When requests are due.
    pub model: Model,
    /// The mix; each request carries its weight.
    pub requests: Vec<Request>,
    /// How long a connection lives.
    pub keep_alive: KeepAlive,
    /// A request unanswered for so long is censored as a timeout and its connection closed.
    pub timeout: Duration,
    /// A connection that is not established in so long counts as a connect timeout.
    pub connect_timeout: Duration,
    /// Connections that are opened and then left idle beside the loaded ones.
    pub idle_connections: usize,
    /// Round length that the load itself fixes (`ramp`, `stages`, `lasting`); see [`own_length`](Self::own_length).
    pub measurement_time: Option<Duration>,
    /// The rates of its schedule are shares of the server's capacity (1.0), which whoever runs the load finds first; the engine itself
    /// takes them for requests per second.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub of_capacity: bool,
    /// Slow clients in the background of the load, opened before it by whoever runs it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub background_clients: Vec<Slow>,
    /// What is done to the server during a round, by whoever runs it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
}

impl Load {
    /// A load of this model with the defaults: keep-alive on, 30 s timeout, 10 s connect timeout.
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
        }
    }

    /// `connections` closed loops.
    #[must_use]
    pub fn closed(connections: usize) -> Self {
        Self::new(Model::Closed { connections })
    }

    /// An open schedule at a constant rate, requests per second.
    #[must_use]
    pub fn rate(per_second: impl Into<f64>) -> Self {
        Self::stages([Stage::constant(per_second.into(), None)])
    }

    /// An open schedule with Poisson arrivals at a mean rate, requests per second.
    #[must_use]
    pub fn poisson(per_second: impl Into<f64>) -> Self {
        let mut stage = Stage::constant(per_second.into(), None);
        stage.arrivals = Arrivals::Poisson;
        Self::stages([stage])
    }

    /// An open schedule whose rate goes in a straight line over `lasting`.
    #[must_use]
    pub fn ramp(rates: RangeInclusive<u32>, lasting: Duration) -> Self {
        Self::stages([Stage {
            from: (*rates.start()).into(),
            to: (*rates.end()).into(),
            lasting: Some(lasting),
            arrivals: Arrivals::Constant,
        }])
    }

    /// An open schedule of stages that follow each other.
    #[must_use]
    pub fn stages(stages: impl IntoIterator<Item = Stage>) -> Self {
        let stages: Vec<_> = stages.into_iter().collect();
        let total: Option<Duration> = stages.iter().map(|s| s.lasting).sum();
        let mut load = Self::new(Model::Open {
            stages,
            max_connections: 1_000,
            seed: 0,
        });
        load.measurement_time = total;
        load
    }

    /// `batch` users at a time; say how often with [`every`](Self::every), how long with
    /// [`arriving_for`](Self::arriving_for), how much each does with [`requests_per_user`](Self::requests_per_user).
    #[must_use]
    pub fn users(batch: usize) -> Self {
        Self::new(Model::Users {
            batch,
            every: Duration::from_secs(1),
            arriving_for: Duration::from_secs(60),
            requests_per_user: 1,
        })
    }

    /// Users: time between arrivals.
    #[must_use]
    pub fn every(mut self, gap: Duration) -> Self {
        if let Model::Users { every, .. } = &mut self.model {
            *every = gap;
        }
        self
    }

    /// Users: how long they go on arriving. A round is as long, unless [`lasting`](Self::lasting) gives the last ones time to
    /// come to their end.
    #[must_use]
    pub fn arriving_for(mut self, time: Duration) -> Self {
        if let Model::Users { arriving_for, .. } = &mut self.model {
            *arriving_for = time;
        }
        self
    }

    /// Users: requests each makes.
    #[must_use]
    pub fn requests_per_user(mut self, n: u64) -> Self {
        if let Model::Users { requests_per_user, .. } = &mut self.model {
            *requests_per_user = n;
        }
        self
    }

    /// Open: seed of the Poisson draws.
    #[must_use]
    pub fn seed(mut self, value: u64) -> Self {
        if let Model::Open { seed, .. } = &mut self.model {
            *seed = value;
        }
        self
    }

    /// Open: upper bound of simultaneous connections (1,000 unless told).
    #[must_use]
    pub fn max_connections(mut self, n: usize) -> Self {
        if let Model::Open { max_connections, .. } = &mut self.model {
            *max_connections = n;
        }
        self
    }

    /// Fixes the length of a round, whatever the profile says.
    #[must_use]
    pub fn duration(mut self, time: Duration) -> Self {
        self.measurement_time = Some(time);
        self
    }

    /// Length of a round where the load itself says it: told by [`lasting`](Self::lasting), or that of its schedule, or the time
    /// in which its users arrive. Otherwise it is the profile's.
    #[must_use]
    pub fn own_length(&self) -> Option<Duration> {
        self.measurement_time.or(match self.model {
            Model::Users { arriving_for, .. } => Some(arriving_for),
            Model::Closed { .. } | Model::Open { .. } => None,
        })
    }

    /// Adds a request to the mix (weight 1 unless it says otherwise).
    #[must_use]
    pub fn request(mut self, request: Request) -> Self {
        self.requests.push(request);
        self
    }

    /// Adds a GET of `path`; the `expect_*` that follow are its checks.
    #[must_use]
    pub fn get(self, path: impl Into<String>) -> Self {
        self.request(Request::new("GET", path))
    }

    /// Adds a POST to `path`.
    #[must_use]
    pub fn post(self, path: impl Into<String>) -> Self {
        self.request(Request::new("POST", path))
    }

    /// The last request of the mix: another header. `{name}` in the value is replaced per request, see
    /// [`values`](Self::values).
    #[must_use]
    pub fn header(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.change_last(|request| request.headers.push((name.into(), value.into())))
    }

    /// The last request of the mix: its body, with a content-length. `{name}` in it is replaced per request.
    #[must_use]
    pub fn body(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.change_last(|request| request.body = Body::Bytes(bytes.into()))
    }

    /// The last request of the mix: a body of so many bytes, streamed and never held whole.
    #[must_use]
    pub fn streamed_body(self, length: u64) -> Self {
        self.change_last(|request| request.body = Body::Streamed(length))
    }

    /// The same with chunked transfer coding in place of a content-length.
    #[must_use]
    pub fn chunked_body(self, length: u64) -> Self {
        self.change_last(|request| request.body = Body::Chunked(length))
    }

    /// The last request of the mix: its share, relative to the others (1 unless told).
    #[must_use]
    pub fn weight(self, weight: u32) -> Self {
        self.change_last(|request| request.weight = weight)
    }

    /// The last request of the mix: what `{name}` in its path, headers and body stands for, request by request.
    ///
    /// ```
    /// use wsgibench_harness::load::{Load, Values};
    /// let load = Load::closed(8).get("/item/{id}").values("id", Values::Random { low: 1, high: 1000 });
    /// ```
    #[must_use]
    pub fn values(self, name: impl Into<String>, values: Values) -> Self {
        self.change_last(|request| request.values.push((name.into(), values)))
    }

    /// A connection that is not established in so long counts as a connect timeout.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Changes the last request of the mix; without one yet, a GET of `/` is added first.
    fn change_last(mut self, change: impl FnOnce(&mut Request)) -> Self {
        if self.requests.is_empty() {
            self = self.get("/");
        }
        if let Some(last) = self.requests.last_mut() {
            change(last);
        }
        self
    }

    /// How long connections live.
    #[must_use]
    pub fn keep_alive(mut self, keep_alive: KeepAlive) -> Self {
        self.keep_alive = keep_alive;
        self
    }

    /// Per-request timeout.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Opens so many connections beside the loaded ones and leaves them idle.
    #[must_use]
    pub fn idle_connections(mut self, n: usize) -> Self {
        self.idle_connections = n;
        self
    }

    /// Open: the rates are shares of what each server can do, which is searched for at the beginning of each launch: 1.0 is the
    /// highest rate at which 98 % is answered in time, 99 % of it within 100 ms.
    ///
    /// ```
    /// use wsgibench_harness::load::Load;
    /// let load = Load::poisson(0.8).of_capacity().get("/").expect_status(200);
    /// ```
    #[must_use]
    pub fn of_capacity(mut self) -> Self {
        self.of_capacity = true;
        self
    }

    /// Slow clients in the background of the load: does the server starve the others for them?
    #[must_use]
    pub fn background_clients(mut self, slow: Slow) -> Self {
        self.background_clients.push(slow);
        self
    }

    /// Does something to the server during each round. What is measured then is how many requests are lost and when the server
    /// is as fast as before; such a scenario is not ranked.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// The last request of the mix: its answer must have this status.
    #[must_use]
    pub fn expect_status(self, status: u16) -> Self {
        self.expect(Check::Status(status))
    }

    /// The last request of the mix: its answer must have exactly this body.
    #[must_use]
    pub fn expect_body(self, body: impl Into<Vec<u8>>) -> Self {
        self.expect(Check::Body(body.into()))
    }

    /// The last request of the mix: its answer must carry this header with this value.
    #[must_use]
    pub fn expect_header(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.expect(Check::Header(name.into(), value.into()))
    }

    /// Adds a check to the last request of the mix; without one yet, a GET of `/` is added first.
    #[must_use]
    pub fn expect(self, check: Check) -> Self {
        self.change_last(|request| request.checks.push(check))
    }
}

impl Stage {
    /// A stage of evenly spaced arrivals.
    #[must_use]
    pub fn constant(rate: f64, lasting: Option<Duration>) -> Self {
        Self {
            from: rate,
            to: rate,
            lasting,
            arrivals: Arrivals::Constant,
        }
    }
}
