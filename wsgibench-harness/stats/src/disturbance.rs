//! Detects blocks that were disturbed by a change of the machine's speed, by a short fixed load on a null server (the
//! reference) before and after each launch.
//!
//! The rule uses references only, neither the arms nor their results. Repeating a disturbed block therefore favours neither
//! arm.

use serde::{Deserialize, Serialize};

use super::sample::{float, median};

/// The thresholds for disturbed blocks and invalid runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Guard {
    /// The departure of a block's references that is tolerated on any machine, as a difference of logarithms.
    pub tolerance: f64,
    /// The largest share of repeated blocks in a valid run (0 to 1).
    pub max_repeat_share: f64,
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            tolerance: 0.05,
            max_repeat_share: 0.25,
        }
    }
}

/// The disturbances of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Disturbance {
    /// Number of blocks, including repeats.
    pub blocks: usize,
    /// Number of blocks that were repeated because they were disturbed.
    pub repeated: usize,
    /// `repeated / blocks`; 0 without blocks.
    pub repeat_share: f64,
    /// Whether the share is too large, which makes the run invalid.
    pub invalid: bool,
}

impl Guard {
    /// Returns the departure of a block, `ln(largest / smallest)` of its references. `None` if one is missing or not positive.
    ///
    /// It does not include drift between blocks, which affects both arms of a block alike.
    #[must_use]
    pub fn departure(block: &[f64]) -> Option<f64> {
        if block.is_empty() || !block.iter().all(|&value| value > 0.0 && value.is_finite()) {
            return None;
        }
        let (low, high) = block.iter().fold((f64::INFINITY, 0.0_f64), |(low, high), &value| {
            (low.min(value), high.max(value))
        });
        Some((high / low).ln())
    }

    /// Returns the multiple of the run's median departure that a block may reach. The noise of a short load differs
    /// between machines; noise that is the same in every block is not a disturbance.
    ///
    /// The range of this number of references with normal noise exceeds the multiple of its median in 0.3 % of the blocks (by
    /// 400,000 draws of each). The fewer references there are, the more the range varies around its median.
    fn usual(references: usize) -> f64 {
        match references {
            0..=2 => 4.4,
            3 => 2.9,
            _ => 2.5,
        }
    }

    /// Returns for each block of the run whether it must be repeated: its departure exceeds both thresholds, or a reference is
    /// missing.
    #[must_use]
    pub fn disturbed(&self, blocks: &[&[f64]]) -> Vec<bool> {
        let departures: Vec<Option<f64>> = blocks.iter().map(|block| Self::departure(block)).collect();
        let known: Vec<f64> = departures.iter().copied().flatten().collect();
        let usual = if known.is_empty() { 0.0 } else { median(&known) };
        let most = |references: usize| self.tolerance.max(Self::usual(references) * usual);
        departures
            .iter()
            .zip(blocks)
            .map(|(departure, block)| departure.is_none_or(|departure| departure > most(block.len())))
            .collect()
    }

    /// Returns the judgement of a run with `repeated` repeats among `blocks` blocks.
    #[must_use]
    pub fn judge(&self, repeated: usize, blocks: usize) -> Disturbance {
        let repeat_share = if blocks == 0 {
            0.0
        } else {
            float(repeated) / float(blocks)
        };
        Disturbance {
            blocks,
            repeated,
            repeat_share,
            invalid: repeat_share > self.max_repeat_share,
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand_distr::{Distribution as _, Normal};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;

    #[test]
    fn a_block_with_different_references_is_disturbed() {
        let guard = Guard::default();
        assert!((Guard::departure(&[100.0, 94.0, 99.0]).expect("references") - (100.0_f64 / 94.0).ln()).abs() < 1e-12);
        let blocks: [&[f64]; 4] = [
            &[100.0, 101.0, 101.0, 100.0],
            &[100.0, 104.0, 101.0, 102.0],
            &[100.0, 94.0, 99.0, 98.0],
            &[99.0, 100.0, 100.0, 99.0],
        ];
        assert_eq!(guard.disturbed(&blocks), [false, false, true, false]);
    }

    #[test]
    fn drift_between_blocks_is_not_a_disturbance() {
        let blocks: [&[f64]; 3] = [&[100.0, 101.0], &[80.0, 81.0], &[60.0, 61.0]];
        assert_eq!(Guard::default().disturbed(&blocks), [false; 3]);
    }

    #[test]
    fn noise_that_is_usual_on_a_machine_is_not_a_disturbance() {
        let blocks: [&[f64]; 5] = [
            &[100.0, 110.0, 104.0, 101.0],
            &[100.0, 112.0, 103.0, 108.0],
            &[100.0, 109.0, 105.0, 102.0],
            &[100.0, 150.0, 120.0, 110.0],
            &[111.0, 100.0, 107.0, 104.0],
        ];
        assert_eq!(Guard::default().disturbed(&blocks), [false, false, false, true, false]);
    }

    #[test]
    fn chance_disturbs_few_blocks_for_any_number_of_references() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let noise = Normal::new(0.0, 0.05).expect("a valid distribution");
        for references in 2..=4 {
            let blocks: Vec<Vec<f64>> = (0..20_000)
                .map(|_| (0..references).map(|_| f64::exp(noise.sample(&mut rng))).collect())
                .collect();
            let blocks: Vec<&[f64]> = blocks.iter().map(Vec::as_slice).collect();
            let disturbed = Guard::default().disturbed(&blocks).into_iter().filter(|d| *d).count();
            assert!(
                (20..=120).contains(&disturbed),
                "{references} references: {disturbed} of 20,000"
            );
        }
    }

    #[test]
    fn a_block_with_a_missing_reference_is_disturbed() {
        let blocks: [&[f64]; 4] = [&[], &[100.0], &[100.0, 0.0], &[100.0, f64::NAN]];
        assert_eq!(Guard::default().disturbed(&blocks), [true, false, true, true]);
    }

    #[test]
    fn too_many_repeats_make_a_run_invalid() {
        let guard = Guard::default();
        assert!(!guard.judge(0, 0).invalid);
        assert!(!guard.judge(5, 20).invalid);
        assert!(guard.judge(6, 20).invalid);
    }
}
