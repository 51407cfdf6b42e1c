//! Base against candidate, block by block: is one worse, better, the same, or is it unknown?
//!
//! In each block both arms are launched once, in random order. The logarithm of their ratio is the datum, signed so
//! that + is worse. At a few planned looks a family of such series is judged together.

pub mod decision;
pub mod design;
pub mod evidence;
pub mod family;
pub mod sign_flip;

use serde::{Deserialize, Serialize};

use super::estimate::Interval;
use super::metric::{Margin, Metric};

pub use decision::{Decision, Progress, StopReason};
pub use design::{Design, DesignError, Look};
pub use family::{Family, GateRole};

/// One (case, metric) pair to judge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// The case's id.
    pub case: String,
    /// What was measured.
    pub metric: Metric,
    /// The smallest change that matters. A relative one is judged by log ratios, an absolute one (error share) by
    /// differences and a sign test.
    pub margin: Margin,
    /// How it counts for the gate.
    pub role: GateRole,
    /// Whether the candidate's measurement is less believable than the base's (its validity is lower): such a case is
    /// never an improvement.
    pub validity_worse: bool,
    /// (base, candidate) of each block in order, in the metric's unit; the median of the launch's rounds. A block that
    /// lacks an arm is NaN there (`null` in JSON), and does not count.
    #[serde(deserialize_with = "null_is_nan")]
    pub blocks: Vec<(f64, f64)>,
}

/// Reads `null` as NaN, which JSON lacks.
fn null_is_nan<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<(f64, f64)>, D::Error> {
    let blocks: Vec<(Option<f64>, Option<f64>)> = Deserialize::deserialize(deserializer)?;
    let known = |value: Option<f64>| value.unwrap_or(f64::NAN);
    Ok(blocks.into_iter().map(|(a, b)| (known(a), known(b))).collect())
}

impl Series {
    /// One number a usable block: the log ratio (the difference, where the margin is absolute), signed so that + is
    /// worse.
    #[must_use]
    pub fn differences(&self) -> Vec<f64> {
        evidence::Differences::of(self).values
    }
}

/// What the comparison says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Certainly worse, and by more than half the margin.
    Regression,
    /// Certainly better, and by more than half the margin, with neither errors nor validity worse.
    Improvement,
    /// Certainly within the margin.
    Equivalent,
    /// None of these: see the minimum detectable effect.
    Inconclusive,
}

impl Verdict {
    /// The word in files.
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

/// The judgement of one pair, with everything that is printed about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Outcome {
    /// The case's id.
    pub case: String,
    /// What was measured.
    pub metric: Metric,
    /// Whether a regression of it fails the gate.
    pub gated: bool,
    /// Whether the gate needs a decision on it (server CPU per request, where that is gated). A gated pair that is not primary
    /// can fail the gate and never blocks it.
    #[serde(default)]
    pub primary: bool,
    /// Its share of the family's error rate, before any other pair is rejected (0 to 1).
    #[serde(default)]
    pub weight: f64,
    /// What the comparison says.
    pub verdict: Verdict,
    /// The base's figure in the metric's unit: geometric mean over the blocks used, arithmetic of an error share.
    pub base: Option<f64>,
    /// The candidate's.
    pub candidate: Option<f64>,
    /// Candidate / base - 1, or candidate - base where the margin is absolute.
    pub change: Option<f64>,
    /// The interval of the change; it lies within the margin where the verdict is `equivalent`.
    pub interval: Option<Interval>,
    /// One-sided p-value at the look that decided, in the direction of the change: the larger of Student's t and the
    /// sign-flip test (the sign test where the margin is absolute).
    pub p: f64,
    /// The same after the looks and the family are accounted for (Holm): certain if at most the family's alpha.
    pub adjusted_p: f64,
    /// The smallest change that matters.
    pub margin: Margin,
    /// The smallest change for the worse that the whole plan finds with a probability of 0.8, in the unit of `change`
    /// without its sign; none where it could find none.
    pub mde: Option<f64>,
    /// Standard deviation of the blocks' log ratios (of their differences, where the margin is absolute).
    pub spread: Option<f64>,
    /// Blocks used: those of the last look reached, or all before the first.
    pub blocks: usize,
    /// Blocks that lacked an arm or had a value that no ratio can be taken of.
    pub unusable_blocks: usize,
    /// Nothing was decided, and a gate must not pass on it: the blocks are too few for the first look, or for the first look
    /// at which a primary pair can be decided, or most blocks lack a figure.
    pub undecided: bool,
    /// What a reader should know besides.
    pub notes: Vec<String>,
}
