//! What is fixed before the first block: error rate, looks, size of the family.

use serde::{Deserialize, Serialize};

use super::sign_flip::smallest_p;

/// The family's false-alarm rate unless the user says otherwise.
pub const ALPHA: f64 = 0.01;

/// Two one-sided tests at this level make "equivalent": the interval of [`EQUIVALENCE_CONFIDENCE`] inside the margin.
pub const EQUIVALENCE_ALPHA: f64 = 0.05;

/// The confidence of the interval that is printed with a comparison.
pub const EQUIVALENCE_CONFIDENCE: f64 = 1.0 - 2.0 * EQUIVALENCE_ALPHA;

/// A planned moment at which the blocks so far are judged.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Look {
    /// After how many blocks.
    pub blocks: usize,
    /// Its share of the error rate (above 0, the shares sum to at most 1).
    pub share: f64,
}

/// The plan of a comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Design {
    /// How often a family of unchanged cases may alarm at all (0 to 1, exclusive).
    pub alpha: f64,
    /// Rising in blocks, at least one.
    pub looks: Vec<Look>,
    /// How many gated (case, metric) pairs are planned. Pairs that get lost still count.
    pub family: usize,
    /// Whether a look before the last may end the run because every gated pair is equivalent. Equivalence then spends
    /// its error rate over the looks by the same shares, also at the last one, which costs some of its power. It can
    /// only make alarms rarer.
    pub stop_when_equivalent: bool,
    /// Seeds the sign-flip test where it draws patterns.
    pub seed: u64,
}

/// A design that cannot be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DesignError {
    /// Not a rate.
    #[error("the false-alarm rate must lie between 0 and 1 (exclusive), not {0}")]
    Alpha(f64),
    /// None, not rising, fewer than two blocks, or a share that is not above 0.
    #[error("looks must rise in blocks, from two on, each with a share above 0: {0:?}")]
    Looks(Vec<Look>),
    /// Shares that sum to more than 1.
    #[error("the shares of the looks sum to {0}, which is more than the whole error rate")]
    Shares(f64),
}

/// After 10, 16 and 26 blocks, or those of them that fit into `blocks`; `None` below 10.
#[must_use]
pub fn looks_within(blocks: usize) -> Option<Vec<Look>> {
    let shares: &[(usize, f64)] = match blocks {
        0..10 => return None,
        10..16 => &[(10, 1.0)],
        16..26 => &[(10, 0.3), (16, 0.7)],
        26.. => &[(10, 0.2), (16, 0.3), (26, 0.5)],
    };
    Some(shares.iter().map(|&(blocks, share)| Look { blocks, share }).collect())
}

impl Design {
    /// Looks after 10, 16 and 26 blocks at [`ALPHA`], for `family` gated pairs.
    #[must_use]
    pub fn standard(family: usize) -> Self {
        Self {
            alpha: ALPHA,
            looks: looks_within(26).unwrap_or_default(),
            family,
            stop_when_equivalent: false,
            seed: 0,
        }
    }

    /// The same with those looks that fit into `blocks`; `None` below 10.
    #[must_use]
    pub fn within(blocks: usize, family: usize) -> Option<Self> {
        looks_within(blocks).map(|looks| Self {
            looks,
            ..Self::standard(family)
        })
    }

    /// The last planned look's number of blocks.
    #[must_use]
    pub fn last_blocks(&self) -> usize {
        self.looks.last().map_or(0, |look| look.blocks)
    }

    /// The smallest number of blocks after which a change, however large, can be told from chance; `None` if the plan
    /// has no such look.
    #[must_use]
    pub fn decidable_at(&self) -> Option<usize> {
        self.looks
            .iter()
            .find(|look| smallest_p(look.blocks) <= self.level(look))
            .map(|look| look.blocks)
    }

    /// The p-value that the most significant pair must reach at a look.
    #[must_use]
    pub fn level(&self, look: &Look) -> f64 {
        self.alpha * look.share / crate::stats::sample::float(self.family.max(1))
    }

    /// Whether the plan is one.
    ///
    /// # Errors
    ///
    /// See [`DesignError`]. Whether it can decide anything is another question: [`Design::decidable_at`].
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
    fn shares_always_spend_the_whole_rate() {
        for blocks in [10, 15, 16, 25, 26, 400] {
            let design = Design::within(blocks, 4).expect("a look fits");
            assert_eq!(design.check(), Ok(()));
            assert!(design.last_blocks() <= blocks);
            let whole: f64 = design.looks.iter().map(|look| look.share).sum();
            assert!((whole - 1.0).abs() < 1e-12);
        }
        assert_eq!(Design::within(9, 4), None);
    }

    #[test]
    fn a_look_too_early_for_its_family_cannot_decide() {
        assert_eq!(Design::standard(2).decidable_at(), Some(10));
        assert_eq!(Design::standard(40).decidable_at(), Some(16));
        assert_eq!(
            Design::within(10, 10).and_then(|design| design.decidable_at()),
            Some(10)
        );
        assert_eq!(Design::within(10, 11).and_then(|design| design.decidable_at()), None);
    }

    #[test]
    fn refuses_what_is_no_plan() {
        let base = Design::standard(1);
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
