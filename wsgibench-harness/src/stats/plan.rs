//! How many blocks a decision takes, before the first of them is measured.

use super::compare::design::{Design, Look};
use super::compare::evidence::{detectable, reach};
use super::metric::Margin;

/// The numbers of blocks of the planned looks.
const LOOKS: [usize; 3] = [10, 16, 26];

/// Where [`blocks_for_change`] gives up.
const MOST_BLOCKS: usize = 10_000;

/// A budget in which no decision can be reached.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error(
    "a budget of {} holds {blocks} blocks of {}, and the smallest number that can decide for {family} gated pairs is \
     {needed_blocks}: allow {} (`--budget`), or gate fewer cases, or shorten a launch",
    minutes(*.budget_seconds), minutes(*.block_seconds), minutes(*.needed_seconds)
)]
pub struct BudgetError {
    /// What was allowed, seconds.
    pub budget_seconds: f64,
    /// What one block takes, all cases and both arms, seconds.
    pub block_seconds: f64,
    /// Blocks that fit.
    pub blocks: usize,
    /// Gated pairs.
    pub family: usize,
    /// Blocks that it would take.
    pub needed_blocks: usize,
    /// Their time, seconds.
    pub needed_seconds: f64,
}

/// Seconds for people: `45 s`, `2 min 5 s`. Up, so that what is allowed as printed is enough.
fn minutes(seconds: f64) -> String {
    let whole = seconds.max(0.0).ceil();
    match ((whole / 60.0).floor(), whole % 60.0) {
        (minutes, rest) if minutes < 1.0 => format!("{rest} s"),
        (minutes, rest) if rest < 1.0 => format!("{minutes} min"),
        (minutes, rest) => format!("{minutes} min {rest} s"),
    }
}

/// The smallest number of blocks after which a change, however large, can be told from chance among `family` gated
/// pairs. A sign-flip test of `n` blocks cannot go below `1 / 2^n`: ten blocks serve ten pairs at most.
#[must_use]
pub fn least_blocks(family: usize, alpha: f64) -> Option<usize> {
    let decides = |&blocks: &usize| {
        let design = Design::within(blocks, family).map(|design| Design { alpha, ..design });
        design.is_some_and(|design| design.decidable_at().is_some())
    };
    LOOKS.into_iter().find(decides)
}

/// The looks that fit into a budget, for `family` gated pairs at a false-alarm rate of `alpha`. `block_seconds` is what
/// one block of all cases takes.
///
/// # Errors
///
/// When no decision could be reached in it: with the time that one would take.
pub fn within_budget(
    budget_seconds: f64,
    block_seconds: f64,
    family: usize,
    alpha: f64,
) -> Result<Design, BudgetError> {
    let blocks = fitting(budget_seconds, block_seconds);
    let needed_blocks = least_blocks(family, alpha).unwrap_or(usize::MAX);
    let design = Design::within(blocks, family).map(|design| Design { alpha, ..design });
    match design {
        Some(design) if design.decidable_at().is_some() => Ok(design),
        _ => Err(BudgetError {
            budget_seconds,
            block_seconds,
            blocks,
            family,
            needed_blocks,
            needed_seconds: super::sample::float(needed_blocks) * block_seconds,
        }),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to a small range, and NaN becomes 0"
)]
fn fitting(budget_seconds: f64, block_seconds: f64) -> usize {
    // A hair more, so that exactly ten blocks' time holds ten blocks.
    (budget_seconds / block_seconds + 1e-9).clamp(0.0, 1e6) as usize
}

/// The smallest of the planned numbers of blocks (10, 16, 26) in which a change as large as the margin is found with a
/// probability of 0.8; `None` where 26 are too few. `deviation` is the standard deviation of the blocks' log ratios.
#[must_use]
pub fn blocks_for_margin(deviation: f64, margin: Margin, family: usize, alpha: f64) -> Option<usize> {
    let sees = |&blocks: &usize| {
        let design = Design::within(blocks, family).map(|design| Design { alpha, ..design });
        let found = design.and_then(|design| detectable(deviation, margin, &design));
        found.is_some_and(|found| found <= reach(margin) + 1e-12)
    };
    LOOKS.into_iter().find(sees)
}

/// How many blocks it would take, judged once at the end, to find `change` (a share: 0.02 is 2 %) with a probability
/// of 0.8, however many that is up to 10,000: what a spread really costs.
///
/// ```
/// use wsgibench_harness::stats::plan::blocks_for_change;
/// // Half the spread is a quarter of the time.
/// let (noisy, steady) = (blocks_for_change(0.08, 0.02, 4), blocks_for_change(0.04, 0.02, 4));
/// assert!(noisy.unwrap() > 3 * steady.unwrap());
/// ```
#[must_use]
pub fn blocks_for_change(deviation: f64, change: f64, family: usize) -> Option<usize> {
    let margin = Margin::Relative(change);
    let sees = |blocks: usize| {
        let looks = vec![Look { blocks, share: 1.0 }];
        let design = Design {
            looks,
            ..Design::standard(family)
        };
        detectable(deviation, margin, &design).is_some_and(|found| found <= reach(margin))
    };
    // More blocks never see less: halve the range.
    let (mut too_few, mut enough) = (1, MOST_BLOCKS);
    if !sees(enough) {
        return None;
    }
    while enough - too_few > 1 {
        let middle = too_few.midpoint(enough);
        if sees(middle) {
            enough = middle;
        } else {
            too_few = middle;
        }
    }
    Some(enough)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::compare::design::ALPHA;

    #[test]
    fn ten_blocks_serve_ten_pairs() {
        assert_eq!(least_blocks(1, ALPHA), Some(10));
        assert_eq!(least_blocks(10, ALPHA), Some(10));
        assert_eq!(least_blocks(11, ALPHA), Some(16));
        assert_eq!(least_blocks(40, ALPHA), Some(16));
        assert_eq!(least_blocks(1000, ALPHA), Some(26));
        assert_eq!(least_blocks(usize::MAX, ALPHA), None);
    }

    #[test]
    fn a_budget_too_small_names_the_time_it_takes() {
        let error = within_budget(600.0, 61.0, 40, ALPHA).expect_err("nine blocks");
        assert_eq!((error.blocks, error.needed_blocks), (9, 16));
        let text = error.to_string();
        assert!(text.contains("10 min holds 9 blocks of 1 min 1 s"), "{text}");
        assert!(text.contains("allow 16 min 16 s"), "{text}");
        assert!(within_budget(600.0, f64::NAN, 2, ALPHA).is_err());
        assert!(within_budget(-1.0, 10.0, 2, ALPHA).is_err());
    }

    #[test]
    fn a_budget_takes_the_looks_that_fit() {
        let blocks = |seconds| within_budget(seconds, 10.0, 2, ALPHA).map(|design| design.last_blocks());
        assert_eq!(blocks(100.0), Ok(10));
        assert_eq!(blocks(255.0), Ok(16));
        assert_eq!(blocks(1e9), Ok(26));
        assert!(blocks(99.0).is_err());
    }

    #[test]
    fn a_steadier_machine_needs_fewer_blocks() {
        let needed = |deviation| blocks_for_margin(deviation, Margin::Relative(0.02), 2, ALPHA);
        assert_eq!(needed(0.005), Some(10));
        assert_eq!(needed(0.018), Some(16));
        assert_eq!(needed(0.024), Some(26));
        assert_eq!(needed(0.05), None);
    }

    #[test]
    fn what_a_spread_costs_grows_with_its_square() {
        let blocks = blocks_for_change(0.049 * 2.0_f64.sqrt(), 0.05, 4).expect("not hopeless");
        assert!((25..=50).contains(&blocks), "{blocks}");
        assert_eq!(blocks_for_change(10.0, 0.001, 4), None);
    }
}
