//! All that the engine must know to offer a load.

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};

use super::model::Load;

/// A complete order to the engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Whom to load.
    pub target: Target,
    /// With what.
    pub load: Load,
    /// Load offered before the first round and not recorded.
    pub warm_up: Duration,
    /// Rounds, one after the other on the same connections.
    pub rounds: u32,
    /// Length of a round.
    pub measurement_time: Duration,
    /// CPUs of the load: one worker thread each, pinned. Empty: one unpinned worker.
    pub cpus: Vec<usize>,
    /// Seed of everything random in the plan.
    pub seed: u64,
    /// Which part of the whole load this plan is (for a load spread over several engines).
    pub stripe: Stripe,
}

/// An address and the name to call it by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Where to connect.
    pub address: SocketAddr,
    /// Value of the `Host` header.
    pub host: String,
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

/// How long a connection lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeepAlive {
    /// As long as the server lets it.
    #[default]
    Always,
    /// One request each, with `Connection: close`.
    Never,
    /// Closed by us after so many requests (the last asks for `Connection: close`).
    Requests(u32),
}
