//! One gate, by the user's own command.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use wsgibench_harness::{
    cli::verdict::VerdictFile,
    measure::comparison::{Judged, Pairing},
    stats::{Metric, Outcome},
    store::record::RunRecord,
};

use crate::{Options, book::Entry};

/// A gate to run.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) server: String,
    /// Planted CPU time per request, percent.
    pub(crate) size: u32,
}

/// The bench target `wsgi`, built.
#[derive(Debug)]
pub(crate) struct Bench {
    executable: PathBuf,
    root: PathBuf,
    kept: PathBuf,
    effort: Vec<String>,
    against: String,
}

/// Our folder in the target folder: cargo puts benches in `<target>/<profile>/deps`.
pub(crate) fn kept() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let target = own
        .ancestors()
        .nth(3)
        .context("this bench is not where cargo puts benches")?;
    Ok(target.join("wsgibench"))
}

impl Bench {
    pub(crate) fn build(options: &Options) -> Result<Self> {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let output = Command::new(cargo())
            .args([
                "bench",
                "--bench",
                "wsgi",
                "--no-run",
                "--message-format=json-render-diagnostics",
            ])
            .current_dir(&root)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .context("cargo cannot be started")?;
        ensure!(output.status.success(), "the bench `wsgi` does not build");
        let executable = String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .filter(|message| message["reason"] == "compiler-artifact" && message["target"]["name"] == "wsgi")
            .find_map(|message| message["executable"].as_str().map(PathBuf::from))
            .context("cargo names no executable of the bench `wsgi`")?;
        let effort = [
            ("--scenario", "ping".to_owned()),
            ("--rounds", "1".to_owned()),
            ("--warm-up-time", options.warm_up_time.to_string()),
            ("--measurement-time", options.measurement_time.to_string()),
            ("--budget", format!("{}s", options.budget)),
        ];
        Ok(Self {
            executable,
            root,
            kept: kept()?,
            effort: effort
                .into_iter()
                .flat_map(|(name, value)| [name.to_owned(), value])
                .collect(),
            against: options.against.clone(),
        })
    }

    /// Runs a gate with `rounds` of planted work in the candidate arm.
    pub(crate) fn gate(&self, wanted: &Wanted, rounds: u32) -> Result<Entry> {
        let started = Instant::now();
        let (exit_status, file) = self.run(&wanted.server, rounds, &["--gate"])?;
        let seconds = started.elapsed().as_secs_f64();
        let record = self.record(&file.run)?;
        let judged = Judged {
            pairing: Pairing::Arms,
            gated: Metric::ALL
                .into_iter()
                .filter(|metric| metric.gated_by_default())
                .collect(),
            margins: BTreeMap::new(),
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
            series: judged.series(&record),
        })
    }

    /// The change of CPU time per request that `rounds` of planted work make.
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
        let path = self.kept.join("verdict.json");
        // What an earlier run left must not be taken for this one's.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| path.display().to_string());
            }
            _ => {}
        }
        let mut command = Command::new(&self.executable);
        command
            .args([
                "--bench",
                "--quiet",
                "--noplot",
                "--against",
                &self.against,
                "--server",
                server,
            ])
            .args(&self.effort)
            .args(more)
            .current_dir(&self.root)
            .env("CARGO", cargo())
            .stdin(Stdio::null());
        if rounds > 0 {
            command
                .arg("--candidate-env")
                .arg(format!("WSGIBENCH_PLANTED_WORK={rounds}"));
        }
        let output = command.output().context("the bench cannot be started")?;
        let Some(status) = output.status.code().filter(|&status| status != 130) else {
            bail!("the gate on {server} was interrupted");
        };
        let text = fs::read(&path).with_context(|| {
            format!(
                "the gate on {server} ended with status {status} and left no verdict: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            )
        })?;
        let file = serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
        Ok((status, file))
    }

    fn record(&self, run: &str) -> Result<RunRecord> {
        let path = self.kept.join("runs").join(run).join("run.json");
        let text = fs::read(&path).with_context(|| path.display().to_string())?;
        serde_json::from_slice(&text).with_context(|| path.display().to_string())
    }
}

fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}
