//! The design of a comparison, fixed before the first block: error rate and looks.

use serde::{Deserialize, Serialize};

use super::sign_flip::smallest_p;

/// The false-alarm rate of the family.
pub const ALPHA: f64 = 0.01;

/// The level of each of the two one-sided tests for equivalence: the interval of [`EQUIVALENCE_CONFIDENCE`] lies within the
/// margin.
pub const EQUIVALENCE_ALPHA: f64 = 0.05;

/// The confidence of the interval that is printed with a comparison.
pub const EQUIVALENCE_CONFIDENCE: f64 = 1.0 - 2.0 * EQUIVALENCE_ALPHA;

/// A planned interim analysis.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Look {
    /// The number of blocks after which it takes place.
    pub blocks: usize,
    /// Its share of the error rate (above 0; the shares sum to at most 1).
    pub share: f64,
}

/// The looks of a full plan. A shorter plan has the first of them, with the same shares, so that a decision
/// never depends on later looks.
pub const LOOKS: [Look; 3] = [
    Look {
        blocks: 10,
        share: 0.25,
    },
    Look { blocks: 16, share: 0.3 },
    Look {
        blocks: 26,
        share: 0.45,
    },
];

/// The plan of a comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Design {
    /// The probability with which a family of unchanged cases raises any alarm, at most (0 to 1, exclusive).
    pub alpha: f64,
    /// The looks: at least one, with increasing numbers of blocks.
    pub looks: Vec<Look>,
    /// Whether a look before the last may end the run because every gated pair is equivalent. Equivalence then spends
    /// its error rate over the looks by the same shares, which reduces its power. It can only make alarms rarer.
    pub stop_when_equivalent: bool,
    /// Seed of the sign-flip test, used only if it draws patterns.
    pub seed: u64,
}

/// Why a design is invalid.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DesignError {
    /// The false-alarm rate is not between 0 and 1.
    #[error("the false-alarm rate must lie between 0 and 1 (exclusive), not {0}")]
    Alpha(f64),
    /// No look, looks that do not increase, a look with fewer than two blocks, or a share that is not above 0.
    #[error("looks must rise in blocks, from two on, each with a share above 0: {0:?}")]
    Looks(Vec<Look>),
    /// The shares sum to more than 1.
    #[error("the shares of the looks sum to {0}, which is more than the whole error rate")]
    Shares(f64),
}

impl Design {
    /// Returns the design with looks after 10, 16 and 26 blocks at [`ALPHA`].
    #[must_use]
    pub fn standard() -> Self {
        Self {
            alpha: ALPHA,
            looks: LOOKS.to_vec(),
            stop_when_equivalent: false,
            seed: 0,
        }
    }

    /// Returns the standard design with the looks that fit into `blocks`; `None` below 10.
    #[must_use]
    pub fn within(blocks: usize) -> Option<Self> {
        let looks: Vec<Look> = LOOKS.into_iter().filter(|look| look.blocks <= blocks).collect();
        (!looks.is_empty()).then(|| Self {
            looks,
            ..Self::standard()
        })
    }

    /// Returns the design with another error rate of the whole family.
    #[must_use]
    pub fn at(self, alpha: f64) -> Self {
        Self { alpha, ..self }
    }

    /// Returns the number of blocks at the last planned look.
    #[must_use]
    pub fn last_blocks(&self) -> usize {
        self.looks.last().map_or(0, |look| look.blocks)
    }

    /// Returns the design of a comparison that its time budget ended after `blocks` blocks: the next planned look takes the blocks
    /// there are, with its own share. The error rate holds, since the time does not depend on which arm is slower: every block
    /// measures both. A comparison that ends before its first look keeps its design.
    #[must_use]
    pub fn ended_after(&self, blocks: usize) -> Self {
        let reached = self.looks.iter().filter(|look| look.blocks <= blocks).count();
        let mut looks = self.looks[..(reached + 1).min(self.looks.len())].to_vec();
        let last_reached = reached.checked_sub(1).map(|index| looks[index].blocks);
        match (last_reached, looks.get_mut(reached)) {
            (Some(last), Some(next)) if blocks > last => next.blocks = blocks,
            (Some(_), Some(_)) => looks.truncate(reached),
            _ => {}
        }
        Self { looks, ..self.clone() }
    }

    /// Returns the smallest number of blocks at which a change, however large, of a pair with this share of the error rate can
    /// be significant; `None` if the plan has no such look. The smallest p-value of an exact sign-flip test of `n` blocks is
    /// `1 / 2^n`.
    #[must_use]
    pub fn decidable_at(&self, weight: f64) -> Option<usize> {
        self.looks
            .iter()
            .find(|look| smallest_p(look.blocks) <= self.level(look, weight))
            .map(|look| look.blocks)
    }

    /// Returns the p-value that a pair with this share of the error rate must reach at a look while no other pair is rejected.
    #[must_use]
    pub fn level(&self, look: &Look, weight: f64) -> f64 {
        self.alpha * look.share * weight
    }

    /// Checks the error rate, the looks and their shares, but not whether the design can reach a decision
    /// ([`Design::decidable_at`]).
    ///
    /// # Errors
    ///
    /// Returns the first problem found.
    pub fn check(&self) -> Result<(), DesignError> {
        if !(self.alpha > 0.0 && self.alpha < 1.0) {
            return Err(DesignError::Alpha(self.alpha));
        }
        let rising = self.looks.windows(2).all(|pair| pair[0].blocks < pair[1].blocks);
        let sane = self.looks.iter().all(|look| look.blocks >= 2 && look.share > 0.0);
        if self.looks.is_empty() || !rising || !sane {
            return Err(DesignError::Looks(self.looks.clone()));
        }
        let whole: f64 = self.looks.iter().map(|look| look.share).sum();
        if whole > 1.0 + 1e-9 {
            return Err(DesignError::Shares(whole));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shorter_plan_is_the_beginning_of_the_longer_one() {
        let standard = Design::standard();
        assert_eq!(standard.check(), Ok(()));
        let whole: f64 = standard.looks.iter().map(|look| look.share).sum();
        assert!((whole - 1.0).abs() < 1e-12);
        for (blocks, looks) in [(10, 1), (15, 1), (16, 2), (25, 2), (26, 3), (400, 3)] {
            let design = Design::within(blocks).expect("a look fits");
            assert_eq!(design.check(), Ok(()));
            assert_eq!(design.looks, standard.looks[..looks]);
        }
        assert_eq!(Design::within(9), None);
    }

    #[test]
    fn a_small_weight_is_not_decidable_at_an_early_look() {
        let standard = Design::standard();
        for (weight, blocks) in [(1.0, 10), (0.5, 10), (0.25, 16), (0.1, 16), (0.004, 26)] {
            assert_eq!(standard.decidable_at(weight), Some(blocks), "{weight}");
        }
        assert_eq!(standard.decidable_at(1e-9), None);
        assert_eq!(Design::within(10).and_then(|design| design.decidable_at(0.1)), None);
    }

    #[test]
    fn the_next_look_takes_the_blocks_of_a_comparison_that_ended_early() {
        let planned = Design::within(16).expect("two looks");
        let looks = |blocks: usize| {
            let ended = planned.ended_after(blocks);
            assert_eq!(ended.check(), Ok(()));
            ended
                .looks
                .iter()
                .map(|look| (look.blocks, look.share))
                .collect::<Vec<_>>()
        };
        assert_eq!(looks(15), [(10, 0.25), (15, 0.3)]);
        assert_eq!(looks(10), [(10, 0.25)]);
        assert_eq!(looks(16), [(10, 0.25), (16, 0.3)]);
        assert_eq!(looks(20), [(10, 0.25), (16, 0.3)]);
        // Too few blocks for the first look decide nothing.
        assert_eq!(looks(9), [(10, 0.25)]);
        // Twelve blocks suffice for a metric with a tenth of the error rate, eleven do not.
        assert_eq!(planned.ended_after(12).decidable_at(0.1), Some(12));
        assert_eq!(planned.ended_after(11).decidable_at(0.1), None);
    }

    #[test]
    fn check_finds_each_kind_of_invalid_design() {
        let base = Design::standard();
        let with = |looks: &[(usize, f64)]| Design {
            looks: looks.iter().map(|&(blocks, share)| Look { blocks, share }).collect(),
            ..base.clone()
        };
        assert!(matches!(with(&[]).check(), Err(DesignError::Looks(_))));
        assert!(matches!(
            with(&[(10, 0.5), (10, 0.5)]).check(),
            Err(DesignError::Looks(_))
        ));
        assert!(matches!(
            with(&[(10, 0.5), (16, f64::NAN)]).check(),
            Err(DesignError::Looks(_))
        ));
        assert!(matches!(
            with(&[(10, 0.6), (16, 0.6)]).check(),
            Err(DesignError::Shares(_))
        ));
        assert!(matches!(
            Design { alpha: 1.0, ..base }.check(),
            Err(DesignError::Alpha(_))
        ));
    }
}
