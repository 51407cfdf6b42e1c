//! The record of a tuning, as stored in `tune.json` and `run.json`.

use serde::{Deserialize, Serialize};

use crate::stats::{Estimate, Metric, ThresholdOutcome, elimination::PresentVerdict};

/// Schema version of `tune.json`; raised when a field changes its meaning or is removed.
pub const TUNE_VERSION: u32 = 1;

/// The criterion of the best setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Goal {
    /// Most requests per second, in a closed loop.
    Throughput,
    /// Highest arrival rate within the thresholds.
    Capacity,
    /// Least CPU time per request, then least memory, at the rate of an arrival schedule.
    Cost,
    /// Lowest 99th percentile of latency at the rate of an arrival schedule.
    P99,
}

impl Goal {
    /// Returns the name on the command line and in files.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
            Self::Capacity => "capacity",
            Self::Cost => "cost",
            Self::P99 => "p99",
        }
    }

    /// Returns the metric that has the goal's unit, direction and margin.
    #[must_use]
    pub fn metric(self) -> Metric {
        match self {
            Self::Throughput | Self::Capacity => Metric::Throughput,
            Self::Cost => Metric::CpuPerRequest,
            Self::P99 => Metric::P99,
        }
    }
}

/// A tuning, for programs: `target/wsgibench/tune.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TuneRecord {
    /// [`TUNE_VERSION`] of the writer.
    pub version: u32,
    /// Run id.
    pub run: String,
    /// Scenario.
    pub scenario: String,
    /// Its parameter set.
    pub param: String,
    /// The goal.
    pub goal: Goal,
    /// The metric of the goal.
    pub metric: Metric,
    /// The smallest difference that matters, as a share.
    pub margin: f64,
    /// Confidence of all statements together.
    pub confidence: f64,
    /// The thresholds, as on the command line.
    pub thresholds: Vec<String>,
    /// Complete blocks.
    pub blocks: usize,
    /// Launches of all settings.
    pub launches: usize,
    /// Time of the search without builds, seconds.
    pub seconds: f64,
    /// Time limit, seconds.
    pub budget_seconds: f64,
    /// Why the search ended.
    pub ended: TuneEnd,
    /// All settings: the recommended one, then by their means, dropped ones last.
    pub settings: Vec<TuneSetting>,
    /// The recommended setting; `None` if no setting meets the thresholds, or none was measured.
    pub recommended: Option<Recommendation>,
    /// The setting in use, if one is marked as the default.
    pub present: Option<PresentSetting>,
    /// Resources that limit the recommended setting, as far as the figures show it.
    pub limits: Vec<String>,
    /// Remarks for the reader.
    pub notes: Vec<String>,
    /// Whether a gate was requested.
    pub gate: bool,
    /// `pass`, `worse`, `undecided`, `missing` or `interrupted`; `advisory` without a gate.
    pub verdict: String,
    /// The corresponding exit status.
    pub exit_status: i32,
}

/// Why a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TuneEnd {
    /// A setting is certain to be within the margin of the best.
    Decided,
    /// No setting is left.
    NothingLeft,
    /// The time was over.
    Budget,
    /// The planned number of blocks was complete.
    Blocks,
    /// Ctrl-C.
    Interrupted,
}

/// One setting of a tuning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TuneSetting {
    /// Case.
    pub case: String,
    /// Server.
    pub server: String,
    /// Names and values of its parameters.
    pub values: Vec<(String, String)>,
    /// Whether it is the one in use.
    pub present: bool,
    /// Its place in the answer.
    pub status: TuneStatus,
    /// Why it was dropped.
    pub dropped: Option<Dropped>,
    /// Launches of it.
    pub launches: usize,
    /// Launches with a figure of the goal.
    pub valid_launches: usize,
    /// Mean of the goal over its launches, with its own 95 % interval.
    pub estimate: Option<Estimate>,
    /// Loss against the recommended setting.
    pub loss: Option<Loss>,
    /// Requests per second.
    pub throughput: Option<f64>,
    /// CPU time per request, microseconds.
    pub cpu_per_request: Option<f64>,
    /// 99th percentile of latency, microseconds.
    pub p99: Option<f64>,
    /// Peak memory, bytes.
    pub peak_memory: Option<f64>,
    /// Thresholds as judged while it was measured.
    pub thresholds: Vec<ThresholdOutcome>,
}

/// The place of a setting in the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TuneStatus {
    /// The cheapest of the best.
    Recommended,
    /// Not told apart from the best.
    Tied,
    /// Whether it meets the thresholds is not certain.
    Undecided,
    /// Not the best.
    Dropped,
}

/// When and why a setting was dropped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Dropped {
    /// Complete blocks by then.
    pub after: usize,
    /// Why.
    #[serde(flatten)]
    pub reason: DropReason,
}

/// Why a setting was dropped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reason")]
#[non_exhaustive]
pub enum DropReason {
    /// Another setting, which meets all thresholds, is better.
    Worse {
        /// Case of the better one.
        than: String,
        /// Loss against that one.
        loss: Loss,
    },
    /// It breaks a threshold.
    Breaks {
        /// The verdict.
        outcome: Box<ThresholdOutcome>,
    },
    /// It could not be measured.
    Failed {
        /// Why.
        text: String,
    },
}

/// A loss, as a share of a rate or as an addition to a time or cost; negative if it is a gain. The bounds hold together with all
/// statements of the search.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Loss {
    /// Mean over the common blocks.
    pub share: f64,
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
    /// Common blocks.
    pub blocks: usize,
}

/// The recommended setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Recommendation {
    /// Case.
    pub case: String,
    /// Whether it is certain to be within the margin of the best.
    pub certain: bool,
    /// Its command line.
    pub command: String,
    /// Cases that cannot be told apart from the best, with this one.
    pub tied: Vec<String>,
}

/// The setting in use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PresentSetting {
    /// Case.
    pub case: String,
    /// Whether it is within the margin of the best.
    pub verdict: PresentVerdict,
    /// Loss against the recommended setting; absent if it is that setting.
    pub loss: Option<Loss>,
}

/// The progress of a tuning after a block.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TuneProgress {
    /// Complete blocks.
    pub blocks: usize,
    /// Settings that may be the best.
    pub left: usize,
    /// All settings.
    pub of: usize,
    /// The metric of the goal.
    pub metric: Metric,
    /// The best setting so far, as a case, with its mean.
    pub best: Option<(String, f64)>,
    /// Settings dropped by this block, as cases.
    pub dropped: Vec<(String, DropReason)>,
}
