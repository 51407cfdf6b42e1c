//! Offsets between the clocks of two processes, from round trips (D. L. Mills, "Internet time synchronization", 1991: the round
//! trip with the smallest delay has the smallest error).

use std::time::Instant;

use serde::{Deserialize, Serialize};

/// A reading of a process's clock, ns since an origin of its own.
pub(crate) type Reading = i64;

/// The clock of this process: monotonic, with its start as the origin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PodClock {
    origin: Instant,
    /// Added to each reading: an error planted by a test, 0 otherwise.
    planted: Reading,
}

impl PodClock {
    pub(crate) fn start(planted: Reading) -> Self {
        Self {
            origin: Instant::now(),
            planted,
        }
    }

    pub(crate) fn now(&self) -> Reading {
        i64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(i64::MAX) + self.planted
    }

    /// Converts a reading to a moment of this machine; the origin for earlier readings.
    pub(crate) fn moment(&self, reading: Reading) -> Instant {
        let since = u64::try_from(reading - self.planted).unwrap_or(0);
        self.origin + std::time::Duration::from_nanos(since)
    }
}

/// The offset of another clock against one's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Offset {
    /// The other clock's reading minus one's own at the same moment, ns.
    pub(crate) ns: i64,
    /// Largest error of `ns`, whatever the delays of both directions were, ns.
    pub(crate) bound_ns: u64,
}

impl Offset {
    /// Returns the offset that one round trip gives: `sent` and `received` are one's own readings, `other` is the other clock's
    /// reading in between. `None` if the times are not in order.
    pub(crate) fn of_round_trip(sent: Reading, other: Reading, received: Reading) -> Option<Self> {
        let delay = u64::try_from(received.checked_sub(sent)?).ok()?;
        let half = i64::try_from(delay / 2).ok()?;
        Some(Self {
            ns: other.checked_sub(sent.checked_add(half)?)?,
            // Half a nanosecond is lost when an odd delay is halved.
            bound_ns: delay.div_ceil(2),
        })
    }

    /// Returns the better of two estimates.
    pub(crate) fn better(self, other: Self) -> Self {
        if other.bound_ns < self.bound_ns { other } else { self }
    }

    /// Converts one's own reading to the other clock's.
    pub(crate) fn to_other(self, own: Reading) -> Reading {
        own + self.ns
    }

    /// Converts the other clock's reading to one's own.
    pub(crate) fn to_own(self, other: Reading) -> Reading {
        other - self.ns
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn estimate(offset: i64, delays: &[(u64, u64)]) -> Option<Offset> {
        let mut sent = 1_000_000_000_i64;
        let trips = delays.iter().filter_map(|&(there, back)| {
            sent += 1_000_000;
            let arrives = sent + there.cast_signed();
            Offset::of_round_trip(sent, arrives + offset, arrives + back.cast_signed())
        });
        trips.reduce(Offset::better)
    }

    #[test]
    fn planted_offset_of_50_ms_is_found() {
        let found = estimate(50_000_000, &[(900_000, 100_000), (40_000, 60_000), (5_000_000, 10_000)]).unwrap();
        assert_eq!(found.bound_ns, 50_000);
        assert_eq!(found.ns, 49_990_000, "10 us from the true offset, within the bound");
        assert_eq!(Offset::of_round_trip(5, 0, 4), None);
    }

    proptest! {
        #[test]
        fn true_offset_is_within_the_bound(
            offset in -3_600_000_000_000_i64..3_600_000_000_000,
            delays in prop::collection::vec((0_u64..50_000_000, 0_u64..50_000_000), 1..20),
        ) {
            let found = estimate(offset, &delays).unwrap();
            prop_assert!(found.ns.abs_diff(offset) <= found.bound_ns);
            let shortest = delays.iter().map(|(there, back)| there + back).min().unwrap();
            prop_assert_eq!(found.bound_ns, shortest.div_ceil(2));
            prop_assert_eq!(found.to_own(found.to_other(7)), 7);
        }
    }
}
