//! Runs one gate with the user's own command: this program again, as the bench `wsgi`.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail};
use wsgibench_harness::{
    cli::verdict::VerdictFile,
    measure::comparison::{Judged, Pairing},
    stats::{Metric, Outcome, compare::design::ALPHA},
    store::Store,
};
use wsgibench_suites as _;

use crate::{Options, outcomes::Entry};

/// Environment variable that marks this program as one of the gates.
const RUN: &str = "WSGIBENCH_GATES_RUN";

/// Runs the bench if this process was started as one.
pub(crate) fn maybe_run() -> Option<ExitCode> {
    std::env::var_os(RUN).map(|_| wsgibench_harness::cli::run_main(main_job(), "wsgibench", "wsgi"))
}

/// Returns the folder of the package whose bench `wsgi` the gates run: the parent of this package's folder.
fn main_job() -> &'static str {
    let package = env!("CARGO_MANIFEST_DIR");
    package.rsplit_once(['/', '\\']).map_or(package, |(parent, _)| parent)
}

/// A gate to run.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) server: String,
    /// Planted CPU time per request, percent.
    pub(crate) size: u32,
}

/// The bench, and the options of all gates.
#[derive(Debug)]
pub(crate) struct Bench {
    program: PathBuf,
    store: Store,
    effort: Vec<String>,
}

impl Bench {
    pub(crate) fn new(options: &Options) -> Result<Self> {
        let effort = [
            ("--against", options.against.clone()),
            ("--rounds", "1".to_owned()),
            ("--warm-up-time", options.warm_up_time.to_string()),
            ("--measurement-time", options.measurement_time.to_string()),
            ("--budget", format!("{}s", options.budget)),
        ];
        Ok(Self {
            program: std::env::current_exe().context("the name of this program")?,
            store: store(),
            effort: effort
                .into_iter()
                .flat_map(|(name, value)| [name.to_owned(), value])
                .collect(),
        })
    }

    /// Runs a gate with `rounds` of planted work in the candidate arm.
    pub(crate) fn gate(&self, wanted: &Wanted, rounds: u32) -> Result<Entry> {
        let started = Instant::now();
        let (exit_status, file) = self.run(&wanted.server, rounds, &["--gate"])?;
        let seconds = started.elapsed().as_secs_f64();
        let record = self.store.read(&file.run)?;
        let judged = Judged {
            pairing: Pairing::Arms,
            gated: Metric::gated(),
            margins: BTreeMap::new(),
            alpha: ALPHA,
        };
        Ok(Entry {
            server: wanted.server.clone(),
            size: wanted.size,
            rounds,
            verdict: file.verdict,
            exit_status,
            seconds,
            blocks: file.disturbance.blocks,
            repeated: file.disturbance.repeated,
            missing: file.missing,
            outcomes: file.outcomes,
            series: judged.series(&record, &judged.family(1)),
        })
    }

    /// Returns the change of CPU time per request caused by `rounds` of planted work.
    pub(crate) fn calibrate(&self, server: &str, rounds: u32) -> Result<f64> {
        let (_, file) = self.run(server, rounds, &[])?;
        let outcome: Option<&Outcome> = file.outcomes.iter().find(|o| o.metric == Metric::CpuPerRequest);
        outcome.and_then(|outcome| outcome.change).with_context(|| {
            format!(
                "{server}: CPU per request was not measured: {}",
                file.missing.join("; ")
            )
        })
    }

    fn run(&self, server: &str, rounds: u32, more: &[&str]) -> Result<(i32, VerdictFile)> {
        let path = self.store.root().join("verdict.json");
        // The files of an earlier run must not be mistaken for this one's.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| path.display().to_string());
            }
            _ => {}
        }
        let mut command = Command::new(&self.program);
        command
            .args(["--bench", "--quiet", "--noplot", "--server", server])
            .args(&self.effort)
            .args(more)
            .env(RUN, "1")
            .stdin(Stdio::null());
        if rounds > 0 {
            command
                .arg("--candidate-env")
                .arg(format!("WSGIBENCH_PLANTED_WORK={rounds}"));
        }
        let output = command.output().context("failed to start the bench")?;
        let Some(status) = output.status.code().filter(|&status| status != 130) else {
            bail!("the gate on {server} was interrupted");
        };
        let text = fs::read(&path).with_context(|| {
            format!(
                "the gate on {server} exited with status {status} without a verdict: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            )
        })?;
        let file = serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
        Ok((status, file))
    }
}

/// Returns the folder in which the bench stores its measurements.
pub(crate) fn store() -> Store {
    Store::new(&wsgibench_harness::cli::target_dir(main_job().as_ref()))
}
