//! Fits a comparison into its time budget: shorter rounds rather than fewer blocks, since the spread between launches exceeds the
//! noise within a round.

use std::time::Duration;

use crate::declare::Profile;

/// Warm-up times that a budget leaves to a launch, in order of preference.
const WARM_UPS: [Duration; 2] = [Duration::from_millis(500), Duration::from_millis(300)];

/// Shortest round that a budget leaves to a launch: each arm of a closed loop gets several slices of a tenth of a second.
const MIN_ROUND: Duration = Duration::from_millis(800);

/// Lengths of rounds are multiples of this.
const STEP_MS: u128 = 100;

/// Returns the profile with one shorter round per launch, with which `blocks` blocks fit into the budget. `block` returns the time of
/// a block under a profile. Returns `None` if they fit anyway, or only with rounds that are too short to measure.
#[must_use]
pub fn shorten_rounds(
    own: &Profile,
    block: impl Fn(&Profile) -> Duration,
    blocks: u32,
    budget: Duration,
) -> Option<Profile> {
    if block(own) * blocks <= budget {
        return None;
    }
    WARM_UPS.into_iter().find_map(|warm_up| {
        let with_round = |round| Profile {
            warm_up_time: warm_up.min(own.warm_up_time),
            rounds: 1,
            measurement_time: round,
            ..own.clone()
        };
        let time = |round| block(&with_round(round)) * blocks;
        let fixed = time(Duration::ZERO);
        // Zero if every load has a length of its own.
        let per_second = time(Duration::from_secs(1)).checked_sub(fixed)?.as_millis();
        let left = budget.checked_sub(fixed)?.as_millis();
        let longest = (left * 1_000).checked_div(per_second)? / STEP_MS * STEP_MS;
        let round = Duration::from_millis(u64::try_from(longest).ok()?).min(own.measurement_time);
        (round >= MIN_ROUND).then(|| with_round(round))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Two launches of each of `cases` closed loops.
    fn block(cases: u32) -> impl Fn(&Profile) -> Duration {
        move |profile| {
            let launch =
                Duration::from_millis(1_800) + profile.warm_up_time + profile.measurement_time * profile.rounds;
            launch * 2 * cases
        }
    }

    #[test]
    fn sixteen_blocks_of_a_case_fit_into_two_minutes() {
        let own = Profile::default();
        let shorter = shorten_rounds(&own, block(1), 16, Duration::from_secs(110)).expect("shorter rounds");
        let expected = Profile {
            rounds: 1,
            warm_up_time: Duration::from_millis(500),
            measurement_time: Duration::from_millis(1_100),
            ..own
        };
        assert_eq!(shorter, expected);
    }

    #[test]
    fn a_budget_that_suffices_or_cannot_suffice_changes_nothing() {
        let own = Profile::default();
        assert_eq!(shorten_rounds(&own, block(1), 16, Duration::from_secs(600)), None);
        assert_eq!(shorten_rounds(&own, block(1), 16, Duration::from_secs(60)), None);
    }

    #[test]
    fn loads_with_a_length_of_their_own_are_not_shortened() {
        let fixed = |_: &Profile| Duration::from_secs(10);
        assert_eq!(
            shorten_rounds(&Profile::default(), fixed, 16, Duration::from_secs(120)),
            None
        );
    }

    proptest! {
        #[test]
        fn a_shorter_plan_keeps_its_budget(cases in 1u32..20, blocks in 10u32..27, seconds in 1u64..3_000) {
            let (own, block, budget) = (Profile::default(), block(cases), Duration::from_secs(seconds));
            if let Some(shorter) = shorten_rounds(&own, &block, blocks, budget) {
                prop_assert!(block(&shorter) * blocks <= budget);
                prop_assert!((MIN_ROUND..=own.measurement_time).contains(&shorter.measurement_time));
                // No longer round of one step more would have fitted, unless the profile's own length is reached.
                let mut longer = shorter.clone();
                longer.measurement_time += Duration::from_millis(100);
                prop_assert!(longer.measurement_time > own.measurement_time || block(&longer) * blocks > budget);
            }
        }
    }
}
