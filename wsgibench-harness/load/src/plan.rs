//! The input of the load generator.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    error::LoadError,
    model::{Load, Model},
    tls::Tls,
    wire,
};

/// A complete plan of a load: target, requests, rounds, CPUs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LoadPlan {
    /// The server to load.
    pub target: Target,
    /// The load.
    pub load: Load,
    /// Time of unrecorded load before the first round.
    pub warm_up: Duration,
    /// Rounds, one after the other on the same connections.
    pub rounds: u32,
    /// Length of a round.
    pub measurement_time: Duration,
    /// CPUs of the load: one worker thread each, pinned. Empty: one unpinned worker.
    pub cpus: Vec<usize>,
    /// Seed of everything random in the plan.
    pub seed: u64,
    /// The part of the whole load that this plan covers (for a load spread over several engines).
    pub stripe: Stripe,
    /// Whether the CPUs are dedicated to the load. Workers then poll without sleeping if they would mostly sleep (arrival
    /// schedules, closed loops of up to 32 connections per worker): waking up takes 50 to 200 microseconds on a virtual
    /// machine, which would be part of each latency. Must be off if the server uses the same CPUs.
    #[serde(default)]
    pub busy_poll: bool,
    /// A wait before each request and each connection.
    #[serde(skip)]
    pub before_request: Option<BeforeRequest>,
}

/// A wait before each request and each connection, such as for the server to become idle. It blocks the thread of the load, so it
/// suits loads of one connection.
#[derive(Clone)]
pub struct BeforeRequest(Arc<dyn Fn(NextStep) + Send + Sync>);

/// The step that a load engine takes after a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NextStep {
    /// A connection is opened.
    Connection,
    /// A request is sent.
    Request,
}

impl BeforeRequest {
    /// Creates one that calls `wait`.
    #[must_use]
    pub fn new(wait: impl Fn(NextStep) + Send + Sync + 'static) -> Self {
        Self(Arc::new(wait))
    }

    /// Blocks until the next step may follow.
    pub(super) fn wait(&self, next: NextStep) {
        (self.0)(next);
    }
}

impl fmt::Debug for BeforeRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BeforeRequest")
    }
}

impl PartialEq for BeforeRequest {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl LoadPlan {
    /// Creates a plan of one round of 10 s on one unpinned worker, without warm-up.
    #[must_use]
    pub fn new(target: Target, load: Load) -> Self {
        Self {
            target,
            load,
            warm_up: Duration::ZERO,
            rounds: 1,
            measurement_time: Duration::from_secs(10),
            cpus: Vec::new(),
            seed: 0,
            stripe: Stripe::default(),
            busy_poll: false,
            before_request: None,
        }
    }

    /// Returns the length of a round: the load's `measurement_time`, or else the plan's. Unlike [`Load::own_length`], it
    /// ignores the time in which users arrive.
    #[must_use]
    pub fn round_length(&self) -> Duration {
        self.load.measurement_time.unwrap_or(self.measurement_time)
    }

    /// Checks the plan, independent of the machine.
    ///
    /// # Errors
    /// Returns [`LoadError::InvalidPlan`] with the setting and the remedy.
    pub fn validate(&self) -> Result<(), LoadError> {
        let problem = self.problem_of_model().or_else(|| {
            if self.stripe.of == 0 || self.stripe.index >= self.stripe.of {
                Some("the stripe's index must be below its number of parts".into())
            } else if self.load.keep_alive == KeepAlive::Requests(0) {
                Some("0 requests per connection: use KeepAlive::Never for one, or a number above 0".into())
            } else if self.load.timeout.is_zero() || self.load.connect_timeout.is_zero() {
                Some("a timeout of 0 would fail every request: give it a length".into())
            } else {
                None
            }
        });
        match problem {
            Some(text) => Err(LoadError::InvalidPlan(text)),
            None => self.load.requests.iter().try_for_each(wire::validate),
        }
    }

    fn problem_of_model(&self) -> Option<String> {
        match &self.load.model {
            Model::Closed { connections } if !(1..=100_000).contains(connections) => {
                Some(format!("{connections} connections: choose 1 to 100,000"))
            }
            Model::Open { max_connections: 0, .. } => {
                Some("an open load with 0 connections cannot send requests: set max_connections above 0".into())
            }
            Model::Open { stages, .. } => {
                let wrong = |rate: f64| !rate.is_finite() || rate < 0.0;
                let endless = stages.iter().rev().skip(1).any(|stage| stage.duration.is_none());
                if stages.iter().any(|stage| wrong(stage.from) || wrong(stage.to)) {
                    Some("a rate must be a number of requests per second, 0 or above".into())
                } else if stages.iter().all(|stage| stage.from == 0.0 && stage.to == 0.0) {
                    Some("the schedule has no arrivals: give a stage a rate above 0".into())
                } else if endless {
                    Some("only the last stage may be unlimited: give the others a duration".into())
                } else {
                    None
                }
            }
            Model::Users { batch, every, .. } if *batch == 0 || every.is_zero() => {
                Some("users need a number above 0 and a time between arrivals above 0".into())
            }
            Model::Users {
                requests_per_user: 0, ..
            } => Some("users with 0 requests do nothing: use requests_per_user(n)".into()),
            _ => None,
        }
    }
}

/// The address of a server and its host name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Target {
    /// The address to connect to.
    pub address: SocketAddr,
    /// Value of the `Host` header.
    pub host: String,
    /// TLS settings; `None` for plain HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

impl Target {
    /// Returns the target of plain HTTP at `address`, whose requests have `host` in their `Host` header.
    #[must_use]
    pub fn new(address: SocketAddr, host: impl Into<String>) -> Self {
        Self {
            address,
            host: host.into(),
            tls: None,
        }
    }

    /// Speaks TLS.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }
}

/// Part `index` of `of`: arrival `k` belongs to it when `k mod of == index`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stripe {
    /// This part, 0-based.
    pub index: u32,
    /// Number of parts.
    pub of: u32,
}

impl Default for Stripe {
    fn default() -> Self {
        Self { index: 0, of: 1 }
    }
}

/// The lifetime of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum KeepAlive {
    /// Until the server closes it.
    #[default]
    Always,
    /// One request per connection, with `Connection: close`.
    Never,
    /// Closed by the client after this many requests (the last one sends `Connection: close`).
    Requests(u32),
}
