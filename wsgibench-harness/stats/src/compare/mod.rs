//! Compares a base with a candidate, block by block.
//!
//! In each block both arms are launched once, in random order. The datum is the logarithm of their ratio, with the sign
//! chosen so that + is worse. At a few planned looks a family of such series is judged together.

pub mod decision;
pub mod design;
pub mod evidence;
pub mod family;
pub mod sign_flip;

use serde::{Deserialize, Serialize};

use super::estimate::Interval;
use super::metric::{Margin, Metric};

pub use decision::{Decision, Progress, StopReason, usable_blocks};
pub use design::{Design, DesignError, Look};
pub use family::{Family, GateRole, Shares};

/// One (case, metric) pair to judge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// The case's id.
    pub case: String,
    /// The metric.
    pub metric: Metric,
    /// The smallest change that matters. A relative one is judged by log ratios, an absolute one (error share) by
    /// differences and a sign test.
    pub margin: Margin,
    /// The role in the gate.
    pub role: GateRole,
    /// Whether the candidate's validity is lower than the base's; such a case is never an improvement.
    pub validity_worse: bool,
    /// (base, candidate) of each block in order, in the metric's unit: the medians of the launches' rounds. A missing value
    /// is NaN (`null` in JSON); its block is not used.
    #[serde(deserialize_with = "null_is_nan")]
    pub blocks: Vec<(f64, f64)>,
}

/// Deserializes `null` as NaN, which JSON lacks.
fn null_is_nan<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<(f64, f64)>, D::Error> {
    let blocks: Vec<(Option<f64>, Option<f64>)> = Deserialize::deserialize(deserializer)?;
    let known = |value: Option<f64>| value.unwrap_or(f64::NAN);
    Ok(blocks.into_iter().map(|(a, b)| (known(a), known(b))).collect())
}

impl Series {
    /// Returns one number per usable block: the log ratio (the difference, if the margin is absolute), with the sign chosen so
    /// that + is worse.
    #[must_use]
    pub fn differences(&self) -> Vec<f64> {
        evidence::Differences::of(self).values
    }
}

/// The verdict of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Significantly worse, by more than half the margin.
    Regression,
    /// Significantly better, by more than half the margin, with neither errors nor validity worse.
    Improvement,
    /// Significantly within the margin.
    Equivalent,
    /// None of these: see the minimum detectable effect.
    Inconclusive,
}

impl Verdict {
    /// Returns the id used in files.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Regression => "regression",
            Self::Improvement => "improvement",
            Self::Equivalent => "equivalent",
            Self::Inconclusive => "inconclusive",
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.id())
    }
}

/// The outcome of one pair, with all printed values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Outcome {
    /// The case's id.
    pub case: String,
    /// The metric.
    pub metric: Metric,
    /// Whether a regression fails the gate.
    pub gated: bool,
    /// Whether the gate requires a decision (server CPU per request, if it is gated). A gated pair that is not primary
    /// can fail the gate but never blocks it.
    #[serde(default)]
    pub primary: bool,
    /// Share of the family's error rate before any other pair is rejected (0 to 1).
    #[serde(default)]
    pub weight: f64,
    /// The verdict of a comparison.
    pub verdict: Verdict,
    /// The base's value in the metric's unit: geometric mean over the blocks used, arithmetic mean for an error share.
    pub base: Option<f64>,
    /// The candidate's value, computed in the same way.
    pub candidate: Option<f64>,
    /// Candidate / base - 1, or candidate - base if the margin is absolute.
    pub change: Option<f64>,
    /// The 90 % interval of the change; it lies within the margin if the verdict is `equivalent`.
    pub interval: Option<Interval>,
    /// One-sided p-value at the last look reached, in the direction of the change: the larger of Student's t and the
    /// sign-flip test (the sign test, if the margin is absolute).
    pub p: f64,
    /// The p-value adjusted for the looks and the family (Holm): significant if at most the family's alpha.
    pub adjusted_p: f64,
    /// The smallest change that matters.
    pub margin: Margin,
    /// The smallest change for the worse that the whole plan detects with a probability of 0.8, in the unit of `change`,
    /// without sign; none if it cannot detect any change.
    pub mde: Option<f64>,
    /// Standard deviation of the blocks' log ratios (of their differences, if the margin is absolute).
    pub spread: Option<f64>,
    /// Blocks used: those of the last look reached, or all blocks before the first look.
    pub blocks: usize,
    /// Blocks without one of the arms, or with a value that does not allow a ratio.
    pub unusable_blocks: usize,
    /// Whether the pair is undecided, so that a gate must not pass: too few blocks for the first look, or for the first look
    /// at which a primary pair can be decided, or most blocks lack a value.
    pub undecided: bool,
    /// Notes for the reader.
    pub notes: Vec<String>,
}
