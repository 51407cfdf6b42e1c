//! Was the machine the same throughout? A short fixed load on a null server, before and after each launch, says so.
//!
//! The rule looks at references only: it cannot see which arm a launch belonged to, nor what it gave. So repeating a
//! disturbed block favours neither arm.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sample::{float, median};

/// When a block is disturbed and when a run is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Guard {
    /// How far a reference may depart from the run's median, as a share of it.
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
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// The largest departure of a block's references from the run's median, as a share of it; `None` where either is
    /// missing or not positive.
    #[must_use]
    pub fn departure(&self, run: &[f64], block: &[f64]) -> Option<f64> {
        let usable = |values: &[f64]| !values.is_empty() && values.iter().all(|&v| v > 0.0 && v.is_finite());
        if !usable(run) || !usable(block) {
            return None;
        }
        let centre = median(run);
        block
            .iter()
            .map(|value| (value / centre - 1.0).abs())
            .max_by(f64::total_cmp)
    }

    /// Whether a block must be repeated: one of its references departs too far from the median of `run` (every
    /// reference of the run so far, this block's among them). A reference that is missing or 0 disturbs too.
    #[must_use]
    pub fn disturbed(&self, run: &[f64], block: &[f64]) -> bool {
        self.departure(run, block)
            .is_none_or(|departure| departure > self.tolerance)
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
    use super::*;

    #[test]
    fn a_reference_that_moved_disturbs_its_block() {
        let run = [100.0, 101.0, 99.0, 100.0, 94.0];
        let guard = Guard::default();
        assert!(!guard.disturbed(&run, &[101.0, 99.0]));
        assert!(!guard.disturbed(&run, &[104.9, 95.1]));
        assert!(guard.disturbed(&run, &[100.0, 94.0]));
        assert!(guard.disturbed(&run, &[106.0]));
        assert!((guard.departure(&run, &[100.0, 94.0]).expect("references") - 0.06).abs() < 1e-12);
    }

    #[test]
    fn a_missing_reference_is_no_proof_of_calm() {
        let guard = Guard::default();
        assert!(guard.disturbed(&[100.0], &[]));
        assert!(guard.disturbed(&[], &[100.0]));
        assert!(guard.disturbed(&[100.0, 0.0], &[0.0]));
        assert!(guard.disturbed(&[100.0, f64::NAN], &[f64::NAN]));
    }

    #[test]
    fn too_many_repeats_spoil_the_run() {
        let guard = Guard::default();
        assert!(!guard.judge(0, 0).invalid);
        assert!(!guard.judge(5, 20).invalid);
        assert!(guard.judge(6, 20).invalid);
    }
}
