//! `conformance.json`: which server keeps which rule.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

use super::{
    StoreError,
    versioned::{self, Versioned},
    write_json,
};
use crate::conformance::{self, Feature, Finding, RuleOutcome};

/// Version of the form of `conformance.json`.
pub const CONFORMANCE_VERSION: u32 = 1;

/// One examination of some servers.
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
    /// Ended by Ctrl-C: not all that was asked for is in it.
    pub interrupted: bool,
    /// The rules, in the order of the table.
    pub rules: Vec<RuleRecord>,
    /// The servers, in order of declaration.
    pub servers: Vec<ServerConformance>,
}

/// A rule, as it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct RuleRecord {
    /// Short and stable, e.g. `chunked-body`.
    pub id: String,
    /// What is asked.
    pub title: String,
    /// Where it is written.
    pub source: String,
    /// Loads that need this are not timed where the rule fails or is refused.
    pub bars: Option<Feature>,
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct ServerConformance {
    /// Its name.
    pub name: String,
    /// Set up as it comes, not tuned.
    pub untuned: bool,
    /// Its command line.
    pub command: Vec<String>,
    /// Versions inside it, by package.
    pub versions: BTreeMap<String, String>,
    /// Why there are no findings, or not all: it could not be had, or not started, or it died.
    pub trouble: Option<String>,
    /// A finding a rule, in the order of the rules.
    pub findings: Vec<Finding>,
}

impl Versioned for ConformanceRecord {
    const KNOWN: u32 = CONFORMANCE_VERSION;
    const WHAT: &'static str = "an examination";
    const REMEDY: &'static str = "; delete it, or examine anew: cargo bench -- --conformance";
}

impl ConformanceRecord {
    /// One without servers.
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
                    bars: rule.bars,
                })
                .collect(),
            servers: Vec::new(),
        }
    }

    /// Reads one; `None` where nobody was examined yet.
    ///
    /// # Errors
    /// When the disk says no, or the file is damaged or of a later version.
    pub fn read(path: &Path) -> Result<Option<Self>, StoreError> {
        match versioned::read(path) {
            Ok(record) => Ok(Some(record)),
            Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes it whole.
    ///
    /// # Errors
    /// When the disk says no.
    pub fn write(&self, path: &Path) -> Result<(), StoreError> {
        write_json(path, self)
    }
}

impl ServerConformance {
    /// What was found of a rule.
    #[must_use]
    pub fn finding(&self, rule: &str) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.rule == rule)
    }

    /// What loads may need and this server stands in the way of, with the finding that says so.
    #[must_use]
    pub fn barred<'a>(&'a self, rules: &[RuleRecord]) -> Vec<(Feature, &'a Finding)> {
        rules
            .iter()
            .filter_map(|rule| Some((rule.bars?, self.finding(&rule.id)?)))
            .filter(|(_, finding)| finding.verdict.bars())
            .collect()
    }

    /// How many findings have this verdict.
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
        assert_eq!(ids.len(), rules.len(), "an id twice");
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("below/conformance.json");
        let mut record = ConformanceRecord::new("process");
        record.servers.push(ServerConformance {
            name: "one".into(),
            untuned: false,
            command: vec!["serve".into()],
            versions: BTreeMap::new(),
            trouble: None,
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
    fn what_another_version_wrote_is_read_as_far_as_it_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("conformance.json");
        assert_eq!(ConformanceRecord::read(&path).unwrap(), None);
        let write = |change: fn(&mut serde_json::Value)| {
            let mut json = serde_json::to_value(ConformanceRecord::new("docker")).unwrap();
            json["servers"] = serde_json::json!([{
                "name": "one", "untuned": false, "command": [], "versions": {}, "trouble": null,
                "findings": [{"rule": "head", "verdict": "flaky", "why": "now so, now so"}],
            }]);
            change(&mut json);
            std::fs::write(&path, json.to_string()).unwrap();
            ConformanceRecord::read(&path)
        };
        let read = write(|json| json["rules"][0]["bars"] = "trailers".into())
            .unwrap()
            .unwrap();
        assert_eq!(read.servers[0].findings[0].verdict, RuleOutcome::Unknown);
        assert_eq!(read.rules[0].bars, Some(Feature::Unknown));
        let newer = write(|json| json["schema_version"] = 4_000.into()).unwrap_err();
        assert!(
            newer.to_string().contains("schema 4000, this one reads up to 1"),
            "{newer}"
        );
        let damaged = write(|json| json["servers"] = "many".into()).unwrap_err().to_string();
        assert!(damaged.contains("--conformance"), "it tells the remedy: {damaged}");
    }
}
