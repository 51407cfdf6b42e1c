//! The exact sign-flip test of paired differences.
//!
//! Arms are started in random order within a block. If they do not differ, each difference is equally likely to have had
//! the other sign. The p-value is the share of the `2^n` sign patterns whose sum is at least the observed one (Fisher's
//! randomisation test). The test assumes neither a normal nor a common distribution of the blocks, so it stays valid on a
//! machine that changes its speed in some of them.

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::sample::float;

/// Largest number of blocks for which all patterns are counted (meet in the middle); above it they are drawn.
pub const EXACT_UP_TO: usize = 32;

/// Patterns drawn above [`EXACT_UP_TO`]: the smallest p-value is then 1 in this number plus one.
pub const DRAWS: usize = 400_000;

/// One-sided p-values of the hypothesis that the mean is 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tails {
    /// Against the alternative of a positive mean.
    pub positive: f64,
    /// Against the alternative of a negative mean.
    pub negative: f64,
}

/// Tests `differences`; `seed` is used only if patterns are drawn. Both p-values are 1 without any difference.
#[must_use]
pub fn sign_flip(differences: &[f64], seed: u64) -> Tails {
    if differences.len() > EXACT_UP_TO {
        drawn(differences, seed)
    } else {
        exact(differences)
    }
}

/// Returns the smallest possible p-value of `blocks` blocks.
#[must_use]
pub fn smallest_p(blocks: usize) -> f64 {
    if blocks > EXACT_UP_TO {
        1.0 / (1.0 + float(DRAWS))
    } else {
        0.5_f64.powf(float(blocks))
    }
}

/// Returns the tolerance within which sums count as equal: rounding makes equal sums in another order differ in their last
/// digits.
fn tolerance(differences: &[f64]) -> f64 {
    1e-12 * differences.iter().map(|difference| difference.abs()).sum::<f64>()
}

/// Counts all patterns. Flipping the signs of a subset reduces the total by twice its sum, so a pattern reaches the
/// observed sum if and only if its flipped subset sums to at most 0: the test counts such subsets.
fn exact(differences: &[f64]) -> Tails {
    let tolerance = tolerance(differences);
    let (left, right) = differences.split_at(differences.len() / 2);
    let (left, right) = (subset_sums(left), subset_sums(right));
    let (mut at_most, mut below) = (0_usize, 0_usize);
    let (mut at_most_end, mut below_end) = (right.len(), right.len());
    // As the left sum increases, fewer right sums fit: each index only moves down.
    for &sum in &left {
        while at_most_end > 0 && right[at_most_end - 1] + sum > tolerance {
            at_most_end -= 1;
        }
        while below_end > 0 && right[below_end - 1] + sum >= -tolerance {
            below_end -= 1;
        }
        at_most += at_most_end;
        below += below_end;
    }
    let patterns = left.len() * right.len();
    Tails {
        positive: float(at_most) / float(patterns),
        negative: float(patterns - below) / float(patterns),
    }
}

/// Returns the sorted sums of all subsets: each value merges the list with a shifted copy.
fn subset_sums(values: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0];
    let mut merged = Vec::with_capacity(1 << values.len());
    for &value in values {
        merged.clear();
        let (mut plain, mut shifted) = (0, 0);
        while plain < sums.len() && shifted < sums.len() {
            if sums[plain] <= sums[shifted] + value {
                merged.push(sums[plain]);
                plain += 1;
            } else {
                merged.push(sums[shifted] + value);
                shifted += 1;
            }
        }
        merged.extend_from_slice(&sums[plain..]);
        merged.extend(sums[shifted..].iter().map(|sum| sum + value));
        std::mem::swap(&mut sums, &mut merged);
    }
    sums
}

/// Draws random patterns. The observed one counts as one of them, which keeps the test valid for any number of draws.
fn drawn(differences: &[f64], seed: u64) -> Tails {
    let tolerance = tolerance(differences);
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let (mut positive, mut negative) = (1_usize, 1_usize);
    for _ in 0..DRAWS {
        let mut flipped = 0.0;
        for chunk in differences.chunks(64) {
            let mut bits = rng.next_u64();
            for difference in chunk {
                if bits & 1 == 1 {
                    flipped += difference;
                }
                bits >>= 1;
            }
        }
        positive += usize::from(flipped <= tolerance);
        negative += usize::from(flipped >= -tolerance);
    }
    let patterns = float(DRAWS + 1);
    Tails {
        positive: float(positive) / patterns,
        negative: float(negative) / patterns,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Enumerates all patterns.
    fn brute_force(differences: &[f64]) -> f64 {
        let observed: f64 = differences.iter().sum();
        let patterns = 1_u32 << differences.len();
        let reached = (0..patterns)
            .filter(|pattern| {
                let signed = differences.iter().enumerate();
                let sum: f64 = signed
                    .map(|(bit, d)| if pattern >> bit & 1 == 1 { -d } else { *d })
                    .sum();
                sum >= observed - 1e-9
            })
            .count();
        float(reached) / f64::from(patterns)
    }

    #[test]
    fn differences_of_one_sign_give_the_smallest_p() {
        for blocks in [1, 2, 10, 16, 26] {
            let values: Vec<f64> = (1..=blocks).map(float).collect();
            assert!((sign_flip(&values, 0).positive - smallest_p(blocks)).abs() < 1e-15);
            assert!((sign_flip(&values, 0).negative - 1.0).abs() < 1e-15);
        }
    }

    #[test]
    fn empty_and_zero_differences_give_p_1() {
        for values in [vec![], vec![0.0; 12]] {
            assert_eq!(
                sign_flip(&values, 0),
                Tails {
                    positive: 1.0,
                    negative: 1.0
                }
            );
        }
    }

    #[test]
    fn drawn_p_approximates_the_exact_one() {
        let values: Vec<f64> = (0..20)
            .map(|index| f64::from(index % 7) - 2.0 + 0.1 * f64::from(index))
            .collect();
        let (exact, drawn) = (exact(&values), drawn(&values, 5));
        assert!((exact.positive - drawn.positive).abs() < 0.003, "{exact:?} {drawn:?}");
        assert!((exact.negative - drawn.negative).abs() < 0.003, "{exact:?} {drawn:?}");
    }

    proptest! {
        #[test]
        fn exact_p_equals_enumeration(values in prop::collection::vec(-5_i32..=5, 1..11)) {
            // Whole numbers give many ties, which are the hard case.
            let values: Vec<f64> = values.into_iter().map(f64::from).collect();
            let tails = sign_flip(&values, 0);
            prop_assert!((tails.positive - brute_force(&values)).abs() < 1e-12);
            let mirrored: Vec<f64> = values.iter().map(|value| -value).collect();
            prop_assert!((tails.negative - brute_force(&mirrored)).abs() < 1e-12);
        }

        #[test]
        fn larger_differences_never_increase_p(
            values in prop::collection::vec(-1.0_f64..1.0, 2..20), shift in 0.0_f64..1.0
        ) {
            let shifted: Vec<f64> = values.iter().map(|value| value + shift).collect();
            prop_assert!(sign_flip(&shifted, 0).positive <= sign_flip(&values, 0).positive + 1e-12);
        }
    }
}
