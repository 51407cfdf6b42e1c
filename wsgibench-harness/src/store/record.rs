//! The record of a run, as stored in `run.json`. All readers (reports, comparisons, other programs) start from these types.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::tuning::TuneRecord;
pub use crate::declare::Notice;
use crate::{
    counts::{CountEnvironment, CountRecord},
    declare::{Profile, ServerSpec},
    load::{Load, RoundResult},
    profile::Explanation,
    stats::{Slope, ThresholdReport},
    waits::WaitRecord,
};

/// Schema version of `run.json`; raised when a field changes its meaning or is removed.
pub const SCHEMA_VERSION: u32 = 1;

/// A complete run.
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
    /// End, UTC; `None` while it is running or after it was killed.
    pub finished: Option<jiff::Timestamp>,
    /// Whether it was interrupted by Ctrl-C or recovered after a kill, and so is incomplete.
    pub interrupted: bool,
    /// Seed of launch order, request mixes and arrival schedules.
    pub seed: u64,
    /// The profile, as applied.
    pub profile: Profile,
    /// Command-line arguments.
    pub arguments: Vec<String>,
    /// Environment of the run.
    pub environment: Environment,
    /// Notices, including clamped settings and fallbacks.
    pub notices: Vec<Notice>,
    /// The servers, as resolved.
    pub servers: Vec<ServerRecord>,
    /// The cases, in order of declaration.
    pub cases: Vec<CaseRecord>,
    /// Ceiling of the load engine on this path, if measured.
    pub ceiling: Option<Ceiling>,
    /// The same with scripted users, measured if the run has scripts; the limit for their cases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script_ceiling: Option<Ceiling>,
    /// Environment of the counts of a counted run (`--count`): everything except the servers' images that affects them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<CountEnvironment>,
    /// Judged thresholds, if a case has any (also in `verdict.json`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thresholds: Option<ThresholdReport>,
    /// Comparison, if requested (also in `verdict.json`).
    #[serde(default)]
    pub comparison: Option<serde_json::Value>,
    /// Profiles and the functions that changed, if requested (`--explain`; also in `explain.json`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Box<Explanation>>,
    /// The answer of a tuning (`--tune`; also in `tune.json`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tuning: Option<Box<TuneRecord>>,
}

/// The machine and the sandbox.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// `docker` or `process`.
    pub sandbox: String,
    /// Why this sandbox was selected.
    pub sandbox_reason: String,
    /// Container engine and version.
    pub engine: Option<String>,
    /// Kernel release.
    pub kernel: String,
    /// Name of the operating system.
    pub os: String,
    /// CPU model.
    pub cpu_model: String,
    /// Number of CPUs online.
    pub cpu_count: usize,
    /// CPUs of the servers.
    pub server_cpus: Vec<usize>,
    /// CPUs of the load engine.
    pub load_cpus: Vec<usize>,
    /// CPU frequency governor.
    pub governor: Option<String>,
    /// Memory, bytes.
    pub memory_bytes: u64,
    /// cgroup version, `v1` or `v2`.
    pub cgroup: String,
    /// Network path from load engine to server: `bridge`, `published port`, `loopback`.
    pub path: String,
    /// Git commit of the project, with `-dirty` for uncommitted changes.
    pub commit: Option<String>,
    /// Further facts by name.
    pub extra: BTreeMap<String, String>,
}

/// A server of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerRecord {
    /// Resolved specification.
    pub spec: ServerSpec,
    /// Image tag or path of the virtual environment.
    pub image: String,
    /// Digest of the image.
    pub image_digest: Option<String>,
    /// Size of the image, bytes.
    pub image_bytes: Option<u64>,
    /// Package versions inside it (`gunicorn`: `27.0.1`, `python`: `3.11.2`).
    pub versions: BTreeMap<String, String>,
    /// Images of its companions, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub companions: BTreeMap<String, String>,
}

impl ServerRecord {
    /// Returns its own image and those of its companions.
    #[must_use]
    pub fn images(&self) -> Vec<&str> {
        std::iter::once(&self.image)
            .chain(self.companions.values())
            .map(String::as_str)
            .collect()
    }
}

/// A case: one server, one scenario and one parameter set.
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
    /// Whether requests come from a script; the load then determines the arrival of users.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub scripted: bool,
    /// Outcome.
    pub outcome: CaseOutcome,
    /// Launches.
    pub launches: Vec<LaunchRecord>,
    /// Validity.
    pub validity: Validity,
}

/// The outcome of a case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome", content = "reason")]
pub enum CaseOutcome {
    /// At least one round was measured.
    Measured,
    /// Not started, because the run ended earlier.
    #[default]
    Planned,
    /// The measurement failed.
    Failed(String),
    /// Its server is not available on this machine.
    NotAvailable(String),
    /// Its server does not support the load.
    Unsupported(String),
    /// Declared with `ignore`.
    Ignored(String),
}

/// Reads 0 as absent: earlier versions wrote it for figures that were not measured.
fn measured<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default + PartialEq,
{
    let value = Option::<T>::deserialize(deserializer)?;
    Ok(value.filter(|value| *value != T::default()))
}

/// One fresh start of a server, up to its teardown.
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
    /// Time from the start command to the first HTTP response, seconds. `None` for a server that was already running.
    #[serde(default, deserialize_with = "measured", skip_serializing_if = "Option::is_none")]
    pub start_up_seconds: Option<f64>,
    /// Address under load.
    pub address: String,
    /// Memory after the first response and before load, bytes. `None` if it cannot be measured, as for a server that was
    /// already running.
    #[serde(default, deserialize_with = "measured", skip_serializing_if = "Option::is_none")]
    pub memory_at_rest_bytes: Option<u64>,
    /// Rounds.
    pub rounds: Vec<RoundRecord>,
    /// Reference load before and after, requests per second. For alternating arms only the first has it.
    pub reference: Vec<f64>,
    /// Error, if it failed. Earlier rounds are kept.
    pub error: Option<String>,
    /// File with its output, relative to the run's folder.
    pub log: Option<String>,
}

/// One measured interval with the server's resource usage.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RoundRecord {
    /// 0-based number within the launch.
    pub index: u32,
    /// Figures of the load engine.
    pub load: RoundResult,
    /// Server CPU time in user mode, seconds. `None`, as in the following fields, if it was not measured.
    #[serde(default, deserialize_with = "measured", skip_serializing_if = "Option::is_none")]
    pub server_cpu_user_seconds: Option<f64>,
    /// Server CPU time in the kernel, seconds.
    #[serde(default, deserialize_with = "measured", skip_serializing_if = "Option::is_none")]
    pub server_cpu_system_seconds: Option<f64>,
    /// Total server CPU time, seconds.
    #[serde(default, deserialize_with = "measured", skip_serializing_if = "Option::is_none")]
    pub server_cpu_seconds: Option<f64>,
    /// Time throttled by a CPU quota, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttled_seconds: Option<f64>,
    /// Mean memory of the samples, bytes.
    #[serde(default, deserialize_with = "measured", skip_serializing_if = "Option::is_none")]
    pub memory_mean_bytes: Option<u64>,
    /// Highest memory sample, bytes.
    #[serde(default, deserialize_with = "measured", skip_serializing_if = "Option::is_none")]
    pub memory_peak_bytes: Option<u64>,
    /// Samples of server CPU (cores) and memory, about one per second.
    pub server_series: Vec<ServerSecond>,
    /// Memory growth, bytes per second, if the round was long enough to estimate it (about a minute).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_growth: Option<Slope>,
    /// Resource usage of its companions, excluded from the server's figures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub companions: Vec<CompanionUsage>,
    /// Metrics by id (`stats::metric`): `throughput`, `cpu_per_request`, `p50`, `p99`, ...
    pub metrics: BTreeMap<String, f64>,
    /// Validity.
    pub validity: Validity,
    /// The server's capacity, requests per second, if load rates are shares of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity_per_second: Option<f64>,
    /// Effects of a burst in the schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<BurstRecord>,
    /// State of slow clients at the end of the round.
    #[serde(default, alias = "beside", skip_serializing_if = "Vec::is_empty")]
    pub background_clients: Vec<SlowRecord>,
    /// Faults injected during the round, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<FaultRecord>,
    /// Cumulative counts every tenth of a second, if faults were injected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pulses: Vec<Sample>,
    /// Balance of the server's workers and its accept queue; absent in rounds with faults and from earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<Box<WaitRecord>>,
    /// Counts per request, if this is a counted launch (`--count`); it has no times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Box<CountRecord>>,
    /// The load pods, if the load came from a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<Box<PodsRecord>>,
}

/// The pods of a round in a cluster (`--sandbox kubernetes`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PodsRecord {
    /// Time between the first and the last pod's start, nanoseconds.
    pub start_skew_ns: u64,
    /// Largest error of the skew, nanoseconds.
    pub start_skew_bound_ns: u64,
    /// The server's node.
    pub server_node: String,
    /// Source of the server's resource usage: `cgroup` or `schedstat and PSS`; absent if it was not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage_source: Option<String>,
    /// The load pods whose parts were merged, in the order of their stripes.
    pub pods: Vec<PodRecord>,
    /// Names of pods lost in the round, which is then invalid.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<String>,
}

/// A load pod in a round.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PodRecord {
    /// Name.
    pub name: String,
    /// Its node.
    pub node: String,
    /// Reading of its clock minus the coordinator's, nanoseconds; the clocks have different origins.
    pub clock_offset_ns: i64,
    /// Largest error of the offset, nanoseconds.
    pub clock_bound_ns: u64,
    /// Successful requests of its part.
    pub done: u64,
    /// Failed requests of its part.
    pub failed: u64,
    /// CPU time of its load generator as a share of the round, 0 to 1.
    pub engine_busy_share: f64,
    /// Time for which its load generator was runnable but not running, seconds.
    pub run_queue_delay_seconds: f64,
}

/// Slow clients in the background of a load, since the start of the launch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlowRecord {
    /// Description, e.g. `40 slow readers of /download`.
    pub name: String,
    /// Currently connected.
    pub there: u64,
    /// Target number of connections.
    pub wanted: u64,
    /// Completed clients, which were replaced by others.
    pub finished: u64,
    /// Connections closed by the server before completion.
    pub sent_away: u64,
    /// Failed connection attempts.
    pub not_let_in: u64,
}

/// Recovery of the 99th percentile from a burst in an open schedule, to the second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BurstRecord {
    /// Start, seconds from the start of the round.
    pub from_seconds: f64,
    /// End, seconds from the start of the round.
    pub until_seconds: f64,
    /// Median of the 99th percentiles of the seconds before it, ns.
    pub usual_p99_ns: u64,
    /// Highest 99th percentile of a second from its start on, ns.
    pub worst_p99_ns: u64,
    /// Requests that failed or timed out from its start on.
    pub errors: u64,
    /// Seconds from its end until two consecutive seconds have no errors and a 99th percentile of at most twice the usual
    /// one or 5 ms above it. `None` if that did not happen during observation.
    pub recovered_after_seconds: Option<f64>,
    /// Observation time after its end, seconds.
    pub watched_seconds: f64,
}

/// A fault injected into a server under load, with its effects.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FaultRecord {
    /// Action, e.g. `worker killed`.
    pub action: String,
    /// Time of injection, seconds from the start of the round.
    pub at_seconds: f64,
    /// Duration of the injection, seconds.
    pub took_seconds: f64,
    /// Details in one line; starts with `not done` if injection failed.
    pub told: String,
    /// Responses to harmful requests (a status, `no answer`, `refused`...) and their counts.
    pub answers: BTreeMap<String, u64>,
    /// Processes killed by the memory limit in the meantime.
    pub memory_kills: u64,
    /// Whether the server had exited by the end of the round without being restarted.
    pub server_ended: bool,
    /// Effects on the load.
    pub recovery: Recovery,
}

/// Effects of a fault on the load, up to the next fault or the end of the round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Recovery {
    /// Median rate before the fault, requests per second.
    pub usual_per_second: f64,
    /// Lowest rate in a tenth of a second after the fault, requests per second.
    pub lowest_per_second: f64,
    /// Requests that failed or timed out.
    pub requests_lost: u64,
    /// Requests retried on a new connection because the server had closed the old one before they arrived.
    #[serde(default)]
    pub requests_sent_again: u64,
    /// Seconds from the fault to the start of a second without errors in which every tenth reaches at least half of the
    /// usual rate, once the fault is over; 0 for immediate recovery. `None` if that did not happen during observation.
    pub recovered_after_seconds: Option<f64>,
    /// Observation time, seconds.
    pub watched_seconds: f64,
}

/// Cumulative counts of a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Seconds from the start of the round.
    pub at: f64,
    /// Responses.
    pub done: u64,
    /// Failed or timed out.
    pub errors: u64,
    /// Retried requests.
    #[serde(default)]
    pub retried: u64,
}

/// Resource usage of a companion in a round.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CompanionUsage {
    /// Its host name on the network.
    pub name: String,
    /// CPU time, seconds.
    pub cpu_seconds: f64,
    /// Memory at the end of the round without the page cache, bytes.
    pub memory_bytes: u64,
}

/// Resource usage of the server in one second of a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerSecond {
    /// Seconds from the start of the round.
    pub at: f64,
    /// CPU cores in use.
    pub cpu_cores: f64,
    /// Memory, bytes.
    pub memory_bytes: u64,
}

/// Result of the load engine against the null server on the same path.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ceiling {
    /// Requests per second.
    pub requests_per_second: f64,
    /// Engine CPU time per request, microseconds.
    pub engine_cpu_us_per_request: f64,
}

/// Ceilings of both kinds of load.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ceilings {
    /// Declared loads.
    pub declared: Option<Ceiling>,
    /// Scripted users.
    pub scripted: Option<Ceiling>,
}

impl Ceilings {
    /// Returns the ceiling that applies to a case.
    #[must_use]
    pub fn of(self, scripted: bool) -> Option<Ceiling> {
        if scripted { self.scripted } else { self.declared }
    }
}

impl RunRecord {
    /// Ceilings of the load engine by kind of load.
    #[must_use]
    pub fn ceilings(&self) -> Ceilings {
        Ceilings {
            declared: self.ceiling,
            scripted: self.script_ceiling,
        }
    }

    /// Returns the versions of the packages in each server's image.
    #[must_use]
    pub fn packages(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        let servers = self.servers.iter();
        servers
            .map(|server| (server.spec.name.clone(), server.versions.clone()))
            .collect()
    }
}

impl CaseRecord {
    /// Returns the hash of what the counts of the case depend on besides environment and image; `None` if it was not counted.
    #[must_use]
    pub fn definition(&self) -> Option<&str> {
        let rounds = self.candidate().flat_map(|launch| &launch.rounds);
        let mut counted = rounds.filter_map(|round| round.counts.as_deref());
        counted.next().map(|counts| counts.definition.as_str())
    }
}

/// Validity of a measurement.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Validity {
    /// The worst level of the findings.
    pub level: ValidityLevel,
    /// Failed checks, with figure and threshold.
    pub findings: Vec<Finding>,
}

/// Validity levels, from good to bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValidityLevel {
    /// All checks passed.
    #[default]
    Valid,
    /// Usable with caution; see the findings.
    Suspect,
    /// Unusable; excluded from rankings and gates.
    Invalid,
}

/// A failed validity check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Check id: `achieved_rate`, `client_lag`, `engine_busy`, `ports`, ...
    pub check: String,
    /// Level.
    pub level: ValidityLevel,
    /// Observed value, in the unit of the check.
    pub value: f64,
    /// Threshold.
    pub threshold: f64,
    /// A sentence with the remedy.
    pub text: String,
}

impl Validity {
    /// Adds a finding and raises the level if needed.
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
