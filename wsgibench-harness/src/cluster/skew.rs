//! Start skew: the time between the first and the last start of a round's pods.

use serde::{Deserialize, Serialize};

use super::clock::{Offset, Reading};

/// Largest start skew, with its bound, of a valid round, ns.
pub(crate) const LARGEST_NS: u64 = 10_000_000;

/// The start of one pod's part of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Start {
    /// When the part started, by the pod's own clock.
    pub(crate) reading: Reading,
    /// The pod's clock against the coordinator's.
    pub(crate) offset: Offset,
}

/// The skew of a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Skew {
    /// Time between the first and the last start, ns.
    pub(crate) ns: u64,
    /// Largest error of `ns`, ns.
    pub(crate) bound_ns: u64,
}

impl Skew {
    /// Returns the skew of starts; 0 for one pod, which needs no other clock.
    pub(crate) fn of(starts: &[Start]) -> Self {
        let own = |start: &Start| start.offset.to_own(start.reading);
        let (Some(first), Some(last)) = (
            starts.iter().min_by_key(|start| own(start)),
            starts.iter().max_by_key(|start| own(start)),
        ) else {
            return Self::default();
        };
        if starts.len() == 1 {
            return Self::default();
        }
        // The two largest bounds: any two pods may be the first and the last one in truth.
        let mut bounds: Vec<u64> = starts.iter().map(|start| start.offset.bound_ns).collect();
        bounds.sort_unstable_by(|a, b| b.cmp(a));
        Self {
            ns: own(last).abs_diff(own(first)),
            bound_ns: bounds.iter().take(2).sum(),
        }
    }

    /// Whether the pods started together, whatever the error of the measurement.
    pub(crate) fn is_small(self) -> bool {
        self.ns.saturating_add(self.bound_ns) <= LARGEST_NS
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn start(reading: Reading, offset: i64, bound_ns: u64) -> Start {
        Start {
            reading,
            offset: Offset { ns: offset, bound_ns },
        }
    }

    #[test]
    fn offset_of_50_ms_is_corrected_and_fatal_where_it_is_not() {
        // The second pod's clock is 50 ms ahead; both started at 1 s of the coordinator's clock.
        let corrected = [
            start(1_000_000_000, 0, 40_000),
            start(1_050_000_000, 50_000_000, 60_000),
        ];
        let skew = Skew::of(&corrected);
        assert_eq!((skew.ns, skew.bound_ns, skew.is_small()), (0, 100_000, true));
        let uncorrected = [start(1_000_000_000, 0, 40_000), start(1_050_000_000, 0, 60_000)];
        let skew = Skew::of(&uncorrected);
        assert_eq!((skew.ns, skew.is_small()), (50_000_000, false));
    }

    #[test]
    fn bound_counts_as_skew() {
        assert!(Skew::of(&[start(0, 0, 5_000_000), start(0, 0, 5_000_000)]).is_small());
        assert!(!Skew::of(&[start(0, 0, 5_000_000), start(0, 0, 5_000_001)]).is_small());
        assert_eq!(Skew::of(&[start(7, 7, 9_000_000_000)]), Skew::default());
        assert_eq!(Skew::of(&[]), Skew::default());
    }

    proptest! {
        #[test]
        fn skew_and_bound_cover_the_true_skew(
            pods in prop::collection::vec((0_i64..20_000_000, -1_000_000_i64..1_000_000, -900_i64..900), 2..40),
        ) {
            // True start, true offset, error of its estimate.
            let starts: Vec<Start> = pods
                .iter()
                .map(|(at, offset, error)| start(at + offset, offset + error, error.unsigned_abs()))
                .collect();
            let moments = pods.iter().map(|(at, _, _)| *at);
            let truth = moments.clone().max().unwrap().abs_diff(moments.min().unwrap());
            let skew = Skew::of(&starts);
            prop_assert!(skew.ns.abs_diff(truth) <= skew.bound_ns);
        }
    }
}
