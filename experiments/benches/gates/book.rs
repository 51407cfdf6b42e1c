//! Outcomes of the gates, one JSON line each, from which the experiment resumes.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use wsgibench_harness::stats::{Metric, Outcome, Series, sample::median};

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

/// Returns all lines so far.
#[derive(Debug)]
pub(crate) struct Book {
    path: PathBuf,
    lines: Vec<Line>,
}

impl Book {
    pub(crate) fn open(path: PathBuf) -> Result<Self> {
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        let mut lines = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = serde_json::from_str(line).with_context(|| {
                format!(
                    "{}, line {}: no outcome of a gate; delete the line",
                    path.display(),
                    number + 1
                )
            })?;
            lines.push(line);
        }
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

    /// Appends one line in one write, so that a killed process leaves whole lines.
    fn write(&mut self, line: Line) -> Result<()> {
        let mut text = serde_json::to_string(&line)?;
        text.push('\n');
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)
            .with_context(|| self.path.display().to_string())?;
        file.write_all(text.as_bytes())?;
        file.sync_data()?;
        self.lines.push(line);
        Ok(())
    }
}
