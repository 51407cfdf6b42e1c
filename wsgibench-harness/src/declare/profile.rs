//! A profile: which cases, and how much effort.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Limits;
use crate::stats::Metric;

/// A run profile, as a Rust value or a TOML file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Profile {
    /// Name for `--profile`.
    pub name: String,
    /// One line for `--help` and the report.
    pub description: String,
    /// Regular expressions on the case id; a case that matches any is chosen. Empty: all.
    pub cases: Vec<String>,
    /// Launches a case (1 or more).
    pub launches: u32,
    /// Rounds a launch (1 or more).
    pub rounds: u32,
    /// Load before the first round that is not recorded.
    #[serde(with = "crate::declare::profile::human")]
    pub warm_up_time: Duration,
    /// Length of a round, unless the load fixes its own.
    #[serde(with = "crate::declare::profile::human")]
    pub measurement_time: Duration,
    /// Length of the intervals in which reports tell what happened within a round, at least a second; `None`: a chart second
    /// by second, and no table. It changes what is shown, not what is measured.
    #[serde(with = "crate::declare::profile::human_option")]
    pub statistics_interval: Option<Duration>,
    /// Limits for every server of the run; `None`: each server's own.
    pub limits: Option<Limits>,
    /// Metrics that a gate shows and never fails on, such as the latencies of a load that is not limited by the server.
    pub ungated: Vec<Metric>,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            name: "default".into(),
            description: "6 launches of 1 s warm-up and 2 rounds of 2.5 s".into(),
            cases: Vec::new(),
            launches: 6,
            rounds: 2,
            warm_up_time: Duration::from_secs(1),
            measurement_time: Duration::from_millis(2_500),
            statistics_interval: None,
            limits: None,
            ungated: Vec::new(),
        }
    }
}

impl Profile {
    /// The short look: 2 launches of 0.5 s warm-up and one round of 1.5 s.
    #[must_use]
    pub fn quick() -> Self {
        Self {
            name: "quick".into(),
            description: "2 launches of 0.5 s warm-up and one round of 1.5 s: a look, no evidence".into(),
            launches: 2,
            rounds: 1,
            warm_up_time: Duration::from_millis(500),
            measurement_time: Duration::from_millis(1_500),
            ..Self::default()
        }
    }
}

/// Durations as people write them: `2.5s` is `2s 500ms`.
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

/// The same where there may be none.
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
