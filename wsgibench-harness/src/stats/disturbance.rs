//! Was the machine the same throughout? A short fixed load on a null server, before and after each launch, says so.
//!
//! The rule looks at references only: it cannot see which arm a launch belonged to, nor what it gave. So repeating a
//! disturbed block favours neither arm.

use serde::{Deserialize, Serialize};

use super::sample::{float, median};

/// When a block is disturbed and when a run is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Guard {
    /// How far a block's references may lie apart on any machine, as a difference of logarithms.
    pub tolerance: f64,
    /// The share of blocks that may be repeats before the run is invalid (0 to 1).
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

/// How a run's blocks fared.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Disturbance {
    /// Blocks run, repeats among them.
    pub blocks: usize,
    /// Blocks that were disturbed, and therefore repeated.
    pub repeated: usize,
    /// `repeated / blocks`; 0 without blocks.
    pub repeat_share: f64,
    /// Whether that is too many: the run is invalid.
    pub invalid: bool,
}

impl Guard {
    /// How far a block's references lie apart: `ln(largest / smallest)`. `None` where one is missing or not positive.
    ///
    /// A drift from block to block does not show in it, and need not: it hits both arms of each block alike.
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

    /// How many times as far apart as in the run's middle block a block's references may lie. A short load's own noise differs
    /// from machine to machine: what it does in every block is no disturbance of one of them.
    ///
    /// The range of so many references with normal noise exceeds this multiple of its median in 0.3 % of the blocks (by
    /// 400,000 draws of each): the fewer there are, the further the range scatters about its median.
    fn usual(references: usize) -> f64 {
        match references {
            0..=2 => 4.4,
            3 => 2.9,
            _ => 2.5,
        }
    }

    /// Which of the run's blocks must be repeated, in order: those whose references lie further apart than is usual in
    /// this run, or are missing.
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

    /// What `repeated` repeats among `blocks` blocks mean for the run.
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
    fn references_that_lie_apart_disturb_their_block() {
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
    fn a_drift_between_blocks_disturbs_none() {
        let blocks: [&[f64]; 3] = [&[100.0, 101.0], &[80.0, 81.0], &[60.0, 61.0]];
        assert_eq!(Guard::default().disturbed(&blocks), [false; 3]);
    }

    #[test]
    fn what_is_usual_on_a_machine_disturbs_none() {
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
    fn chance_alone_disturbs_few_blocks_whatever_the_number_of_references() {
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
    fn a_missing_reference_is_no_proof_of_calm() {
        let blocks: [&[f64]; 4] = [&[], &[100.0], &[100.0, 0.0], &[100.0, f64::NAN]];
        assert_eq!(Guard::default().disturbed(&blocks), [true, false, true, true]);
    }

    #[test]
    fn too_many_repeats_spoil_the_run() {
        let guard = Guard::default();
        assert!(!guard.judge(0, 0).invalid);
        assert!(!guard.judge(5, 20).invalid);
        assert!(guard.judge(6, 20).invalid);
    }
}
