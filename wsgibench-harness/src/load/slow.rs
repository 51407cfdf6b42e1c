//! Clients that are slow on purpose, beside the load. Data: whoever runs the load opens them before it and keeps them until its end.

use serde::{Deserialize, Serialize};

/// Some slow clients of one kind.
///
/// ```
/// use wsgibench_harness::load::{Load, get, Slow};
/// let load = Load::closed(16).request(get("/")).background_clients(Slow::readers(40, "/download").bytes_per_second(10_000));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slow {
    /// How many there are, all the time: who is sent away comes again.
    pub count: usize,
    /// What they do.
    pub kind: SlowKind,
    /// Path that they ask for.
    pub path: String,
    /// Their speed.
    pub bytes_per_second: u64,
}

/// What a slow client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlowKind {
    /// Asks at once (GET), and takes the answer in little by little.
    Reader,
    /// Says that it sends a body of so many bytes (POST), and sends it little by little.
    Writer {
        /// Length of the body.
        body: u64,
    },
}

impl Slow {
    /// Clients that read slowly: 4 KiB a second unless [`bytes_per_second`](Self::bytes_per_second) says otherwise.
    #[must_use]
    pub fn readers(count: usize, path: impl Into<String>) -> Self {
        Self {
            count,
            kind: SlowKind::Reader,
            path: path.into(),
            bytes_per_second: 4_096,
        }
    }

    /// Clients that send a body of `body` bytes slowly: 100 bytes a second unless [`bytes_per_second`](Self::bytes_per_second)
    /// says otherwise.
    #[must_use]
    pub fn writers(count: usize, path: impl Into<String>, body: u64) -> Self {
        Self {
            count,
            kind: SlowKind::Writer { body },
            path: path.into(),
            bytes_per_second: 100,
        }
    }

    /// Their speed.
    #[must_use]
    pub fn bytes_per_second(mut self, speed: u64) -> Self {
        self.bytes_per_second = speed;
        self
    }

    /// In words, e.g. `40 slow readers of /download`.
    #[must_use]
    pub fn name(&self) -> String {
        let Self { count, path, .. } = self;
        match self.kind {
            SlowKind::Reader => format!("{count} slow readers of {path}"),
            SlowKind::Writer { .. } => format!("{count} slow writers to {path}"),
        }
    }
}
