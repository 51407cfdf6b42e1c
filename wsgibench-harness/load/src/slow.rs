//! Slow clients in the background of a load. They are data: the caller connects them before the load and keeps them until its end.

use serde::{Deserialize, Serialize};

/// A number of slow clients of one kind.
///
/// ```
/// use wsgibench_harness::prelude::*;
///
/// let slow = Slow::readers(40, "/download").bytes_per_second(10_000);
/// let load = Load::closed(16).request(get("/").expect_status(200)).background_clients(slow);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Slow {
    /// Number of clients; disconnected ones reconnect.
    pub count: usize,
    /// The kind of client.
    pub kind: SlowKind,
    /// Path and query of the request.
    pub path: String,
    /// Speed of each client, bytes per second.
    pub bytes_per_second: u64,
}

/// The direction in which a client is slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlowKind {
    /// Sends a GET at once and reads the response slowly.
    Reader,
    /// Sends a POST with a content-length, and its body slowly.
    Writer {
        /// Length of the body, bytes.
        body: u64,
    },
}

impl Slow {
    /// Returns clients that read slowly, 4 KiB per second by default.
    #[must_use]
    pub fn readers(count: usize, path: impl Into<String>) -> Self {
        Self {
            count,
            kind: SlowKind::Reader,
            path: path.into(),
            bytes_per_second: 4_096,
        }
    }

    /// Returns clients that send a body of `body` bytes slowly, 100 bytes per second by default.
    #[must_use]
    pub fn writers(count: usize, path: impl Into<String>, body: u64) -> Self {
        Self {
            count,
            kind: SlowKind::Writer { body },
            path: path.into(),
            bytes_per_second: 100,
        }
    }

    /// Sets the speed of each client.
    #[must_use]
    pub fn bytes_per_second(mut self, speed: u64) -> Self {
        self.bytes_per_second = speed;
        self
    }

    /// Returns the name for reports, e.g. `40 slow readers of /download`.
    #[must_use]
    pub fn name(&self) -> String {
        let Self { count, path, .. } = self;
        match self.kind {
            SlowKind::Reader => format!("{count} slow readers of {path}"),
            SlowKind::Writer { .. } => format!("{count} slow writers to {path}"),
        }
    }
}
