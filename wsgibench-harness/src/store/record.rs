//! A run, as `run.json` has it. Every reader (reports, comparisons, other programs) starts from these types.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use crate::declare::Notice;
use crate::{
    declare::{Profile, ServerSpec},
    load::{Load, RoundResult},
    stats::Slope,
};

/// Version of the form of `run.json`; raised when a field changes its meaning or goes.
pub const SCHEMA_VERSION: u32 = 1;

/// Everything that one run measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunRecord {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// Version of the harness.
    pub harness_version: String,
    /// Id, sortable by time: `20261121T101500-4f2a`.
    pub id: String,
    /// Start, UTC.
    pub started: jiff::Timestamp,
    /// End, UTC; `None` while it runs or when it was killed.
    pub finished: Option<jiff::Timestamp>,
    /// Ended by Ctrl-C or recovered from its journal after a kill: not all that was planned is in it.
    pub interrupted: bool,
    /// Seed of the order, the mixes and the schedules.
    pub seed: u64,
    /// The profile, as it was applied.
    pub profile: Profile,
    /// Arguments, as given.
    pub arguments: Vec<String>,
    /// Where it ran.
    pub environment: Environment,
    /// Clamps, fallbacks and all else that was said.
    pub notices: Vec<Notice>,
    /// The servers, as resolved.
    pub servers: Vec<ServerRecord>,
    /// The cases, in order of declaration.
    pub cases: Vec<CaseRecord>,
    /// The engine's ceiling on this path, if it was measured.
    pub ceiling: Option<Ceiling>,
    /// The same with scripted users: measured where the run has any, and what their cases are held against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script_ceiling: Option<Ceiling>,
    /// Comparison, if one was asked for (`verdict.json` has the same).
    #[serde(default)]
    pub comparison: Option<serde_json::Value>,
}

/// The machine and the sandbox.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// `docker` or `process`.
    pub sandbox: String,
    /// Why that one.
    pub sandbox_reason: String,
    /// Container engine and version.
    pub engine: Option<String>,
    /// Kernel release.
    pub kernel: String,
    /// Operating system's pretty name.
    pub os: String,
    /// CPU model.
    pub cpu_model: String,
    /// CPUs online.
    pub cpu_count: usize,
    /// CPUs of the servers.
    pub server_cpus: Vec<usize>,
    /// CPUs of the load engine.
    pub load_cpus: Vec<usize>,
    /// Frequency governor.
    pub governor: Option<String>,
    /// Memory, bytes.
    pub memory_bytes: u64,
    /// `v1` or `v2`.
    pub cgroup: String,
    /// Path of the load to the server: `bridge`, `published port`, `loopback`.
    pub path: String,
    /// Git commit of the project, with `-dirty`.
    pub commit: Option<String>,
    /// Further facts by name.
    pub extra: BTreeMap<String, String>,
}

/// A server of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerRecord {
    /// As resolved.
    pub spec: ServerSpec,
    /// Image tag or path of the virtual environment.
    pub image: String,
    /// Digest of the image.
    pub image_digest: Option<String>,
    /// Size of the image, bytes.
    pub image_bytes: Option<u64>,
    /// Versions inside it, by package (`gunicorn`: `27.0.1`, `python`: `3.11.2`).
    pub versions: BTreeMap<String, String>,
    /// Images of its companions, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub companions: BTreeMap<String, String>,
}

impl ServerRecord {
    /// Its own image and those of its companions.
    #[must_use]
    pub fn images(&self) -> Vec<&str> {
        std::iter::once(&self.image)
            .chain(self.companions.values())
            .map(String::as_str)
            .collect()
    }
}

/// A case: one server x one scenario x one parameter set.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CaseRecord {
    /// `scenario/server/param`.
    pub id: String,
    /// Scenario.
    pub scenario: String,
    /// Server.
    pub server: String,
    /// Parameter set.
    pub param: String,
    /// Names and values of the parameters.
    pub values: Vec<(String, String)>,
    /// Doc comment of the scenario.
    pub description: String,
    /// The load.
    pub load: Load,
    /// What is asked stands in a script; the load says when its users come.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub scripted: bool,
    /// What came of it.
    pub outcome: CaseOutcome,
    /// Launch by launch.
    pub launches: Vec<LaunchRecord>,
    /// May it be believed.
    pub validity: Validity,
}

/// What came of a case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome", content = "reason")]
pub enum CaseOutcome {
    /// At least one round was measured.
    Measured,
    /// Not begun (the run ended before).
    #[default]
    Planned,
    /// It could not be measured.
    Failed(String),
    /// Its server cannot be had on this machine.
    NotAvailable(String),
    /// Its server cannot do it.
    Unsupported(String),
    /// Declared with `ignore`.
    Ignored(String),
}

/// One fresh start of a server, until its teardown.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LaunchRecord {
    /// 0-based number within the case and arm.
    pub index: u32,
    /// Block it belongs to.
    pub block: u32,
    /// `candidate` (the working tree) or `base`.
    pub arm: String,
    /// Start, UTC.
    pub started: jiff::Timestamp,
    /// From the order to start until the first HTTP answer, seconds.
    pub start_up_seconds: f64,
    /// Address that was loaded.
    pub address: String,
    /// Memory after the first answer, before load, bytes.
    pub memory_at_rest_bytes: u64,
    /// Round by round.
    pub rounds: Vec<RoundRecord>,
    /// Reference load before and after, requests per second. Arms that take turns share theirs: the first has it.
    pub reference: Vec<f64>,
    /// Why it failed, if it did. Its rounds up to then are kept.
    pub error: Option<String>,
    /// File with what it printed, relative to the run's folder.
    pub log: Option<String>,
}

/// One measured interval with what the server used in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RoundRecord {
    /// 0-based number within the launch.
    pub index: u32,
    /// The engine's figures.
    pub load: RoundResult,
    /// Server CPU time in user mode, seconds.
    pub server_cpu_user_seconds: f64,
    /// Server CPU time in the kernel, seconds.
    pub server_cpu_system_seconds: f64,
    /// Both, seconds.
    pub server_cpu_seconds: f64,
    /// Held back by a quota, seconds.
    pub throttled_seconds: f64,
    /// Mean of the samples, bytes.
    pub memory_mean_bytes: u64,
    /// Highest sample, bytes.
    pub memory_peak_bytes: u64,
    /// About one sample a second: server CPU share (cores) and memory.
    pub server_series: Vec<ServerSecond>,
    /// How the memory changed, bytes a second, where the round was long enough to tell (a minute or so).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_growth: Option<Slope>,
    /// What its companions used in it, each apart and none of it in the figures above.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub companions: Vec<CompanionUsage>,
    /// Metrics by id (`stats::metric`): `throughput`, `cpu_per_request`, `p50`, `p99`, ...
    pub metrics: BTreeMap<String, f64>,
    /// May it be believed.
    pub validity: Validity,
    /// The server's capacity, requests per second, where the rates of the load are shares of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity_per_second: Option<f64>,
    /// What a burst in the schedule did, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<BurstRecord>,
    /// How slow clients beside the load fared up to its end, where there were any.
    #[serde(default, alias = "beside", skip_serializing_if = "Vec::is_empty")]
    pub background_clients: Vec<SlowRecord>,
    /// What was done to the server in it, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<FaultRecord>,
    /// Counts so far, every tenth of a second, where something was done to the server.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pulses: Vec<Sample>,
}

/// Slow clients in the background of a load, since the launch began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlowRecord {
    /// In words, e.g. `40 slow readers of /download`.
    pub name: String,
    /// Connected now.
    pub there: u64,
    /// Connected if the server lets them.
    pub wanted: u64,
    /// Came to their end and left; others took their place.
    pub finished: u64,
    /// The server ended their connection before that.
    pub sent_away: u64,
    /// Attempts to connect that failed.
    pub not_let_in: u64,
}

/// A burst in an open schedule: how long until the 99th percentile was as before. To the second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BurstRecord {
    /// Its begin, seconds from the start of the round.
    pub from_seconds: f64,
    /// Its end.
    pub until_seconds: f64,
    /// Median 99th percentile of the seconds before it, ns.
    pub usual_p99_ns: u64,
    /// Highest 99th percentile of a second from its begin on, ns.
    pub worst_p99_ns: u64,
    /// Requests that failed or timed out from its begin on.
    pub errors: u64,
    /// From its end until two seconds follow in which nothing fails and the 99th percentile is at most twice the usual one or 5 ms above it.
    /// `None`: never while it was watched.
    pub recovered_after_seconds: Option<f64>,
    /// How long it was watched after its end, seconds.
    pub watched_seconds: f64,
}

/// Something that was done to a server under load, and what the load felt of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FaultRecord {
    /// What, e.g. `worker killed`.
    pub action: String,
    /// When, seconds from the start of the round.
    pub at_seconds: f64,
    /// How long the doing took, seconds.
    pub took_seconds: f64,
    /// What was done exactly, in one line; begins with `not done` where it could not be.
    pub told: String,
    /// Where it was requests that do harm: what they were answered (a status, `no answer`, `refused`...), and how often.
    pub answers: BTreeMap<String, u64>,
    /// Processes that the memory limit killed meanwhile.
    pub memory_kills: u64,
    /// The server had ended by the end of the round, and nobody started it again.
    pub server_ended: bool,
    /// What the load felt.
    pub recovery: Recovery,
}

/// What a load felt of a fault, up to the next one or the end of the round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Recovery {
    /// Median rate before, requests per second.
    pub usual_per_second: f64,
    /// Lowest rate after, in a tenth of a second, requests per second.
    pub lowest_per_second: f64,
    /// Requests that failed or timed out.
    pub requests_lost: u64,
    /// Requests sent again on a new connection, as the server had closed the old one before they arrived.
    #[serde(default)]
    pub requests_sent_again: u64,
    /// From the fault until a second begins in which nothing fails and no tenth has less than half of the usual rate, seconds;
    /// 0 where that second begins at once, and it goes on until the harm is over. `None`: never while it was watched.
    pub recovered_after_seconds: Option<f64>,
    /// How long it was watched, seconds.
    pub watched_seconds: f64,
}

/// Counts of a round so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Seconds from the start of the round.
    pub at: f64,
    /// Requests answered.
    pub done: u64,
    /// Failed or timed out.
    pub errors: u64,
    /// Sent again.
    #[serde(default)]
    pub retried: u64,
}

/// A companion in a round.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CompanionUsage {
    /// Its name on the network.
    pub name: String,
    /// CPU time, seconds.
    pub cpu_seconds: f64,
    /// Memory at the end of the round without the page cache, bytes.
    pub memory_bytes: u64,
}

/// The server in one second of a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerSecond {
    /// Seconds from the start of the round.
    pub at: f64,
    /// Cores in use.
    pub cpu_cores: f64,
    /// Memory, bytes.
    pub memory_bytes: u64,
}

/// The engine against the null server on the same path.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ceiling {
    /// Requests per second.
    pub requests_per_second: f64,
    /// Engine CPU time per request, microseconds.
    pub engine_cpu_us_per_request: f64,
}

/// The ceilings of both kinds of load.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ceilings {
    /// Declared loads.
    pub declared: Option<Ceiling>,
    /// Scripted users.
    pub scripted: Option<Ceiling>,
}

impl Ceilings {
    /// The one that a case is held against.
    #[must_use]
    pub fn of(self, scripted: bool) -> Option<Ceiling> {
        if scripted { self.scripted } else { self.declared }
    }
}

impl RunRecord {
    /// What the engine reaches here, by kind of load.
    #[must_use]
    pub fn ceilings(&self) -> Ceilings {
        Ceilings {
            declared: self.ceiling,
            scripted: self.script_ceiling,
        }
    }
}

/// Whether a measurement may be believed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Validity {
    /// The worst of the findings.
    pub level: ValidityLevel,
    /// What was checked and departed, each with its figure and threshold.
    pub findings: Vec<Finding>,
}

/// The levels, from good to bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValidityLevel {
    /// Nothing stands against it.
    #[default]
    Valid,
    /// Read it with the reasons beside it.
    Suspect,
    /// It does not say what it seems to say; never ranked, never gated on.
    Invalid,
}

/// One departure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Which check: `achieved_rate`, `client_lag`, `engine_busy`, `ports`, ...
    pub check: String,
    /// How bad.
    pub level: ValidityLevel,
    /// What was seen, in the unit of the check.
    pub value: f64,
    /// Where it becomes bad.
    pub threshold: f64,
    /// A sentence with the remedy.
    pub text: String,
}

impl Validity {
    /// Adds a finding; the level becomes the worst of all.
    pub fn add(&mut self, finding: Finding) {
        self.level = self.level.max(finding.level);
        self.findings.push(finding);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_earlier_versions_are_read() {
        let text = include_str!("../../tests/assets/run-v1.json");
        let run: RunRecord = serde_json::from_str(text).expect("fields were renamed with aliases");
        assert_eq!(run.servers.len(), 5);
    }
}
