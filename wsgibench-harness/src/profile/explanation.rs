//! Records of the comparison of profiles: the contents of `explain.json`.

use serde::{Deserialize, Serialize};

use super::tree::Tree;

/// Profiles of a run and what changed (`--explain`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// Schema version.
    pub version: u32,
    /// Run that is explained.
    pub run: String,
    /// The base of the comparison; `None` if one arm was profiled.
    pub against: Option<String>,
    /// Cases.
    pub cases: Vec<CaseExplanation>,
    /// Remarks for the reader.
    pub notes: Vec<String>,
}

impl Explanation {
    /// Schema version of `explain.json`.
    pub const VERSION: u32 = 1;
}

/// The profiles of one case.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CaseExplanation {
    /// Case id.
    pub case: String,
    /// CPU time per request, microseconds.
    pub cpu: TotalChange,
    /// Functions, those that changed first.
    pub functions: Vec<FunctionChange>,
    /// Source files, by their functions' own time.
    pub files: Vec<GroupChange>,
    /// Packages, by their functions' own time.
    pub packages: Vec<GroupChange>,
    /// Profile of the base.
    pub base: Option<ArmProfile>,
    /// Profile of the candidate.
    pub candidate: ArmProfile,
    /// Remarks for the reader.
    pub notes: Vec<String>,
}

/// A figure of both arms and its difference, microseconds of CPU per request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TotalChange {
    /// Mean of the base; `None` if one arm was profiled.
    pub base_us: Option<f64>,
    /// Mean of the candidate.
    pub candidate_us: f64,
    /// Candidate less base.
    pub change_us: Option<f64>,
    /// Lower end of the 95 % interval of the change, or of the candidate if one arm was profiled.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// p-value of the change, adjusted for all functions of the case.
    pub p: Option<f64>,
}

/// A function, and its own time in both arms, microseconds of CPU per request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FunctionChange {
    /// Name.
    pub function: String,
    /// Source file; empty for what is no Python function.
    pub file: String,
    /// Line that ran most often.
    pub line: i32,
    /// Its own time.
    #[serde(flatten)]
    pub own: TotalChange,
    /// Its time with all that it calls.
    pub total: TotalChange,
    /// Place among the functions whose change is certain; `None` for the others.
    pub rank: Option<u32>,
}

/// A file or package, and the own time of its functions in both arms.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GroupChange {
    /// Name.
    pub name: String,
    /// Its functions' own time.
    #[serde(flatten)]
    pub own: TotalChange,
}

/// The profile of one arm: means over its launches.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ArmProfile {
    /// Launches.
    pub launches: usize,
    /// Requests answered while they were sampled.
    pub requests: u64,
    /// Samples of running threads.
    pub running_samples: u64,
    /// Samples of waiting threads.
    pub waiting_samples: u64,
    /// Stacks that changed while they were read, and were discarded.
    pub discarded: u64,
    /// Samples taken each second.
    pub per_second: f64,
    /// Versions of Python.
    pub pythons: Vec<String>,
    /// Threads by name: process, thread, number in a launch, microseconds of CPU per request.
    pub threads: Vec<(String, String, usize, f64)>,
    /// Stacks, microseconds per request.
    #[serde(default, skip_serializing_if = "Tree::is_empty")]
    pub tree: Tree,
}
