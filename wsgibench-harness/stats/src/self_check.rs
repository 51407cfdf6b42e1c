//! Tests whether identical arms differ by more than chance on a machine, and estimates the smallest change a gate can detect.
//!
//! A recording of identical arms is a comparison with a known result. The arms were launched in random order, so the sign of
//! each block's difference is a fair coin on a sound machine, and the sign-flip test of the original labels is exact.
//! Reassigning the labels at random would make every recording pass, because it hides any bias towards one arm.
//!
//! One recording does not show a gate's false-alarm rate; real gates on identical arms do: [`IdenticalGates`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::compare::evidence::{detectable, two_sided_p};
use super::compare::{Design, DesignError, Series, design};
use super::distribution::{proportion_lower_bound, proportion_upper_bound};
use super::holm;
use super::metric::{Margin, Metric};
use super::sample::{float, mean, std_dev};

/// Maximum probability of rejecting a sound machine.
pub const ALPHA: f64 = 0.01;

/// Share of [`ALPHA`] allotted to server CPU time per request; the other metrics share the rest. Their margins are wide
/// relative to their spread, so a small share is enough.
const CPU_SHARE: f64 = 0.9;

/// Confidence level of the bound from identical gates.
pub const CONFIDENCE: f64 = 0.95;

/// The result of a self-check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct SelfCheck {
    /// Maximum probability of rejecting a sound machine.
    pub alpha: f64,
    /// Whether the identical arms differed by no more than chance, and identical gates alarmed no more often than allowed.
    /// A gate is refused on a machine that failed.
    pub passed: bool,
    /// Each gated (case, metric) pair of the recording.
    pub pairs: Vec<PairCheck>,
    /// Each gated metric: the worst of its pairs.
    pub metrics: Vec<MetricCheck>,
    /// Results of real gates on identical arms, if any were run.
    #[serde(default)]
    pub identical_gates: Option<IdenticalGates>,
}

impl SelfCheck {
    /// Adds the results of identical gates. The machine fails if they alarm more often than the gate's error rate explains.
    #[must_use]
    pub fn with_gates(mut self, gates: IdenticalGates) -> Self {
        self.passed &= !gates.alarm_too_often();
        self.identical_gates = Some(gates);
        self
    }

    /// Returns the pairs whose identical arms differed by more than chance.
    pub fn differing(&self) -> impl Iterator<Item = &PairCheck> {
        self.pairs.iter().filter(|pair| pair.adjusted_p <= self.alpha)
    }
}

/// One (case, metric) pair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct PairCheck {
    /// The case's id.
    pub case: String,
    /// The metric.
    pub metric: Metric,
    /// The smallest change that matters.
    pub margin: Margin,
    /// Usable blocks in the recording.
    pub blocks: usize,
    /// Standard deviation of the blocks' log ratios (of their differences, if the margin is absolute).
    pub spread: f64,
    /// The smallest change for the worse that the gate's whole plan detects with a probability of 0.8 (a share; in the metric's
    /// unit if the margin is absolute); none if it cannot detect any change.
    pub mde: Option<f64>,
    /// Mean change from base to candidate, as a share of the base (a difference, if the margin is absolute). The arms are
    /// identical, so only chance should make it differ from 0.
    pub difference: f64,
    /// Two-sided p-value of that difference: sign-flip test, or sign test if the margin is absolute.
    pub p: f64,
    /// The p-value adjusted by Holm's procedure over the recording's pairs.
    pub adjusted_p: f64,
}

/// The self-check of one metric over its pairs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct MetricCheck {
    /// The metric.
    pub metric: Metric,
    /// The smallest change that matters.
    pub margin: Margin,
    /// The largest minimum detectable effect of its pairs; none if one of them has none.
    pub mde: Option<f64>,
    /// Whether it lies within the margin, so that a gate detects a change of the margin with a probability of at least 0.8.
    pub sees_its_margin: bool,
    /// Whether identical arms differed by more than chance in this metric.
    pub differs: bool,
}

/// Results of real gates on identical arms.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct IdenticalGates {
    /// Gates that reached a decision.
    pub decided: usize,
    /// Decided gates that reported a regression.
    pub alarms: usize,
    /// Gates without a decision (an unsteady machine, a missing measurement): neither an alarm nor a pass.
    pub undecided: usize,
    /// Upper bound of the false-alarm rate at [`CONFIDENCE`] (Clopper and Pearson); 1 if no gate was decided.
    pub alarm_bound: f64,
}

impl IdenticalGates {
    /// Computes the bound from these gates.
    #[must_use]
    pub fn new(decided: usize, alarms: usize, undecided: usize) -> Self {
        Self {
            decided,
            alarms,
            undecided,
            alarm_bound: proportion_upper_bound(alarms, decided, CONFIDENCE),
        }
    }

    /// Returns whether the gates alarm more often than the gate's error rate explains: the exact lower bound at a confidence of
    /// 99.8 % exceeds that rate (three alarms in twenty gates, or two in four).
    #[must_use]
    pub fn alarm_too_often(&self) -> bool {
        proportion_lower_bound(self.alarms, self.decided, 0.998) > design::ALPHA
    }
}

/// An error while judging a recording.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SelfCheckError {
    /// The recording has no gated pair.
    #[error("the recording has no gated metric; record at least one case with a metric of the gate")]
    Empty,
    /// A primary pair has too few blocks.
    #[error(
        "{case}, {metric}: the recording has {blocks} usable blocks and the first look of a gate needs {needed}; record more blocks (`--launches`)"
    )]
    TooShort {
        /// The case's id.
        case: String,
        /// The metric.
        metric: Metric,
        /// Usable blocks.
        blocks: usize,
        /// Blocks of the first look.
        needed: usize,
    },
    /// An invalid design.
    #[error(transparent)]
    Design(#[from] DesignError),
}

/// Judges a recording of identical arms. `design` is the gate's design, which determines its detectable effect.
///
/// The machine is rejected if any gated pair's arms differ by more than chance: two-sided, Holm's procedure over the pairs, at
/// [`ALPHA`]. Advisory series are left out.
///
/// # Errors
///
/// Returns an error if the recording has no gated pair, or a primary pair has fewer blocks than the gate's first look.
pub fn self_check(recording: &[Series], design: &Design) -> Result<SelfCheck, SelfCheckError> {
    design.check()?;
    let gated: Vec<&Series> = recording.iter().filter(|series| series.role.is_gated()).collect();
    if gated.is_empty() {
        return Err(SelfCheckError::Empty);
    }
    let needed = design.looks[0].blocks;
    let mut pairs = Vec::with_capacity(gated.len());
    for series in &gated {
        let pair = check_pair(series, design);
        if series.role.is_primary() && pair.blocks < needed {
            return Err(SelfCheckError::TooShort {
                case: pair.case,
                metric: pair.metric,
                blocks: pair.blocks,
                needed,
            });
        }
        pairs.push(pair);
    }
    let p_values: Vec<f64> = pairs.iter().map(|pair| pair.p).collect();
    for (pair, adjusted) in pairs.iter_mut().zip(holm::adjust(&p_values, &weights(&gated))) {
        pair.adjusted_p = adjusted;
    }
    Ok(SelfCheck {
        alpha: ALPHA,
        passed: pairs.iter().all(|pair| pair.adjusted_p > ALPHA),
        metrics: by_metric(&pairs),
        pairs,
        identical_gates: None,
    })
}

fn check_pair(series: &Series, design: &Design) -> PairCheck {
    let differences = series.differences();
    let sign = series.metric.direction().worse();
    let natural = |difference: f64| match series.margin {
        Margin::Relative(_) => (sign * difference).exp_m1(),
        Margin::Absolute(_) => sign * difference,
    };
    // Spread and test need two blocks.
    let known = differences.len() > 1;
    let spread = if known { std_dev(&differences) } else { 0.0 };
    let mde = known
        .then(|| detectable(spread, series.margin, design, series.role.weight()))
        .flatten();
    PairCheck {
        case: series.case.clone(),
        metric: series.metric,
        margin: series.margin,
        blocks: differences.len(),
        spread,
        mde: mde.map(|found| natural(found).abs()),
        difference: if known { natural(mean(&differences)) } else { 0.0 },
        p: two_sided_p(&differences, series.margin, design.seed),
        adjusted_p: 1.0,
    }
}

/// Returns the weights: [`CPU_SHARE`] for server CPU time per request, the rest for the others; equal weights if it is
/// alone or absent.
fn weights(gated: &[&Series]) -> Vec<f64> {
    let is_cpu = |series: &&Series| series.metric == Metric::CpuPerRequest;
    let cpu = gated.iter().copied().filter(|series| is_cpu(series)).count();
    let others = gated.len() - cpu;
    if cpu == 0 || others == 0 {
        return holm::equal_weights(gated.len());
    }
    gated
        .iter()
        .map(|series| {
            if is_cpu(series) {
                CPU_SHARE / float(cpu)
            } else {
                (1.0 - CPU_SHARE) / float(others)
            }
        })
        .collect()
}

fn by_metric(pairs: &[PairCheck]) -> Vec<MetricCheck> {
    let mut found: BTreeMap<Metric, MetricCheck> = BTreeMap::new();
    for pair in pairs {
        let entry = found.entry(pair.metric).or_insert(MetricCheck {
            metric: pair.metric,
            margin: pair.margin,
            mde: Some(0.0),
            sees_its_margin: true,
            differs: false,
        });
        entry.mde = entry.mde.zip(pair.mde).map(|(worst, mde)| worst.max(mde));
        entry.sees_its_margin = entry.mde.is_some_and(|mde| mde <= pair.margin.value() + 1e-12);
        entry.differs |= pair.adjusted_p <= ALPHA;
    }
    found.into_values().collect()
}

#[cfg(test)]
#[path = "self_check_tests.rs"]
mod tests;
