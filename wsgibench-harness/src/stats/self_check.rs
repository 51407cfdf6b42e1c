//! Can this machine be trusted with a gate, and what can it see? From a recording of identical arms.
//!
//! The arms of the recording are exchangeable, so each block's labels may be swapped, and any order of the blocks
//! may be dealt out: many gates on identical code come from one recording. The share of them that alarm bounds the
//! false-alarm rate; gates into which a change is planted show what the machine can see.

use std::collections::BTreeMap;

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

use super::compare::evidence::{detectable, reach};
use super::compare::{Decision, Design, DesignError, Series, Verdict};
use super::distribution::{proportion_upper_bound, t_statistic, t_upper_tail};
use super::metric::{Margin, Metric};
use super::sample::{float, mean, std_dev};

/// Gates dealt from a recording unless told otherwise.
pub const RELABELS: usize = 10_000;

/// The confidence of the bound.
pub const CONFIDENCE: f64 = 0.95;

/// What a recording of identical arms says of its machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct SelfCheck {
    /// Gates dealt.
    pub relabels: usize,
    /// Of them, those that alarmed.
    pub alarms: usize,
    /// Upper bound of the false-alarm rate (Clopper and Pearson, 95 %).
    pub alarm_bound: f64,
    /// The rate that it must not exceed.
    pub alpha: f64,
    /// Whether it does not: a gate on a machine that failed is refused.
    pub passed: bool,
    /// Each pair of the recording.
    pub pairs: Vec<PairCheck>,
    /// Each metric: the worst of its pairs.
    pub metrics: Vec<MetricCheck>,
}

impl SelfCheck {
    /// The pairs whose arms differ by more than chance, though they are the same: p at most 0.01 over all pairs (Bonferroni).
    pub fn favoured(&self) -> impl Iterator<Item = &PairCheck> {
        let level = 0.01 / float(self.pairs.len());
        self.pairs.iter().filter(move |pair| pair.label_p <= level)
    }
}

/// One (case, metric) pair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct PairCheck {
    /// The case's id.
    pub case: String,
    /// What was measured.
    pub metric: Metric,
    /// Usable blocks in the recording.
    pub blocks: usize,
    /// Standard deviation of the blocks' log ratios (differences, where the margin is absolute).
    pub spread: f64,
    /// The smallest change for the worse that the design finds with a probability of 0.8 (a share; in the metric's
    /// unit where the margin is absolute); none where it could find none.
    pub mde: Option<f64>,
    /// Share of the gates with a planted change that caught it. Planted is the margin; twice the margin where it is
    /// absolute, since a rise must exceed it.
    pub caught_at_margin: f64,
    /// Candidate against base, as a share of the base (difference, where absolute). The arms are identical and the order is
    /// random, so that it should be chance: a small p-value says that the harness itself favours one arm.
    pub label_effect: f64,
    /// Two-sided p-value of that effect.
    pub label_p: f64,
}

/// One metric over its pairs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct MetricCheck {
    /// Which.
    pub metric: Metric,
    /// The smallest change that matters.
    pub margin: Margin,
    /// The largest minimum detectable effect of its pairs; none where one of them has none.
    pub mde: Option<f64>,
    /// Whether that lies within the margin: the metric may then be gated on this machine.
    pub sees_its_margin: bool,
}

/// A recording that says nothing.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SelfCheckError {
    /// No gated pair in it.
    #[error("the recording holds no gated metric: record at least one case with the gate's metrics")]
    Empty,
    /// Too short.
    #[error(
        "{case}, {metric}: the recording has {blocks} usable blocks, and the gate's first look needs {needed}: record more"
    )]
    TooShort {
        /// The case's id.
        case: String,
        /// What was measured.
        metric: Metric,
        /// Usable blocks.
        blocks: usize,
        /// How many it takes.
        needed: usize,
    },
    /// Too few gates for the bound to come below alpha, whatever they say.
    #[error("{relabels} relabelled gates cannot bound a false-alarm rate of {alpha}: take at least {needed}")]
    TooFewRelabels {
        /// How many were asked for.
        relabels: usize,
        /// The rate to bound.
        alpha: f64,
        /// How many it takes without a single alarm.
        needed: usize,
    },
    /// The design is none.
    #[error(transparent)]
    Design(#[from] DesignError),
}

/// Deals `relabels` gates by `design` from a recording whose blocks are (first launched, second launched) of the same
/// arm. Pairs of the same case share their blocks: they are relabelled together.
///
/// Blocks are dealt without replacement where there are enough for the last look, with replacement otherwise. The
/// family is that of `design` or that of the recording, whichever is larger.
///
/// # Errors
///
/// When the recording has no gated pair or too few blocks, or `relabels` are too few to bound the rate.
pub fn self_check(
    recording: &[Series],
    design: &Design,
    relabels: usize,
    seed: u64,
) -> Result<SelfCheck, SelfCheckError> {
    let gated = recording.iter().filter(|series| series.gated).count();
    let design = Design {
        family: design.family.max(gated),
        ..design.clone()
    };
    let decision = Decision::new(design.clone())?;
    check_enough(recording, gated, &design, relabels)?;

    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let counted: Vec<Series> = recording.iter().filter(|series| series.gated).cloned().collect();
    let mut dealer = Dealer::new(&counted, design.last_blocks());
    let mut alarms = 0;
    for _ in 0..relabels {
        let verdicts = decision.replay(dealer.deal(&mut rng));
        alarms += usize::from(verdicts.contains(&Verdict::Regression));
    }
    let alarm_bound = proportion_upper_bound(alarms, relabels, CONFIDENCE);
    let planted = (relabels / 10).max(1);
    let pairs: Vec<PairCheck> = recording
        .iter()
        .map(|series| check_pair(series, &decision, planted, &mut rng))
        .collect();
    Ok(SelfCheck {
        relabels,
        alarms,
        alarm_bound,
        alpha: design.alpha,
        passed: alarm_bound <= design.alpha,
        metrics: by_metric(recording, &pairs),
        pairs,
    })
}

fn check_enough(recording: &[Series], gated: usize, design: &Design, relabels: usize) -> Result<(), SelfCheckError> {
    if gated == 0 {
        return Err(SelfCheckError::Empty);
    }
    let needed = design.looks[0].blocks;
    for series in recording {
        let blocks = series.differences().len();
        if blocks < needed {
            return Err(SelfCheckError::TooShort {
                case: series.case.clone(),
                metric: series.metric,
                blocks,
                needed,
            });
        }
    }
    if proportion_upper_bound(0, relabels, CONFIDENCE) > design.alpha {
        let needed = without_alarm(design.alpha);
        return Err(SelfCheckError::TooFewRelabels {
            relabels,
            alpha: design.alpha,
            needed,
        });
    }
    Ok(())
}

/// How many gates without a single alarm bound the rate by `alpha`: `(1 - alpha)^n` falls to what is left of the
/// confidence.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positive, and saturating above usize"
)]
fn without_alarm(alpha: f64) -> usize {
    ((1.0 - CONFIDENCE).ln() / (-alpha).ln_1p()).ceil() as usize
}

/// Deals gates from a recording.
struct Dealer<'a> {
    recording: &'a [Series],
    /// Series by case: what shares its launches.
    cases: Vec<Vec<usize>>,
    blocks: usize,
    dealt: Vec<Series>,
}

impl<'a> Dealer<'a> {
    fn new(recording: &'a [Series], blocks: usize) -> Self {
        let mut cases: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, series) in recording.iter().enumerate() {
            cases.entry(&series.case).or_default().push(index);
        }
        let dealt = recording.to_vec();
        Self {
            recording,
            cases: cases.into_values().collect(),
            blocks,
            dealt,
        }
    }

    fn deal(&mut self, rng: &mut Xoshiro256PlusPlus) -> &mut [Series] {
        for members in &self.cases {
            let recorded = members
                .iter()
                .map(|&index| self.recording[index].blocks.len())
                .min()
                .unwrap_or(0);
            let mut order: Vec<usize> = (0..recorded).collect();
            order.shuffle(rng);
            if recorded < self.blocks {
                order = (0..self.blocks).map(|_| rng.random_range(..recorded)).collect();
            }
            order.truncate(self.blocks);
            let swapped: Vec<bool> = order.iter().map(|_| rng.random()).collect();
            for &index in members {
                let label = |(&block, &swap): (&usize, &bool)| {
                    let (first, second) = self.recording[index].blocks[block];
                    if swap { (second, first) } else { (first, second) }
                };
                self.dealt[index].blocks.clear();
                self.dealt[index].blocks.extend(order.iter().zip(&swapped).map(label));
            }
        }
        &mut self.dealt
    }
}

fn check_pair(series: &Series, decision: &Decision, planted: usize, rng: &mut Xoshiro256PlusPlus) -> PairCheck {
    let design = decision.design();
    let differences = series.differences();
    let spread = std_dev(&differences);
    let relative = matches!(series.margin, Margin::Relative(_));
    let natural = |difference: f64| if relative { difference.exp_m1() } else { difference };
    let sign = series.metric.direction().worse();

    // Alone, but with the family's weight: the others are unchanged, and give way to no one.
    let alone = [Series {
        gated: true,
        ..series.clone()
    }];
    let mut dealer = Dealer::new(&alone, design.last_blocks());
    let caught = (0..planted)
        .filter(|_| {
            let dealt = dealer.deal(rng);
            for (_, candidate) in &mut dealt[0].blocks {
                match series.margin {
                    Margin::Relative(_) => *candidate *= (sign * reach(series.margin)).exp(),
                    Margin::Absolute(value) => *candidate += sign * 2.0 * value,
                }
            }
            decision.replay(dealt)[0] == Verdict::Regression
        })
        .count();
    let t = t_statistic(&differences);
    PairCheck {
        case: series.case.clone(),
        metric: series.metric,
        blocks: differences.len(),
        spread,
        mde: detectable(spread, series.margin, design).map(|found| natural(sign * found).abs()),
        caught_at_margin: float(caught) / float(planted),
        label_effect: natural(sign * mean(&differences)),
        label_p: (2.0 * t_upper_tail(t.abs(), float(differences.len()) - 1.0)).min(1.0),
    }
}

fn by_metric(recording: &[Series], pairs: &[PairCheck]) -> Vec<MetricCheck> {
    let mut found: BTreeMap<Metric, MetricCheck> = BTreeMap::new();
    for (series, pair) in recording.iter().zip(pairs) {
        let entry = found.entry(pair.metric).or_insert(MetricCheck {
            metric: pair.metric,
            margin: series.margin,
            mde: Some(0.0),
            sees_its_margin: true,
        });
        entry.mde = entry.mde.zip(pair.mde).map(|(worst, mde)| worst.max(mde));
        entry.sees_its_margin = entry.mde.is_some_and(|mde| mde <= series.margin.value() + 1e-12);
    }
    found.into_values().collect()
}

#[cfg(test)]
#[path = "self_check_tests.rs"]
mod tests;
