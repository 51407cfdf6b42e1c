//! Profiles: a selection of cases, and the number and length of measurements.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Limits;
use crate::stats::Metric;

/// A run profile, as a Rust value or a TOML file.
///
/// Fields may be added: end a literal with `..Profile::default()`.
///
/// ```
/// use wsgibench_harness::prelude::*;
///
/// fn nightly() -> Profile {
///     Profile {
///         name: "nightly".into(),
///         cases: vec!["^list/".into()],
///         launches: 20,
///         ..Profile::default()
///     }
/// }
///
/// profile!(nightly);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Profile {
    /// Name for `--profile`.
    pub name: String,
    /// One line for `--help` and the report.
    pub description: String,
    /// Regular expressions on the case id; a case that matches any of them is selected. Empty: all cases.
    pub cases: Vec<String>,
    /// Launches per case, 1 or more.
    pub launches: u32,
    /// Rounds per launch, 1 or more.
    pub rounds: u32,
    /// Duration of the load before the first round, which is not recorded.
    #[serde(with = "crate::declare::profile::human")]
    pub warm_up_time: Duration,
    /// Length of a round, unless the load sets its own; above 0.
    #[serde(with = "crate::declare::profile::human")]
    pub measurement_time: Duration,
    /// Length of the intervals that reports tabulate within a round, 1 s or more; `None`: a chart by seconds and no table. It
    /// changes the output, not the measurement.
    #[serde(with = "crate::declare::profile::human_option")]
    pub statistics_interval: Option<Duration>,
    /// Limits of all servers of the run; `None`: each server's own.
    pub limits: Option<Limits>,
    /// Metrics that a gate shows and never fails on, such as the latencies of a load that is not limited by the server.
    pub ungated: Vec<Metric>,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            name: "default".into(),
            description: "6 launches of 1 s warm-up and 2 rounds of 1.5 s".into(),
            cases: Vec::new(),
            launches: 6,
            rounds: 2,
            warm_up_time: Duration::from_secs(1),
            measurement_time: Duration::from_millis(1_500),
            statistics_interval: None,
            limits: None,
            ungated: Vec::new(),
        }
    }
}

impl Profile {
    /// Returns the short profile: 2 launches of 0.5 s warm-up and one round of 1.5 s.
    #[must_use]
    pub fn quick() -> Self {
        Self {
            name: "quick".into(),
            description: "2 launches of 0.5 s warm-up and one round of 1.5 s: a quick look, not evidence".into(),
            launches: 2,
            rounds: 1,
            warm_up_time: Duration::from_millis(500),
            measurement_time: Duration::from_millis(1_500),
            ..Self::default()
        }
    }
}

/// Durations in the format of `humantime`, e.g. `2s 500ms`.
pub(crate) mod human {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(*value))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_duration(&text).map_err(serde::de::Error::custom)
    }
}

/// As [`human`], for optional durations.
pub(crate) mod human_option {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "serde hands the field by reference")]
    pub(crate) fn serialize<S: Serializer>(value: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => super::human::serialize(value, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| humantime::parse_duration(&text).map_err(serde::de::Error::custom))
            .transpose()
    }
}
