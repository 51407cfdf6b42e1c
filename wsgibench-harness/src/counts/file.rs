//! `counts.toml`: counts that travel with the repository.
//!
//! Sorted, with one line a case, so that a change shows as a change of that line.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use serde::{Deserialize, Serialize};

use super::CountEnvironment;
use crate::stats::{
    Margin, Metric,
    distribution::t_quantile,
    sample::{float, mean, std_dev},
};

/// Version of the format.
const VERSION: u32 = 1;

/// Content of `counts.toml`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CountFile {
    /// Version of the format.
    pub version: u32,
    /// Environment of the counts: everything except the server's image that affects them.
    pub environment: CountEnvironment,
    /// Counts by case id.
    #[serde(default)]
    pub cases: BTreeMap<String, CaseCounts>,
    /// Packages of each server's image, by server.
    #[serde(default)]
    pub images: BTreeMap<String, BTreeMap<String, String>>,
}

/// Counts of one case.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CaseCounts {
    /// Launches.
    pub n: usize,
    /// Instructions per request: mean, and standard deviation as a share of it.
    pub instructions: Figure,
    /// System calls per request.
    pub syscalls: Figure,
    /// Database statements per request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statements: Option<Figure>,
    /// Hash of the load, the limits and the client.
    pub definition: String,
}

/// Mean of the launches and their standard deviation relative to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Mean.
    pub mean: f64,
    /// Standard deviation / mean.
    pub sd: f64,
}

impl Figure {
    /// Summarises the figures of an arm's launches; `None` without any.
    #[must_use]
    pub fn of(launches: &[f64]) -> Option<Self> {
        let centre = mean(launches);
        let sd = std_dev(launches) / centre.max(f64::MIN_POSITIVE);
        (!launches.is_empty()).then_some(Self {
            mean: centre,
            sd: if sd.is_finite() { sd } else { 0.0 },
        })
    }
}

impl CaseCounts {
    fn figure(&self, metric: Metric) -> Option<Figure> {
        match metric {
            Metric::InstructionsPerRequest => Some(self.instructions),
            Metric::SyscallsPerRequest => Some(self.syscalls),
            Metric::StatementsPerRequest => self.statements,
            _ => None,
        }
    }
}

/// Why a file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// Not this format.
    #[error("not a counts file: {0}")]
    Format(String),
    /// A later version of the format.
    #[error("written by a later version of wsgibench (format {0}, this one reads {VERSION}); update wsgibench")]
    Version(u32),
}

/// A change of one case and metric against the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Drift {
    /// Case id.
    pub case: String,
    /// Metric.
    pub metric: Metric,
    /// In the file.
    pub kept: f64,
    /// Here.
    pub here: f64,
    /// `here / kept - 1`.
    pub change: f64,
    /// The smallest change that matters.
    pub margin: Margin,
    /// Whether the change is certain at 99 %, given the scatter of both.
    pub certain: bool,
}

impl Drift {
    /// Whether the count has risen beyond the margin.
    #[must_use]
    pub fn is_rise(&self) -> bool {
        self.certain && self.change > self.margin.value()
    }

    /// Whether the count has fallen beyond the margin.
    #[must_use]
    pub fn is_fall(&self) -> bool {
        self.certain && self.change < -self.margin.value()
    }
}

/// Result of comparing this run with a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checked {
    /// One entry per case and metric that both have.
    pub drifts: Vec<Drift>,
    /// Counted here and missing from the file.
    pub unknown: Vec<String>,
    /// In the file, selected by the run, and not counted.
    pub missing: Vec<String>,
    /// Counted under another definition: load, limits or client differ.
    pub redefined: Vec<String>,
    /// Packages that differ between the images, per server.
    pub images: Vec<String>,
}

impl CountFile {
    /// Reads a file.
    ///
    /// # Errors
    /// If it is not of this format and version.
    pub fn parse(text: &str) -> Result<Self, FileError> {
        let file: Self = toml::from_str(text).map_err(|error| FileError::Format(error.message().to_owned()))?;
        if file.version > VERSION {
            return Err(FileError::Version(file.version));
        }
        Ok(file)
    }

    /// Writes the file: the environment, then a line a case in order of the ids, then the images.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::from(
            "# Counts per request, written by `cargo bench -- --count --bless-counts` and checked by `--check-counts`.\n",
        );
        let environment = &self.environment;
        let _ = write!(
            text,
            "version = {VERSION}\n\n[environment]\narchitecture = {}\nvalgrind = {}\ncpu_features = {}\ncpus = {}\n\
             kernel = {}\nclient = {}\nsandbox = {}\n\n[cases]\n",
            quoted(&environment.architecture),
            quoted(&environment.valgrind),
            quoted(&environment.cpu_features),
            environment.cpus,
            quoted(&environment.kernel),
            quoted(&environment.client),
            quoted(&environment.sandbox),
        );
        for (id, counts) in &self.cases {
            let figure =
                |figure: Figure, digits: usize| format!("{{ mean = {:.digits$}, sd = {:.5} }}", figure.mean, figure.sd);
            let statements = counts.statements.map_or_else(String::new, |statements| {
                format!(", statements = {}", figure(statements, 3))
            });
            let _ = writeln!(
                text,
                "{} = {{ n = {}, instructions = {}, syscalls = {}{statements}, definition = {} }}",
                quoted(id),
                counts.n,
                figure(counts.instructions, 1),
                figure(counts.syscalls, 3),
                quoted(&counts.definition)
            );
        }
        text.push_str("\n[images]\n");
        for (server, packages) in &self.images {
            let packages: Vec<String> = packages
                .iter()
                .map(|(name, version)| format!("{} = {}", quoted(name), quoted(version)))
                .collect();
            let _ = writeln!(text, "{} = {{ {} }}", quoted(server), packages.join(", "));
        }
        text
    }

    /// Takes over the cases and images of `other`, and keeps those that it lacks.
    pub fn bless(&mut self, other: Self) {
        self.version = VERSION;
        if self.environment != other.environment {
            // Counts of different environments are not comparable, so a file has one environment.
            self.cases.clear();
            self.images.clear();
        }
        self.environment = other.environment;
        self.cases.extend(other.cases);
        self.images.extend(other.images);
    }

    /// Compares counts of this run with the file. `wanted` are the ids that were selected.
    #[must_use]
    pub fn check(&self, here: &Self, wanted: &[String], margin: impl Fn(Metric) -> Margin) -> Checked {
        let mut checked = Checked::default();
        for (id, counts) in &here.cases {
            let Some(kept) = self.cases.get(id) else {
                checked.unknown.push(id.clone());
                continue;
            };
            if kept.definition != counts.definition {
                checked.redefined.push(id.clone());
                continue;
            }
            for metric in Metric::COUNTS {
                if let (Some(before), Some(now)) = (kept.figure(metric), counts.figure(metric)) {
                    checked
                        .drifts
                        .push(drift(id, metric, (before, kept.n), (now, counts.n), margin(metric)));
                }
            }
        }
        let lost = |id: &&String| self.cases.contains_key(*id) && !here.cases.contains_key(*id);
        checked.missing = wanted.iter().filter(lost).cloned().collect();
        checked.images = image_changes(&self.images, &here.images);
        checked
    }
}

/// Returns a line for each package whose version differs between the images of a server, `server: package old, now new`.
#[must_use]
pub fn image_changes(
    kept: &BTreeMap<String, BTreeMap<String, String>>,
    here: &BTreeMap<String, BTreeMap<String, String>>,
) -> Vec<String> {
    let mut changes = Vec::new();
    for (server, packages) in here {
        let Some(before) = kept.get(server) else { continue };
        let names: BTreeSet<&String> = before.keys().chain(packages.keys()).collect();
        let version =
            |of: &BTreeMap<String, String>, name: &str| of.get(name).map_or("absent", String::as_str).to_owned();
        let differing = names
            .into_iter()
            .filter(|name| before.get(*name) != packages.get(*name));
        changes.extend(differing.map(|name| {
            format!(
                "{server}: {name} {}, now {}",
                version(before, name),
                version(packages, name)
            )
        }));
    }
    changes
}

fn drift(case: &str, metric: Metric, kept: (Figure, usize), here: (Figure, usize), margin: Margin) -> Drift {
    let offset = super::decision::OFFSET;
    let change = (here.0.mean + offset) / (kept.0.mean + offset) - 1.0;
    let variance = |(figure, n): (Figure, usize)| figure.sd.max(super::decision::SD_FLOOR).powi(2) / float(n.max(1));
    let error = (variance(kept) + variance(here)).sqrt();
    let freedom = float((kept.1 + here.1).saturating_sub(2).max(1));
    // A single launch has no standard deviation; the floor is used instead.
    let certain = change.abs() > t_quantile(0.995, freedom.max(4.0)) * error;
    Drift {
        case: case.to_owned(),
        metric,
        kept: kept.0.mean,
        here: here.0.mean,
        change,
        margin,
        certain,
    }
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(instructions: f64, syscalls: f64) -> CaseCounts {
        CaseCounts {
            n: 5,
            instructions: Figure {
                mean: instructions,
                sd: 0.0005,
            },
            syscalls: Figure {
                mean: syscalls,
                sd: 0.0,
            },
            statements: None,
            definition: "a1b2".into(),
        }
    }

    fn file(cases: &[(&str, CaseCounts)]) -> CountFile {
        CountFile {
            version: VERSION,
            environment: CountEnvironment {
                architecture: "x86_64".into(),
                cpus: 1,
                ..CountEnvironment::default()
            },
            cases: cases
                .iter()
                .map(|(id, counts)| ((*id).to_owned(), counts.clone()))
                .collect(),
            images: BTreeMap::from([("a".into(), BTreeMap::from([("python".into(), "3.11.2".into())]))]),
        }
    }

    #[test]
    fn files_are_sorted_with_a_line_a_case_and_read_back() {
        let mut with_statements = counts(100.0, 4.0);
        with_statements.statements = Some(Figure { mean: 3.0, sd: 0.0 });
        let kept = file(&[("ping/b/c1", counts(13_574.6, 10.0)), ("db/a/c1", with_statements)]);
        let text = kept.render();
        assert_eq!(CountFile::parse(&text).unwrap(), kept);
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with('"')).collect();
        assert!(
            lines[0].starts_with("\"db/a/c1\" = { n = 5") && lines[1].starts_with("\"ping/b/c1\""),
            "{text}"
        );
        assert!(matches!(
            CountFile::parse("version = 9\n[environment]"),
            Err(FileError::Format(_))
        ));
        let later = text.replace("version = 1", "version = 9");
        assert_eq!(CountFile::parse(&later), Err(FileError::Version(9)));
    }

    #[test]
    fn a_rise_a_fall_and_cases_of_one_side() {
        let kept = file(&[
            ("rose", counts(1_000.0, 10.0)),
            ("fell", counts(1_000.0, 10.0)),
            ("same", counts(1_000.0, 10.0)),
            ("gone", counts(1_000.0, 10.0)),
            ("left_out", counts(1_000.0, 10.0)),
            ("redefined", counts(1_000.0, 10.0)),
        ]);
        let mut other = counts(1_000.0, 10.0);
        other.definition = "other".into();
        let mut here = file(&[
            ("rose", counts(1_006.0, 11.0)),
            ("fell", counts(990.0, 10.0)),
            ("same", counts(1_001.0, 10.0)),
            ("new", counts(1_000.0, 10.0)),
            ("redefined", other),
        ]);
        here.images
            .get_mut("a")
            .unwrap()
            .insert("python".into(), "3.11.9".into());
        let wanted: Vec<String> = ["rose", "fell", "same", "gone", "new", "redefined"]
            .map(str::to_owned)
            .to_vec();
        let checked = kept.check(&here, &wanted, Metric::default_margin);
        let named = |test: fn(&Drift) -> bool| -> Vec<(&str, Metric)> {
            let found = checked.drifts.iter().filter(|drift| test(drift));
            found.map(|drift| (drift.case.as_str(), drift.metric)).collect()
        };
        assert_eq!(
            named(Drift::is_rise),
            [
                ("rose", Metric::InstructionsPerRequest),
                ("rose", Metric::SyscallsPerRequest)
            ]
        );
        assert_eq!(named(Drift::is_fall), [("fell", Metric::InstructionsPerRequest)]);
        assert_eq!(
            (checked.unknown, checked.missing),
            (vec!["new".to_owned()], vec!["gone".to_owned()])
        );
        assert_eq!(checked.redefined, ["redefined"]);
        assert_eq!(checked.images, ["a: python 3.11.2, now 3.11.9"]);
    }

    #[test]
    fn blessing_keeps_other_cases_of_the_same_environment_only() {
        let mut kept = file(&[("one", counts(1.0, 1.0)), ("two", counts(1.0, 1.0))]);
        kept.bless(file(&[("two", counts(2.0, 1.0))]));
        assert_eq!(kept.cases.len(), 2);
        assert!((kept.cases["two"].instructions.mean - 2.0).abs() < 1e-9);
        let mut elsewhere = file(&[("two", counts(3.0, 1.0))]);
        elsewhere.environment.kernel = "9.9".into();
        kept.bless(elsewhere);
        assert_eq!(kept.cases.len(), 1);
    }
}
