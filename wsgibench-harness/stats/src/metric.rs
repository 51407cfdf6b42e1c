//! Metrics: unit, direction, and the smallest change that matters.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A metric of a launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Metric {
    /// Successful requests per second.
    Throughput,
    /// CPU time of the server's whole sandbox per successful request, microseconds.
    #[serde(alias = "cpu")]
    CpuPerRequest,
    /// Median latency, microseconds.
    P50,
    /// 99th percentile of latency, microseconds.
    P99,
    /// Peak memory of the server's sandbox, bytes.
    #[serde(alias = "memory")]
    PeakMemory,
    /// Failed and timed-out requests as a share of completed ones (0 to 1).
    #[serde(alias = "errors")]
    ErrorShare,
    /// Time from the start to readiness, seconds.
    StartUpTime,
    /// User-space instructions per request, counted.
    InstructionsPerRequest,
    /// System calls per request, counted.
    SyscallsPerRequest,
    /// Database statements per request, counted.
    StatementsPerRequest,
}

/// The direction of improvement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Higher values are better.
    HigherIsBetter,
    /// Lower values are better.
    LowerIsBetter,
}

impl Direction {
    /// Returns +1 if a rise is worse, -1 if a fall is worse.
    #[must_use]
    pub fn worse(self) -> f64 {
        match self {
            Self::HigherIsBetter => -1.0,
            Self::LowerIsBetter => 1.0,
        }
    }
}

/// The unit of a metric's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Requests per second.
    RequestsPerSecond,
    /// Microseconds.
    Microseconds,
    /// Bytes.
    Bytes,
    /// A share, 0 to 1.
    Share,
    /// Seconds.
    Seconds,
    /// A count.
    Count,
}

impl Unit {
    /// Returns the symbol; empty for a share.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::RequestsPerSecond => "req/s",
            Self::Microseconds => "us",
            Self::Bytes => "B",
            Self::Share | Self::Count => "",
            Self::Seconds => "s",
        }
    }
}

/// The smallest change that matters.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Margin {
    /// As a share of the base: 0.02 is 2 %.
    Relative(f64),
    /// In the metric's own unit: 0.001 of an error share is 0.1 percentage points.
    Absolute(f64),
}

impl Margin {
    /// Returns the number of either kind.
    #[must_use]
    pub fn value(self) -> f64 {
        match self {
            Self::Relative(value) | Self::Absolute(value) => value,
        }
    }
}

impl fmt::Display for Margin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relative(value) => write!(f, "{} %", trimmed(value * 100.0)),
            Self::Absolute(value) => write!(f, "{} percentage points", trimmed(value * 100.0)),
        }
    }
}

/// Formats a number without the digits that binary fractions add.
fn trimmed(value: f64) -> String {
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl Metric {
    /// The metrics of a timed run, in display order.
    pub const ALL: [Self; 7] = [
        Self::Throughput,
        Self::CpuPerRequest,
        Self::P50,
        Self::P99,
        Self::PeakMemory,
        Self::ErrorShare,
        Self::StartUpTime,
    ];

    /// The metrics of a counted run (`--count`), in display order.
    pub const COUNTS: [Self; 3] = [
        Self::InstructionsPerRequest,
        Self::SyscallsPerRequest,
        Self::StatementsPerRequest,
    ];

    /// Returns whether it is counted (`--count`) and not timed.
    #[must_use]
    pub fn is_count(self) -> bool {
        Self::COUNTS.contains(&self)
    }

    /// Returns all metrics, timed and counted.
    pub fn every() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().chain(Self::COUNTS)
    }

    /// Returns the name on the command line and in files.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
            Self::CpuPerRequest => "cpu_per_request",
            Self::P50 => "p50",
            Self::P99 => "p99",
            Self::PeakMemory => "peak_memory",
            Self::ErrorShare => "error_share",
            Self::StartUpTime => "start_up_time",
            Self::InstructionsPerRequest => "instructions_per_request",
            Self::SyscallsPerRequest => "syscalls_per_request",
            Self::StatementsPerRequest => "statements_per_request",
        }
    }

    /// Returns the short name that the command line also reads.
    #[must_use]
    pub fn alias(self) -> Option<&'static str> {
        match self {
            Self::CpuPerRequest => Some("cpu"),
            Self::PeakMemory => Some("memory"),
            Self::ErrorShare => Some("errors"),
            _ => None,
        }
    }

    /// Returns the display name.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
            Self::CpuPerRequest => "server CPU per request",
            Self::P50 => "median latency",
            Self::P99 => "99th percentile of latency",
            Self::PeakMemory => "peak memory",
            Self::ErrorShare => "error share",
            Self::StartUpTime => "start-up time",
            Self::InstructionsPerRequest => "instructions per request",
            Self::SyscallsPerRequest => "system calls per request",
            Self::StatementsPerRequest => "statements per request",
        }
    }

    /// Returns the unit of its values.
    #[must_use]
    pub fn unit(self) -> Unit {
        match self {
            Self::Throughput => Unit::RequestsPerSecond,
            Self::CpuPerRequest | Self::P50 | Self::P99 => Unit::Microseconds,
            Self::PeakMemory => Unit::Bytes,
            Self::ErrorShare => Unit::Share,
            Self::StartUpTime => Unit::Seconds,
            Self::InstructionsPerRequest | Self::SyscallsPerRequest | Self::StatementsPerRequest => Unit::Count,
        }
    }

    /// The direction of improvement.
    #[must_use]
    pub fn direction(self) -> Direction {
        match self {
            Self::Throughput => Direction::HigherIsBetter,
            _ => Direction::LowerIsBetter,
        }
    }

    /// Returns the default of the smallest change that matters.
    #[must_use]
    pub fn default_margin(self) -> Margin {
        match self {
            Self::CpuPerRequest => Margin::Relative(0.02),
            Self::Throughput | Self::PeakMemory => Margin::Relative(0.05),
            Self::StartUpTime => Margin::Relative(0.10),
            Self::P50 | Self::P99 => Margin::Relative(0.15),
            Self::ErrorShare => Margin::Absolute(0.001),
            Self::InstructionsPerRequest => Margin::Relative(0.005),
            Self::SyscallsPerRequest => Margin::Relative(0.01),
            // Any rise: one statement more in a thousand requests that ask one each.
            Self::StatementsPerRequest => Margin::Relative(0.001),
        }
    }

    /// Returns the metrics that a gate judges by default: all except the start-up time. CPU time alone would miss an additional
    /// wait, such as a sleep, a lock or a query.
    #[must_use]
    pub fn gated() -> Vec<Self> {
        let is_gated = |metric: &Self| *metric != Self::StartUpTime;
        Self::ALL.into_iter().filter(is_gated).collect()
    }

    /// Returns the weight in the gate's error rate, relative to the other gated metrics. CPU time per request is the steadiest
    /// metric and has the smallest margin: its weight equals that of the five others of the default gate together.
    #[must_use]
    pub fn gate_weight(self) -> f64 {
        match self {
            Self::CpuPerRequest => 5.0,
            _ => 1.0,
        }
    }

    /// Converts a number of the command line to a margin: percent of the base, or percentage points of an error share.
    ///
    /// # Errors
    ///
    /// Returns an error if the number is not between 0 and 100 (exclusive).
    pub fn margin_from_percent(self, percent: f64) -> Result<Margin, MetricError> {
        // This form also rejects NaN.
        if !(percent > 0.0 && percent < 100.0) {
            return Err(MetricError::Margin {
                metric: self,
                given: percent.to_string(),
            });
        }
        Ok(match self.default_margin() {
            Margin::Relative(_) => Margin::Relative(percent / 100.0),
            Margin::Absolute(_) => Margin::Absolute(percent / 100.0),
        })
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.id())
    }
}

/// A margin in the form of the command line: `METRIC=PERCENT`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MarginOverride {
    /// The metric.
    pub metric: Metric,
    /// The margin.
    pub margin: Margin,
}

impl FromStr for MarginOverride {
    type Err = MetricError;

    fn from_str(text: &str) -> Result<Self, MetricError> {
        let (name, percent) = text.split_once('=').ok_or_else(|| MetricError::Form(text.to_owned()))?;
        let metric: Metric = name.trim().parse()?;
        let number = percent.trim().trim_end_matches('%').trim();
        let number = number.parse().map_err(|_| MetricError::Margin {
            metric,
            given: percent.trim().to_owned(),
        })?;
        Ok(Self {
            metric,
            margin: metric.margin_from_percent(number)?,
        })
    }
}

/// An invalid metric or margin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetricError {
    /// No metric has this name.
    #[error("there is no metric `{given}`{}; choose from {}", suggestion(.given), all_ids())]
    Unknown {
        /// The text as given.
        given: String,
    },
    /// The number is not a valid margin.
    #[error("`{given}` is not a margin for {metric}: give a number above 0 and below 100, as in `{metric}=2.5` for 2.5 {}", percent_word(*.metric))]
    Margin {
        /// The metric.
        metric: Metric,
        /// The text as given.
        given: String,
    },
    /// The text is not of the form `METRIC=PERCENT`.
    #[error("`{0}` is not a margin: write METRIC=PERCENT, as in `cpu_per_request=2.5`")]
    Form(String),
}

fn percent_word(metric: Metric) -> &'static str {
    match metric.default_margin() {
        Margin::Relative(_) => "%",
        Margin::Absolute(_) => "percentage points",
    }
}

fn all_ids() -> String {
    let name = |metric: Metric| match metric.alias() {
        Some(alias) => format!("{metric} ({alias})"),
        None => metric.to_string(),
    };
    Metric::every().map(name).collect::<Vec<_>>().join(", ")
}

fn suggestion(given: &str) -> String {
    let given = given.to_lowercase().replace(['-', ' '], "_");
    let similarity = |metric: &Metric| strsim::jaro_winkler(&given, metric.id());
    Metric::every()
        .max_by(|a, b| similarity(a).total_cmp(&similarity(b)))
        .filter(|metric| similarity(metric) > 0.75)
        .map_or_else(String::new, |metric| format!(" (did you mean `{metric}`?)"))
}

impl FromStr for Metric {
    type Err = MetricError;

    /// Parses `cpu_per_request`, `cpu-per-request` and the alias `cpu`.
    fn from_str(text: &str) -> Result<Self, MetricError> {
        let id = text.trim().to_lowercase().replace('-', "_");
        Self::every()
            .find(|metric| metric.id() == id || metric.alias() == Some(&id))
            .ok_or_else(|| MetricError::Unknown {
                given: text.trim().to_owned(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_parses_in_both_spellings_and_from_json() {
        for metric in Metric::every() {
            assert_eq!(metric.id().parse(), Ok(metric));
            if let Some(alias) = metric.alias() {
                assert_eq!(alias.to_uppercase().parse(), Ok(metric));
                let read: Metric = serde_json::from_value(alias.into()).expect("an alias is read from files");
                assert_eq!(read, metric);
            }
            assert_eq!(metric.id().replace('_', "-").to_uppercase().parse(), Ok(metric));
            let json = serde_json::to_string(&metric).expect("a metric is plain data");
            assert_eq!(json, format!("\"{}\"", metric.id()));
        }
    }

    #[test]
    fn an_unknown_name_is_an_error_with_a_suggestion_and_the_list() {
        let error = "cpu_per_req".parse::<Metric>().expect_err("no such metric").to_string();
        assert!(error.contains("did you mean `cpu_per_request`?"), "{error}");
        assert!(error.contains("start_up_time"), "{error}");
        let error = "zzz".parse::<Metric>().expect_err("no such metric").to_string();
        assert!(!error.contains("did you mean"), "{error}");
    }

    #[test]
    fn margins_parse_as_percent_or_percentage_points() {
        let read = |text: &str| {
            text.parse::<MarginOverride>()
                .map(|read| (read.metric, read.margin.to_string()))
        };
        assert_eq!(read("p99=10"), Ok((Metric::P99, "10 %".to_owned())));
        assert_eq!(
            read("cpu-per-request = 2.5 %"),
            Ok((Metric::CpuPerRequest, "2.5 %".to_owned()))
        );
        assert_eq!(
            read("error_share=0.1"),
            Ok((Metric::ErrorShare, "0.1 percentage points".to_owned()))
        );
    }

    #[test]
    fn invalid_margins_are_errors_with_a_remedy() {
        for text in [
            "p99", "p99=", "p99=x", "p99=0", "p99=-3", "p99=100", "p99=NaN", "p99=inf",
        ] {
            let error = text.parse::<MarginOverride>().expect_err(text).to_string();
            assert!(error.contains("as in"), "{text}: {error}");
        }
    }

    #[test]
    fn the_default_gate_covers_every_kind_of_slowdown() {
        let advisory: Vec<_> = Metric::ALL
            .into_iter()
            .filter(|metric| !Metric::gated().contains(metric))
            .collect();
        assert_eq!(advisory, [Metric::StartUpTime]);
        let whole: f64 = Metric::gated().iter().map(|metric| metric.gate_weight()).sum();
        assert!((Metric::CpuPerRequest.gate_weight() / whole - 0.5).abs() < 1e-12);
    }
}
