//! Measures the false alarm rate of real gates on identical code, and the size of the changes that they detect.
//!
//!     cargo bench -p wsgibench-experiments --bench gates                           the whole experiment; resumes where it stopped
//!     cargo bench -p wsgibench-experiments --bench gates -- --only 5               five gates more, then the figures so far
//!     cargo bench -p wsgibench-experiments --bench gates -- --only 0               the figures so far
//!     cargo bench -p wsgibench-experiments --bench gates -- --servers bjoern       one server
//!
//! Each gate is the user's own command, `cargo bench -- --against REF --gate --server NAME`, run on an unchanged tree. The planted
//! work is a loop in the application of the candidate arm (`--candidate-env WSGIBENCH_PLANTED_WORK=N`), calibrated first
//! for each server and measured again in every gate. Each gate's outcome is one line of `experiments/recordings/gates.jsonl` (or
//! of `--recording`), written when the gate is completed; an interrupted gate is run again.

mod analysis;
mod gate;
mod outcomes;
mod plan;
#[path = "../shared/recording.rs"]
mod recording;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Result;
use clap::Parser;

use gate::Bench;
use outcomes::Outcomes;

/// Run real gates on identical and on slowed-down servers, and report how often each was called a regression
#[derive(Debug, Parser)]
#[command(name = "gates")]
struct Options {
    /// Servers to gate
    #[arg(long, value_delimiter = ',', default_values_t = ["gunicorn_gthread", "bjoern", "gevent"].map(String::from))]
    servers: Vec<String>,
    /// Number of gates on identical arms, over all servers
    #[arg(long, default_value_t = 30)]
    identical: usize,
    /// Number of gates of each planted size, over all servers except that of `--certain`
    #[arg(long, default_value_t = 20)]
    planted: usize,
    /// Planted server CPU time per request, percent
    #[arg(long, value_delimiter = ',', default_values_t = [5, 10])]
    sizes: Vec<u32>,
    /// The server on which each planted size is tried `--planted` times; the others share the same number
    #[arg(long, default_value = "gunicorn_gthread")]
    certain: String,
    /// The commit of the base arm
    #[arg(long, default_value = "HEAD")]
    against: String,
    /// Warm-up of a launch, seconds
    #[arg(long, default_value_t = 0.3)]
    warm_up_time: f64,
    /// Length of a launch's single round, seconds
    #[arg(long, default_value_t = 1.0)]
    measurement_time: f64,
    /// Time limit of one gate, seconds; it determines the number of planned blocks
    #[arg(long, default_value_t = 120)]
    budget: u32,
    /// Maximum number of gates to run now [default: all that are missing]
    #[arg(long)]
    only: Option<usize>,
    /// File with the outcomes
    #[arg(long)]
    recording: Option<PathBuf>,
    /// Passed by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    // This program is also the server of the reference load.
    wsgibench_harness::null_server::maybe_serve();
    if let Some(status) = gate::maybe_run() {
        return status;
    }
    let options = Options::parse();
    if !options.bench {
        // `cargo test` also starts bench targets, and must not measure.
        println!("gates measures only under `cargo bench -p wsgibench-experiments --bench gates`");
        return ExitCode::SUCCESS;
    }
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gates: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let mut outcomes = Outcomes::open(recording::path("gates", options.recording.as_ref()))?;
    let missing = plan::missing(options, &outcomes);
    let now = options.only.unwrap_or(missing.len()).min(missing.len());
    println!(
        "{} gates are in {}; {} are missing",
        outcomes.gates().count(),
        outcomes.path().display(),
        missing.len()
    );
    if now > 0 {
        let bench = Bench::new(options)?;
        for (number, wanted) in missing.iter().take(now).enumerate() {
            let rounds = match wanted.size {
                0 => 0,
                size => plan::rounds(&bench, &mut outcomes, &wanted.server, size)?,
            };
            let entry = bench.gate(wanted, rounds)?;
            println!(
                "{:>3}/{now} {:<16} planted {:>2} %: {} after {} blocks and {:.0?}, CPU per request {:+.2} %",
                number + 1,
                wanted.server,
                wanted.size,
                entry.verdict,
                entry.blocks,
                Duration::from_secs_f64(entry.seconds),
                entry.cpu_change().unwrap_or(f64::NAN) * 100.0,
            );
            outcomes.add(entry)?;
        }
    }
    analysis::print(&outcomes);
    Ok(())
}
