//! The engine's clock: nanoseconds since the start of the session, monotonic.

use std::time::{Duration, Instant};

/// A point in time, ns since the start of the session.
pub(crate) type Nanos = u64;

/// A time later than any other.
pub(crate) const NEVER: Nanos = u64::MAX;

/// The clock of a session. All workers share its origin, so that their times are comparable.
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

    /// Converts an `Instant`; 0 for one before the start of the session.
    pub(crate) fn of(self, at: Instant) -> Nanos {
        nanos(at.saturating_duration_since(self.origin))
    }

    /// Converts a time to an `Instant`.
    pub(crate) fn instant(self, at: Nanos) -> Instant {
        self.origin + Duration::from_nanos(at)
    }
}

/// Converts a duration to ns; saturates at about five centuries.
#[inline]
pub(crate) fn nanos(duration: Duration) -> u64 {
    // Cheaper than the 128-bit arithmetic of `as_nanos`.
    duration
        .as_secs()
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::from(duration.subsec_nanos()))
}

/// Converts nanoseconds to seconds.
#[expect(
    clippy::cast_precision_loss,
    reason = "a double holds 104 days of nanoseconds exactly"
)]
pub(crate) fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}
