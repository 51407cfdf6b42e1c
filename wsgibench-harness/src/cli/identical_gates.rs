//! `target/wsgibench/identical-gates.jsonl`: results of real gates on identical arms, one line per gate.
//!
//! A line is appended when its gate ends, so that an interrupted series resumes with the interrupted gate.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Failure;
use crate::stats::{Series, self_check::IdenticalGates};

/// One gate on identical arms.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct GateRecord {
    /// End of the gate, UTC.
    pub(super) at: jiff::Timestamp,
    /// Run id.
    pub(super) run: String,
    /// The setup: machine, servers, effort, gated metrics. Only gates of the same setup are counted together.
    pub(super) setup: Value,
    /// As in `verdict.json`: `pass` and `regression` are decisions.
    pub(super) verdict: String,
    /// Pairs reported as a regression.
    pub(super) alarms: Vec<String>,
    /// Why the gate was undecided.
    pub(super) missing: Vec<String>,
    /// The blocks up to the first look of every gated pair. Later blocks depend on the results of the first look and would
    /// bias the sample.
    pub(super) blocks: Vec<Series>,
}

impl GateRecord {
    fn is_decided(&self) -> bool {
        self.verdict == "pass" || self.is_alarm()
    }

    fn is_alarm(&self) -> bool {
        self.verdict == "regression"
    }
}

/// The gates of one setup.
#[derive(Debug)]
pub(super) struct GateLog {
    path: PathBuf,
    setup: Value,
    gates: Vec<GateRecord>,
}

impl GateLog {
    /// Opens the log and reads the gates of this setup.
    ///
    /// A partial last line of a killed process is removed and its gate counts as not run.
    ///
    /// # Errors
    /// If the file cannot be read or written, or another line of it is damaged.
    pub(super) fn open(path: &Path, setup: Value) -> Result<Self, Failure> {
        let error = |error: io::Error| Failure::machine(format!("failed to read {}: {error}", path.display()));
        let mut text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => String::new(),
            Err(other) => return Err(error(other)),
        };
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        if whole < text.len() {
            text.truncate(whole);
            let file = OpenOptions::new().write(true).open(path).map_err(error)?;
            file.set_len(whole as u64).map_err(error)?;
        }
        let mut gates = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let gate: GateRecord = serde_json::from_str(line).map_err(|error| {
                Failure::usage(format!(
                    "line {} of {} is damaged: {error}; delete the line to run its gate again",
                    number + 1,
                    path.display()
                ))
            })?;
            if gate.setup == setup {
                gates.push(gate);
            }
        }
        Ok(Self {
            path: path.to_owned(),
            setup,
            gates,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Runs the missing gates up to `wanted`, one after another. `gate` takes the number of the gate, from 0, and returns
    /// its record, or `None` if it was interrupted.
    ///
    /// Returns whether all gates are complete.
    ///
    /// # Errors
    /// Errors of a gate or of the file. Earlier gates are kept.
    pub(super) fn run_missing(
        &mut self,
        wanted: usize,
        mut gate: impl FnMut(usize, &Value) -> Result<Option<GateRecord>, Failure>,
    ) -> Result<bool, Failure> {
        for number in self.gates.len()..wanted {
            let Some(record) = gate(number, &self.setup)? else {
                return Ok(false);
            };
            self.append(record)?;
        }
        Ok(true)
    }

    /// Appends one line in one write and syncs it.
    fn append(&mut self, record: GateRecord) -> Result<(), Failure> {
        let error = |error: io::Error| Failure::machine(format!("failed to write {}: {error}", self.path.display()));
        let mut line = serde_json::to_string(&record).map_err(|error| Failure::machine(error.to_string()))?;
        line.push('\n');
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder).map_err(error)?;
        }
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)
            .map_err(error)?;
        file.write_all(line.as_bytes()).map_err(error)?;
        file.sync_data().map_err(error)?;
        self.gates.push(record);
        Ok(())
    }

    /// Returns the number of gates, including undecided ones.
    pub(super) fn len(&self) -> usize {
        self.gates.len()
    }

    /// Summarizes the gates; `None` without gates.
    pub(super) fn summary(&self) -> Option<IdenticalGates> {
        let decided = self.gates.iter().filter(|gate| gate.is_decided()).count();
        let alarms = self.gates.iter().filter(|gate| gate.is_alarm()).count();
        (!self.gates.is_empty()).then(|| IdenticalGates::new(decided, alarms, self.gates.len() - decided))
    }

    /// Combines the recordings of all gates: one series per pair.
    pub(super) fn recording(&self) -> Vec<Series> {
        let mut all: Vec<Series> = Vec::new();
        for series in self.gates.iter().flat_map(|gate| &gate.blocks) {
            match all
                .iter_mut()
                .find(|s| s.case == series.case && s.metric == series.metric)
            {
                Some(known) => known.blocks.extend_from_slice(&series.blocks),
                None => all.push(series.clone()),
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{GateRole, Metric};

    fn record(number: usize, setup: &Value, verdict: &str) -> GateRecord {
        GateRecord {
            at: jiff::Timestamp::UNIX_EPOCH,
            run: format!("run-{number}"),
            setup: setup.clone(),
            verdict: verdict.to_owned(),
            alarms: Vec::new(),
            missing: Vec::new(),
            blocks: vec![Series {
                case: "ping/a/c1".to_owned(),
                metric: Metric::CpuPerRequest,
                margin: Metric::CpuPerRequest.default_margin(),
                role: GateRole::Primary(0.5),
                validity_worse: false,
                blocks: vec![(1.0, f64::NAN), (2.0, 3.0)],
            }],
        }
    }

    #[test]
    fn interrupted_gates_resume_where_they_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wsgibench/identical-gates.jsonl");
        let setup = serde_json::json!({"cases": ["ping/a/c1"]});
        let open = || GateLog::open(&path, setup.clone()).unwrap();
        let mut ran = Vec::new();
        // Interrupted in the third gate.
        let whole = open()
            .run_missing(5, |number, setup| {
                ran.push(number);
                Ok((number < 2).then(|| record(number, setup, "pass")))
            })
            .unwrap();
        assert!(!whole);
        assert_eq!(ran, [0, 1, 2]);
        // An error also stops the series; earlier gates are kept.
        let failed = open().run_missing(5, |number, setup| {
            ran.push(number);
            match number {
                2 => Ok(Some(record(number, setup, "regression"))),
                _ => Err(Failure::machine("no space left".to_owned())),
            }
        });
        assert!(failed.is_err());
        // A truncated line is run again.
        let mut text = fs::read_to_string(&path).unwrap();
        text.push_str("{\"at\":\"1970");
        fs::write(&path, text).unwrap();
        let mut log = open();
        let whole = log
            .run_missing(5, |number, setup| {
                ran.push(number);
                Ok(Some(record(
                    number,
                    setup,
                    if number == 3 { "missing" } else { "pass" },
                )))
            })
            .unwrap();
        assert!(whole);
        assert_eq!(ran, [0, 1, 2, 2, 3, 3, 4]);
        assert_eq!(open().len(), 5);
        assert_eq!(open().summary(), Some(IdenticalGates::new(4, 1, 1)));
        let recording = open().recording();
        assert_eq!((recording.len(), recording[0].blocks.len()), (1, 10));
        assert_eq!(recording[0].differences().len(), 5);
        // All gates are complete: nothing runs.
        assert!(
            open()
                .run_missing(5, |_, _| unreachable!("all gates are kept"))
                .unwrap()
        );
    }

    #[test]
    fn gates_of_another_setup_are_not_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identical-gates.jsonl");
        let (one, other) = (serde_json::json!({"cpus": 2}), serde_json::json!({"cpus": 4}));
        let mut log = GateLog::open(&path, one).unwrap();
        log.run_missing(2, |number, setup| Ok(Some(record(number, setup, "pass"))))
            .unwrap();
        let log = GateLog::open(&path, other).unwrap();
        assert_eq!((log.len(), log.summary()), (0, None));
    }

    #[test]
    fn damaged_line_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identical-gates.jsonl");
        fs::write(&path, "{}\n").unwrap();
        let error = GateLog::open(&path, Value::Null).unwrap_err().text;
        assert!(
            error.starts_with("line 1 of ") && error.contains("delete the line"),
            "{error}"
        );
    }
}
