//! `conformance.json`: conformance results of servers.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

use super::{
    StoreError,
    versioned::{self, Versioned},
    write_json,
};
use crate::conformance::{self, Feature, Finding, RuleOutcome};

/// Schema version of `conformance.json`.
pub const CONFORMANCE_VERSION: u32 = 1;

/// The results of one conformance run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct ConformanceRecord {
    /// [`CONFORMANCE_VERSION`] of the writer.
    pub schema_version: u32,
    /// Version of the harness.
    pub harness_version: String,
    /// Start, UTC, RFC 3339.
    pub started: String,
    /// `docker` or `process`.
    pub sandbox: String,
    /// Whether Ctrl-C interrupted it, so that it is incomplete.
    pub interrupted: bool,
    /// The rules, in table order.
    pub rules: Vec<RuleRecord>,
    /// The servers, in order of declaration.
    pub servers: Vec<ServerConformance>,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct RuleRecord {
    /// Stable short id, e.g. `chunked-body`.
    pub id: String,
    /// The requirement.
    pub title: String,
    /// The section of the specification.
    pub source: String,
    /// Feature required by loads that are not timed if the rule fails or is refused.
    #[serde(alias = "bars")]
    pub required_for: Option<Feature>,
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct ServerConformance {
    /// Name.
    pub name: String,
    /// Whether it runs untuned.
    pub untuned: bool,
    /// Command line.
    pub command: Vec<String>,
    /// Package versions inside its image.
    pub versions: BTreeMap<String, String>,
    /// Why findings are missing: the server is unavailable, did not start or exited.
    #[serde(alias = "trouble")]
    pub unexamined: Option<String>,
    /// One finding per rule, in the order of the rules.
    pub findings: Vec<Finding>,
}

impl Versioned for ConformanceRecord {
    const KNOWN: u32 = CONFORMANCE_VERSION;
    const WHAT: &'static str = "an examination";
    const REMEDY: &'static str = "; delete it, or rerun `cargo bench -- --conformance`";
}

impl ConformanceRecord {
    /// Creates results without servers.
    #[must_use]
    pub fn new(sandbox: &str) -> Self {
        Self {
            schema_version: CONFORMANCE_VERSION,
            harness_version: env!("CARGO_PKG_VERSION").to_owned(),
            started: jiff::Timestamp::now().to_string(),
            sandbox: sandbox.to_owned(),
            interrupted: false,
            rules: conformance::rules()
                .into_iter()
                .map(|rule| RuleRecord {
                    id: rule.id.to_owned(),
                    title: rule.title.to_owned(),
                    source: rule.source.to_owned(),
                    required_for: rule.required_for,
                })
                .collect(),
            servers: Vec::new(),
        }
    }

    /// Reads the results; `None` without an earlier conformance run.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged or of a later version.
    pub fn read(path: &Path) -> Result<Option<Self>, StoreError> {
        match versioned::read(path) {
            Ok(record) => Ok(Some(record)),
            Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the results atomically.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), StoreError> {
        write_json(path, self)
    }
}

impl ServerConformance {
    /// Returns the finding for a rule.
    #[must_use]
    pub fn finding(&self, rule: &str) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.rule == rule)
    }

    /// Returns the features that this server does not support, with the findings.
    #[must_use]
    pub fn barred<'a>(&'a self, rules: &[RuleRecord]) -> Vec<(Feature, &'a Finding)> {
        rules
            .iter()
            .filter_map(|rule| Some((rule.required_for?, self.finding(&rule.id)?)))
            .filter(|(_, finding)| finding.verdict.lacks_feature())
            .collect()
    }

    /// Counts the findings with this verdict.
    #[must_use]
    pub fn count(&self, verdict: RuleOutcome) -> usize {
        self.findings
            .iter()
            .filter(|finding| finding.verdict == verdict)
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "schemas")]
    #[test]
    fn the_form_of_the_file() {
        insta::assert_json_snapshot!(schemars::schema_for!(ConformanceRecord));
    }

    #[test]
    fn the_rules_of_the_file() {
        let rules: Vec<String> = ConformanceRecord::new("docker")
            .rules
            .iter()
            .map(|rule| format!("{}: {} ({})", rule.id, rule.title, rule.source))
            .collect();
        insta::assert_json_snapshot!(rules);
        let mut ids: Vec<_> = conformance::rules().iter().map(|rule| rule.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), rules.len(), "a duplicate id");
    }

    #[test]
    fn results_round_trip() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("below/conformance.json");
        let mut record = ConformanceRecord::new("process");
        record.servers.push(ServerConformance {
            name: "one".into(),
            untuned: false,
            command: vec!["serve".into()],
            versions: BTreeMap::new(),
            unexamined: None,
            findings: vec![Finding {
                rule: "head".into(),
                verdict: RuleOutcome::Fail,
                why: "sends 2 bytes of body".into(),
            }],
        });
        record.write(&path).unwrap();
        let read = ConformanceRecord::read(&path).unwrap().unwrap();
        assert_eq!(read, record);
        assert_eq!(read.servers[0].count(RuleOutcome::Fail), 1);
        let barred = read.servers[0].barred(&read.rules);
        assert_eq!(barred, [(Feature::Head, &read.servers[0].findings[0])]);
    }

    #[test]
    fn results_of_other_versions_are_read_as_far_as_possible() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("conformance.json");
        assert_eq!(ConformanceRecord::read(&path).unwrap(), None);
        let write = |change: fn(&mut serde_json::Value)| {
            let mut json = serde_json::to_value(ConformanceRecord::new("docker")).unwrap();
            json["servers"] = serde_json::json!([{
                "name": "one", "untuned": false, "command": [], "versions": {}, "unexamined": null,
                "findings": [{"rule": "head", "verdict": "flaky", "why": "now so, now so"}],
            }]);
            change(&mut json);
            std::fs::write(&path, json.to_string()).unwrap();
            ConformanceRecord::read(&path)
        };
        let read = write(|json| json["rules"][0]["required_for"] = "trailers".into())
            .unwrap()
            .unwrap();
        assert_eq!(read.servers[0].findings[0].verdict, RuleOutcome::Unknown);
        assert_eq!(read.rules[0].required_for, Some(Feature::Unknown));
        let newer = write(|json| json["schema_version"] = 4_000.into()).unwrap_err();
        assert!(
            newer.to_string().contains("schema 4000, this one reads up to 1"),
            "{newer}"
        );
        let damaged = write(|json| json["servers"] = "many".into()).unwrap_err().to_string();
        assert!(
            damaged.contains("--conformance"),
            "the error names the remedy: {damaged}"
        );
    }
}
