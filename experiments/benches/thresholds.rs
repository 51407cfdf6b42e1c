//! Measures how often a threshold is judged wrongly, on a null server whose 99th percentile is known.
//!
//!     cargo bench -p wsgibench-experiments --bench thresholds                      40 verdicts; resumes where it stopped
//!     cargo bench -p wsgibench-experiments --bench thresholds -- --only 4          four verdicts more, then the figures so far
//!     cargo bench -p wsgibench-experiments --bench thresholds -- --only 0          the figures so far
//!
//! The server delays each response by 40 to 60 ms, evenly distributed, so that its 99th percentile is 59.8 ms. Every other threshold
//! is set such that this is 10 % above it, the others such that it is 10 % below. A verdict uses some launches of the server, as a run does.
//! Each is one line of `experiments/recordings/thresholds.jsonl` (or of `--recording`), written when it is completed.

#[path = "shared/recording.rs"]
mod recording;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Result;
use clap::Parser;
use serde::{Deserialize, Serialize};
use wsgibench_harness::{
    load::{Load, LoadPlan, Session, Target, get},
    null_server::{DelayServerProcess, Delays},
    stats::{
        Threshold, ThresholdOutcome, ThresholdVerdict,
        threshold::{ThresholdSeries, judge},
    },
};

/// Judge thresholds on a null server with a known 99th percentile, and report how many verdicts are wrong
#[derive(Debug, Parser)]
#[command(name = "thresholds")]
struct Options {
    /// Number of verdicts, half of them with the true value above the threshold
    #[arg(long, default_value_t = 40)]
    verdicts: usize,
    /// Launches of a verdict
    #[arg(long, default_value_t = 5)]
    launches: usize,
    /// Length of a launch's round, seconds
    #[arg(long, default_value_t = 1.5)]
    measurement_time: f64,
    /// Distance of the true value from the threshold, percent
    #[arg(long, default_value_t = 10.0)]
    distance: f64,
    /// Maximum number of verdicts now [default: all that are missing]
    #[arg(long)]
    only: Option<usize>,
    /// File with the verdicts
    #[arg(long)]
    recording: Option<PathBuf>,
    /// Passed by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// One line of the recording.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    /// Whether the true value breaks the threshold.
    breaks: bool,
    /// 99th percentile of the responses as the server recorded them, microseconds, for each launch.
    recorded: Vec<f64>,
    /// The same as measured by the load generator.
    measured: Vec<f64>,
    /// Verdict.
    outcome: ThresholdOutcome,
}

impl Line {
    fn is_right(&self) -> bool {
        let right = if self.breaks {
            ThresholdVerdict::Broken
        } else {
            ThresholdVerdict::Met
        };
        self.outcome.verdict == right
    }

    fn is_wrong(&self) -> bool {
        !self.is_right() && self.outcome.verdict != ThresholdVerdict::Undecided
    }
}

const FROM: Duration = Duration::from_millis(40);
const WIDTH: Duration = Duration::from_millis(20);
const CONNECTIONS: usize = 64;

/// The true 99th percentile.
fn true_p99() -> Duration {
    FROM + WIDTH.mul_f64(0.99)
}

fn main() -> ExitCode {
    // This program is also the server.
    wsgibench_harness::null_server::maybe_serve();
    let options = Options::parse();
    if !options.bench {
        // `cargo test` also starts bench targets, and must not measure.
        println!("thresholds measures only under `cargo bench -p wsgibench-experiments --bench thresholds`");
        return ExitCode::SUCCESS;
    }
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("thresholds: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let file = recording::path("thresholds", options.recording.as_ref());
    let mut lines: Vec<Line> = recording::read(&file)?;
    let missing = options.verdicts.saturating_sub(lines.len());
    for _ in 0..options.only.unwrap_or(missing).min(missing) {
        let line = verdict(options, lines.len())?;
        println!(
            "{:>3}/{} true p99 {:.1} ms, threshold {}: {} ({:.1} ms)",
            lines.len() + 1,
            options.verdicts,
            true_p99().as_secs_f64() * 1e3,
            line.outcome.threshold,
            line.outcome.verdict.id(),
            line.outcome.estimate.unwrap_or(f64::NAN) / 1e3,
        );
        recording::append(&file, &line)?;
        lines.push(line);
    }
    let count = |holds: &dyn Fn(&Line) -> bool| lines.iter().filter(|line| holds(line)).count();
    println!(
        "{} verdicts in {}: {} right, {} wrong, {} undecided",
        lines.len(),
        file.display(),
        count(&Line::is_right),
        count(&Line::is_wrong),
        count(&|line| line.outcome.verdict == ThresholdVerdict::Undecided)
    );
    Ok(())
}

/// Measures the launches of one verdict; every other one has a threshold below the true value.
fn verdict(options: &Options, number: usize) -> Result<Line> {
    let breaks = number.is_multiple_of(2);
    let ratio = 1.0 + options.distance / 100.0 * if breaks { 1.0 } else { -1.0 };
    let threshold = Threshold::p99_below(true_p99().div_f64(ratio));
    let (mut recorded, mut measured) = (Vec::new(), Vec::new());
    for launch in 0..options.launches {
        let seed = (number * options.launches + launch) as u64;
        let (of_server, of_client) = measure(seed, Duration::from_secs_f64(options.measurement_time))?;
        recorded.push(of_server);
        measured.push(of_client);
    }
    let series = ThresholdSeries {
        case: "null".into(),
        threshold,
        launches: measured.clone(),
        requests: None,
        unusable: None,
    };
    let outcome = judge(&[series]).outcomes.remove(0);
    Ok(Line {
        breaks,
        recorded,
        measured,
        outcome,
    })
}

/// Returns the 99th percentile of one launch, as recorded by the server and as measured, microseconds.
#[expect(clippy::cast_precision_loss, reason = "nanoseconds of a minute are far below 2^53")]
fn measure(seed: u64, length: Duration) -> Result<(f64, f64)> {
    let delays = Delays {
        seed,
        slow_share: 1.0,
        slow_from: FROM,
        slow_to: FROM + WIDTH,
        ..Delays::default()
    };
    let server = DelayServerProcess::spawn(delays, None)?;
    let target = Target::new(server.address(), server.address().to_string());
    let load = Load::closed(CONNECTIONS).request(get("/").expect_status(200));
    let mut session = Session::start(&LoadPlan::new(target, load))?;
    session.warm_up(Duration::from_millis(300))?;
    let round = session.round(length)?;
    session.finish()?;
    let record = server.finish()?;
    let microseconds = |nanoseconds: u64| nanoseconds as f64 / 1e3;
    Ok((
        microseconds(record.value_at_quantile(0.99)),
        microseconds(round.response_time.quantile(0.99).ns),
    ))
}
