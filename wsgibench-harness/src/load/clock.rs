//! The engine's time: nanoseconds since the session began, from the monotonic clock.

use std::time::{Duration, Instant};

/// A moment, ns since the session began.
pub(crate) type Nanos = u64;

/// Later than any moment.
pub(crate) const NEVER: Nanos = u64::MAX;

/// All workers of a session share the origin, so that their moments compare.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { origin: Instant::now() }
    }

    #[inline]
    pub(crate) fn now(self) -> Nanos {
        nanos(self.origin.elapsed())
    }

    /// The instant of a moment.
    pub(crate) fn instant(self, at: Nanos) -> Instant {
        self.origin + Duration::from_nanos(at)
    }
}

/// A duration in ns; five centuries and more become the largest value.
#[inline]
pub(crate) fn nanos(duration: Duration) -> u64 {
    // Seconds and nanoseconds separately: cheaper than the 128 bits of `as_nanos`.
    duration
        .as_secs()
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::from(duration.subsec_nanos()))
}

/// Nanoseconds as seconds.
#[expect(
    clippy::cast_precision_loss,
    reason = "a double holds 104 days of nanoseconds exactly"
)]
pub(crate) fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}
