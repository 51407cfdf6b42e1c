//! Delayed responses, and the record of their actual durations.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use rand::{Rng, RngExt, SeedableRng};
use rand_distr::{Distribution, Exp1};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

/// Distribution of response delays: exponential, with occasional long delays.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delays {
    /// Seed of the draws.
    pub seed: u64,
    /// Mean of the usual delay.
    pub mean: Duration,
    /// Share of slow responses, 0 to 1.
    pub slow_share: f64,
    /// Minimum delay of a slow response.
    pub slow_from: Duration,
    /// Maximum delay of a slow response.
    pub slow_to: Duration,
}

impl Default for Delays {
    /// A mean of 2 ms, and 0.5 % between 50 and 60 ms.
    fn default() -> Self {
        Self {
            seed: 1,
            mean: Duration::from_millis(2),
            slow_share: 0.005,
            slow_from: Duration::from_millis(50),
            slow_to: Duration::from_millis(60),
        }
    }
}

impl Delays {
    fn draw(&self, random: &mut impl Rng) -> Duration {
        if random.random_bool(self.slow_share.clamp(0.0, 1.0)) {
            let share: f64 = random.random();
            return self.slow_from + self.slow_to.saturating_sub(self.slow_from).mul_f64(share);
        }
        let draw: f64 = Exp1.sample(random);
        self.mean.mul_f64(draw)
    }
}

/// A waiting response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    due: Instant,
    /// Slot of the connection, and the generation of the connection in that slot.
    connection: (usize, u64),
    read: Instant,
}

/// The queue of waiting responses.
#[derive(Debug)]
pub(super) struct Delayer {
    delays: Delays,
    random: Xoshiro256PlusPlus,
    waiting: BinaryHeap<Reverse<Waiting>>,
    /// Times from a complete request to the written response, ns.
    took: Histogram<u64>,
    /// Time of the last request or response.
    active: Option<Instant>,
}

/// Time of spinning after the last response, because waking up for the next request would take time that is not recorded.
const STAYS_AWAKE: Duration = Duration::from_millis(20);

impl Delayer {
    pub(super) fn new(delays: Delays) -> Self {
        Self {
            delays,
            random: Xoshiro256PlusPlus::seed_from_u64(delays.seed),
            waiting: BinaryHeap::new(),
            // Auto-resizing, so that no time is capped.
            took: Histogram::new(3).expect("three figures are valid"),
            active: None,
        }
    }

    /// Queues the response to a request that was complete at `now`.
    pub(super) fn hold(&mut self, connection: (usize, u64), now: Instant) {
        let due = now + self.delays.draw(&mut self.random);
        self.active = Some(now);
        self.waiting.push(Reverse(Waiting {
            due,
            connection,
            read: now,
        }));
    }

    /// Returns the next connection whose response is due at `now`, and when its request was complete.
    pub(super) fn next_due(&mut self, now: Instant) -> Option<((usize, u64), Instant)> {
        let Reverse(first) = self.waiting.peek()?;
        if first.due > now {
            return None;
        }
        let Reverse(first) = self.waiting.pop()?;
        Some((first.connection, first.read))
    }

    /// Returns how long the event loop may sleep, `None` for no limit. It spins for the last two milliseconds, since the poller
    /// has a resolution of one, and for [`STAYS_AWAKE`] after the last response.
    pub(super) fn may_sleep(&self, now: Instant) -> Option<Duration> {
        let Some(Reverse(first)) = self.waiting.peek() else {
            let awake = self
                .active
                .is_some_and(|at| now.saturating_duration_since(at) < STAYS_AWAKE);
            return awake.then_some(Duration::ZERO);
        };
        let left = first.due.saturating_duration_since(now);
        Some(Duration::from_millis(
            u64::try_from(left.as_millis()).unwrap_or(u64::MAX).saturating_sub(2),
        ))
    }

    /// Records a response written at `now`, `took` after its request was complete.
    pub(super) fn record(&mut self, now: Instant, took: Duration) {
        self.active = Some(now);
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1);
        // The histogram grows as needed; only a time of centuries would fail.
        let _ = self.took.record(ns);
    }

    /// Returns the record.
    pub(super) fn into_record(self) -> Histogram<u64> {
        self.took
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_reproducible_and_have_the_configured_distribution() {
        let delays = Delays::default();
        let draw = |seed| {
            let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
            (0..20_000).map(|_| delays.draw(&mut random)).collect::<Vec<_>>()
        };
        let drawn = draw(3);
        assert_eq!(drawn, draw(3));
        assert_ne!(drawn, draw(4));
        let slow = drawn.iter().filter(|d| **d >= Duration::from_millis(50)).count();
        assert!((50..200).contains(&slow), "0.5 % of 20,000 is 100, drew {slow}");
        assert!(drawn.iter().all(|d| *d <= Duration::from_millis(60)));
    }

    #[test]
    fn responses_are_due_in_the_order_of_their_times() {
        let mut delayer = Delayer::new(Delays::default());
        let start = Instant::now();
        for connection in 0..100 {
            delayer.hold((connection, 0), start);
        }
        assert!(delayer.may_sleep(start).is_some());
        let mut seen = 0;
        let mut at = start;
        while seen < 100 {
            at += Duration::from_micros(100);
            while delayer.next_due(at).is_some() {
                seen += 1;
            }
        }
        assert!(delayer.next_due(at).is_none());
        delayer.record(at, Duration::from_millis(1));
        assert_eq!(
            delayer.may_sleep(at),
            Some(Duration::ZERO),
            "the loop spins for the next request"
        );
        assert_eq!(delayer.may_sleep(at + STAYS_AWAKE), None);
    }
}
