//! Values of command-line options: their types and parsers.

use std::time::Duration;

use clap::ValueEnum;

use crate::sandbox::cpus::parse_list;

/// `--count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Count {
    /// Count and measure no time
    Alone,
    /// Gate on counts, then on time
    First,
}

/// `--explain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Explain {
    /// After every measurement
    On,
    /// Where a gate fails
    OnRegression,
}

/// `--goal`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GoalArg {
    /// Most requests per second, in a closed loop
    Throughput,
    /// Highest rate of an arrival schedule within the thresholds of latency and errors
    Capacity,
    /// Least CPU time per request, then least memory, at the rate of an arrival schedule
    Cost,
    /// Lowest 99th percentile of latency at the rate of an arrival schedule
    P99,
}

/// `--list --format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    /// A table
    Pretty,
    /// One line `id: benchmark` for each case, for test runners
    Terse,
}

/// `--sandbox`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SandboxArg {
    /// Containers if an engine and a base image are available, else local processes
    Auto,
    /// Containers
    Docker,
    /// Local processes
    Process,
    /// Pods of a Kubernetes cluster, servers and load; needs the feature `kubernetes` of wsgibench-harness
    Kubernetes,
}

/// `--output-format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// Criterion-like text
    Pretty,
    /// Lines `test NAME ... bench: N ns/iter (+/- N)`
    Bencher,
    /// The whole run as JSON
    Json,
}

/// `--color`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorArg {
    /// On a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// A set of CPUs, sorted, without duplicates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuSet(pub Vec<usize>);

pub(super) fn time(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds)
            .map_err(|_| format!("`{text}` is not a duration: use seconds, 0 or more"));
    }
    humantime::parse_duration(text)
        .map_err(|_| format!("`{text}` is not a duration: use seconds (2.5) or a unit (500ms, 2s, 1min)"))
}

pub(super) fn positive_time(text: &str) -> Result<Duration, String> {
    match time(text)? {
        Duration::ZERO => Err("must be longer than 0: use seconds (2.5) or a unit (500ms)".to_owned()),
        time => Ok(time),
    }
}

pub(super) fn variable(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| format!("`{text}` is not of the form NAME=VALUE, e.g. `WORKERS=4`"))
}

pub(super) fn cpu_set(text: &str) -> Result<CpuSet, String> {
    parse_list(text).map(CpuSet).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_sets() {
        assert_eq!(cpu_set("0").unwrap().0, [0]);
        assert_eq!(cpu_set("2,0-1,1").unwrap().0, [0, 1, 2]);
        assert!(cpu_set("a").is_err());
    }

    #[test]
    fn times() {
        assert_eq!(time("2.5").unwrap(), Duration::from_millis(2_500));
        assert_eq!(time("500ms").unwrap(), Duration::from_millis(500));
        assert!(time("-1").is_err());
        assert!(time("soon").is_err());
        assert!(positive_time("0").is_err());
    }

    #[test]
    fn candidate_variables_are_split_at_the_first_equals_sign() {
        assert_eq!(variable("A=b=c").unwrap(), ("A".to_owned(), "b=c".to_owned()));
        assert_eq!(variable("A=").unwrap(), ("A".to_owned(), String::new()));
        assert!(variable("A").unwrap_err().contains("NAME=VALUE"));
        assert!(variable("=b").is_err());
    }
}
