//! One request of a mix, and the checks its answer must pass.

use serde::{Deserialize, Serialize};

/// A request of the mix. Text of the form `{name}` in path, header values and text bodies is replaced per request
/// by the value that `values` gives under that name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Method, as it stands on the wire.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Extra headers, in order.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Body,
    /// Share in the mix, relative to the others.
    pub weight: u32,
    /// What the answer must be; any failure counts as `check_failed` (`status` for the status).
    pub checks: Vec<Check>,
    /// Values that differ from request to request, by name.
    pub values: Vec<(String, Values)>,
}

impl Request {
    /// A request without headers, body or checks, of weight 1.
    #[must_use]
    pub fn new(method: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            path: path.into(),
            headers: Vec::new(),
            body: Body::Empty,
            weight: 1,
            checks: Vec::new(),
            values: Vec::new(),
        }
    }
}

/// A request body.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// None.
    #[default]
    Empty,
    /// These bytes, with a content-length.
    Bytes(Vec<u8>),
    /// So many bytes of a fixed pattern, streamed in pieces with a content-length, never held whole.
    Streamed(u64),
    /// So many bytes of a fixed pattern, streamed with chunked transfer coding.
    Chunked(u64),
}

/// Where a per-request value comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Values {
    /// 0, 1, 2, ... over the whole round.
    Counter,
    /// A seeded random integer in `low..=high`.
    Random {
        /// Smallest value.
        low: u64,
        /// Largest value.
        high: u64,
    },
    /// Rows in turn, over and over (one column of a CSV file, read when the load is declared).
    Rows(Vec<String>),
}

/// What an answer must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Exactly this status. Without a status check, any of 200 to 399 passes.
    Status(u16),
    /// Exactly this body.
    Body(Vec<u8>),
    /// A body of exactly this length, bytes.
    BodyLength(u64),
    /// This header (name compared without case) with exactly this value.
    Header(String, String),
}
