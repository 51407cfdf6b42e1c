//! Counts of a server's work per request: user-space instructions, system calls, bytes, database statements.
//!
//! A count hardly depends on what else runs on the machine, so a change of half a percent shows after a few launches. This
//! module has the pure parts: [`callgrind`] and [`syscalls`] parse valgrind's output, [`window`] turns two windows of
//! requests into figures per request, [`decision`] judges two arms, [`attribution`] compares them function by function, and
//! [`mod@file`] reads and writes `counts.toml`. None of them knows how a server is launched.

pub mod attribution;
pub mod callgrind;
pub mod decision;
pub mod file;
pub mod syscalls;
pub mod window;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use attribution::{FunctionChange, FunctionCost};
pub use decision::{CountSeries, decide};
pub use window::{ProcessWindows, Window, per_request};

/// Counts of one launch, per request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CountRecord {
    /// Requests in the two windows. Figures are slopes between them, so start-up, warm-up and the cost of opening the
    /// connection cancel.
    pub requests: [u64; 2],
    /// User-space instructions per request, all processes of the server.
    pub instructions: f64,
    /// System calls per request, including clock reads: valgrind hides the vDSO that serves them without a call.
    pub system_calls: f64,
    /// Bytes sent to the server per request.
    pub bytes_sent: f64,
    /// Bytes received from the server per request.
    pub bytes_received: f64,
    /// Database statements per request, if the server has a companion that counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statements: Option<f64>,
    /// Instructions per second that no request causes (heartbeats, timers); they are not part of the count.
    #[serde(alias = "idle_instructions_per_second")]
    pub background_instructions_per_second: f64,
    /// Processes of the server that executed instructions.
    pub processes: usize,
    /// System calls per request that depend on timing: clock reads and waits for threads. [`system_calls`](Self::system_calls)
    /// includes them, the metric `syscalls_per_request` does not.
    #[serde(default)]
    pub timing_dependent_calls: f64,
    /// System calls per request by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub system_calls_by_name: BTreeMap<String, f64>,
    /// Functions with the most instructions of their own, per request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<FunctionCost>,
    /// Hash of what the counts depend on besides the server's image: the load, the limits, the client.
    #[serde(default)]
    pub definition: String,
    /// Notes on this launch, such as bodies too large for the count to be portable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// The tool that counted, and what its counts depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct CountEnvironment {
    /// Architecture, e.g. `x86_64`.
    pub architecture: String,
    /// Version of valgrind, e.g. `3.19.0`.
    pub valgrind: String,
    /// Instruction set extensions that valgrind passes on to the server, by which libraries choose their code.
    pub cpu_features: String,
    /// CPUs that a server sees.
    pub cpus: usize,
    /// Kernel version, major and minor, e.g. `6.1`.
    pub kernel: String,
    /// Version of the client that sends the requests.
    pub client: String,
    /// Sandbox: the start-up of servers differs between them.
    pub sandbox: String,
}

impl CountEnvironment {
    /// Returns one line for each difference, `name: theirs, here ours`.
    #[must_use]
    pub fn differences(&self, ours: &Self) -> Vec<String> {
        let cpus = [self.cpus.to_string(), ours.cpus.to_string()];
        let pairs = [
            ("architecture", &self.architecture, &ours.architecture),
            ("valgrind", &self.valgrind, &ours.valgrind),
            ("cpu_features", &self.cpu_features, &ours.cpu_features),
            ("cpus", &cpus[0], &cpus[1]),
            ("kernel", &self.kernel, &ours.kernel),
            ("client", &self.client, &ours.client),
            ("sandbox", &self.sandbox, &ours.sandbox),
        ];
        let differing = pairs.into_iter().filter(|(_, theirs, ours)| theirs != ours);
        differing
            .map(|(name, theirs, ours)| format!("{name}: {theirs}, here {ours}"))
            .collect()
    }
}

/// Instruction set extensions that valgrind's translation depends on, of those in a `flags` line of `/proc/cpuinfo`.
#[must_use]
pub fn cpu_features(flags: &str) -> String {
    const KNOWN: [&str; 12] = [
        "pni", "ssse3", "cx16", "abm", "avx", "rdtscp", "bmi1", "avx2", "rdrand", "f16c", "rdseed", "fma",
    ];
    let present = |feature: &&str| flags.split_ascii_whitespace().any(|flag| flag == *feature);
    KNOWN.into_iter().filter(present).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environments_differ_by_name() {
        let here = CountEnvironment {
            kernel: "6.1".into(),
            cpus: 1,
            ..CountEnvironment::default()
        };
        let there = CountEnvironment {
            kernel: "5.10".into(),
            ..here.clone()
        };
        assert_eq!(here.differences(&here), [] as [String; 0]);
        assert_eq!(there.differences(&here), ["kernel: 5.10, here 6.1"]);
    }

    #[test]
    fn only_extensions_that_valgrind_passes_on_count() {
        assert_eq!(cpu_features("fpu avx512f avx2 pni avx"), "pni avx avx2");
    }
}
