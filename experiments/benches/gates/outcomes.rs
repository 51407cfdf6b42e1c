//! Outcomes of the gates, one JSON line each, from which the experiment resumes.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use wsgibench_harness::stats::{Metric, Outcome, Series, sample::median};

use crate::recording;

/// One line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line {
    /// A completed gate.
    Gate(Entry),
    /// The measured cost of one round of planted work.
    Calibration {
        /// Server.
        server: String,
        /// Relative change of CPU time per request that one round makes.
        change_per_round: f64,
    },
}

impl Line {
    fn change_per_round(&self, wanted: &str) -> Option<f64> {
        match self {
            Self::Calibration {
                server,
                change_per_round,
            } => (server == wanted).then_some(*change_per_round),
            Self::Gate(entry) if entry.rounds > 0 && entry.server == wanted => {
                Some(entry.cpu_change()? / f64::from(entry.rounds))
            }
            Self::Gate(_) => None,
        }
    }
}

/// A completed gate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Server.
    pub(crate) server: String,
    /// Intended planted work, percent; 0 for identical arms.
    pub(crate) size: u32,
    /// Rounds of planted work.
    pub(crate) rounds: u32,
    /// Verdict in `verdict.json`.
    pub(crate) verdict: String,
    /// Exit status of the command.
    pub(crate) exit_status: i32,
    /// Wall time of the command.
    pub(crate) seconds: f64,
    /// Blocks launched, including repeated ones.
    pub(crate) blocks: usize,
    /// Blocks repeated because the reference load moved.
    pub(crate) repeated: usize,
    /// Missing or invalid measurements.
    pub(crate) missing: Vec<String>,
    /// Judgements.
    pub(crate) outcomes: Vec<Outcome>,
    /// Results of the launches, (base, candidate) per block.
    pub(crate) series: Vec<Series>,
}

impl Entry {
    /// The measured change of CPU time per request.
    pub(crate) fn cpu_change(&self) -> Option<f64> {
        self.outcome(Metric::CpuPerRequest)?.change
    }

    pub(crate) fn outcome(&self, metric: Metric) -> Option<&Outcome> {
        self.outcomes.iter().find(|outcome| outcome.metric == metric)
    }

    /// Whether the gate failed the candidate.
    pub(crate) fn caught(&self) -> bool {
        self.verdict == "regression"
    }

    /// Whether the gate came to a decision. Without one (the machine was too unsteady, or a measurement invalid), it counts neither as
    /// an alarm nor as a pass.
    pub(crate) fn decided(&self) -> bool {
        matches!(self.verdict.as_str(), "pass" | "regression")
    }
}

/// All lines so far.
#[derive(Debug)]
pub(crate) struct Outcomes {
    path: PathBuf,
    lines: Vec<Line>,
}

impl Outcomes {
    pub(crate) fn open(path: PathBuf) -> Result<Self> {
        let lines = recording::read(&path)?;
        Ok(Self { path, lines })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn gates(&self) -> impl Iterator<Item = &Entry> {
        self.lines.iter().filter_map(|line| match line {
            Line::Gate(entry) => Some(entry),
            Line::Calibration { .. } => None,
        })
    }

    /// Returns the CPU time per request that a round of planted work adds on `server`, as a share: the median of its calibrations and of
    /// the changes measured in its planted gates since. A single calibration was off by a third on a shared machine.
    pub(crate) fn change_per_round(&self, server: &str) -> Option<f64> {
        let measured: Vec<f64> = self
            .lines
            .iter()
            .filter_map(|line| line.change_per_round(server))
            .collect();
        (!measured.is_empty()).then(|| median(&measured))
    }

    pub(crate) fn add(&mut self, entry: Entry) -> Result<()> {
        self.write(Line::Gate(entry))
    }

    pub(crate) fn calibrated(&mut self, server: &str, change_per_round: f64) -> Result<()> {
        self.write(Line::Calibration {
            server: server.to_owned(),
            change_per_round,
        })
    }

    fn write(&mut self, line: Line) -> Result<()> {
        recording::append(&self.path, &line)?;
        self.lines.push(line);
        Ok(())
    }
}
