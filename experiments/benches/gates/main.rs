//! Real gates on real servers: how often does the gate alarm on identical code here, and how large a change does it see?
//!
//!     cargo bench -p wsgibench-experiments --bench gates                           the whole experiment; goes on where it stopped
//!     cargo bench -p wsgibench-experiments --bench gates -- --only 5               five gates more, then the figures so far
//!     cargo bench -p wsgibench-experiments --bench gates -- --only 0               the figures so far
//!     cargo bench -p wsgibench-experiments --bench gates -- --servers bjoern       one server
//!
//! Each gate is the user's own command, `cargo bench -- --against REF --gate --server NAME`, run on an unchanged tree. What is
//! planted is a loop in the application of the candidate arm (`--candidate-env WSGIBENCH_PLANTED_WORK=N`), calibrated first
//! for each server and measured again in every gate. Each gate's outcome is one line of `target/wsgibench/gates.jsonl` (or of
//! `--book`), written when the gate is over: what was interrupted is done again, what is in the book is not.

mod analysis;
mod book;
mod gate;
mod plan;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Result;
use clap::Parser;

use book::Book;
use gate::Bench;

/// Runs real gates on identical and on slowed-down servers, and says how often each was called a regression.
#[derive(Debug, Parser)]
#[command(name = "gates")]
struct Options {
    /// Servers to gate.
    #[arg(long, value_delimiter = ',', default_values_t = ["gunicorn_gthread", "bjoern", "gevent"].map(String::from))]
    servers: Vec<String>,
    /// Gates on identical arms, of all servers together.
    #[arg(long, default_value_t = 30)]
    identical: usize,
    /// Gates of each planted size, of all servers together but for those of `--certain`.
    #[arg(long, default_value_t = 20)]
    planted: usize,
    /// Planted server CPU time per request, percent.
    #[arg(long, value_delimiter = ',', default_values_t = [5, 10])]
    sizes: Vec<u32>,
    /// The server that each planted size is tried on `--planted` times; the others share as many again.
    #[arg(long, default_value = "gunicorn_gthread")]
    certain: String,
    /// The commit of the base arm.
    #[arg(long, default_value = "HEAD")]
    against: String,
    /// Warm-up of a launch, seconds.
    #[arg(long, default_value_t = 0.3)]
    warm_up_time: f64,
    /// Length of a launch's one round, seconds.
    #[arg(long, default_value_t = 1.0)]
    measurement_time: f64,
    /// Longest time of one gate, seconds; it decides how many blocks are planned.
    #[arg(long, default_value_t = 120)]
    budget: u32,
    /// Gates to run now, at most; all that are missing by default.
    #[arg(long)]
    only: Option<usize>,
    /// Where the outcomes are kept.
    #[arg(long)]
    book: Option<PathBuf>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    // The reference load's server is this program, too.
    wsgibench_harness::null_server::maybe_serve();
    if let Some(status) = gate::maybe_run() {
        return status;
    }
    let options = Options::parse();
    if !options.bench {
        // `cargo test` starts bench targets, too; a measurement has no place among tests.
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
    let path = match &options.book {
        Some(path) => path.clone(),
        None => gate::store().root().join("gates.jsonl"),
    };
    let mut book = Book::open(path)?;
    let missing = plan::missing(options, &book);
    let now = options.only.unwrap_or(missing.len()).min(missing.len());
    println!(
        "{} gates are in {}; {} are missing",
        book.gates().count(),
        book.path().display(),
        missing.len()
    );
    if now > 0 {
        let bench = Bench::new(options)?;
        for (number, wanted) in missing.iter().take(now).enumerate() {
            let rounds = match wanted.size {
                0 => 0,
                size => plan::rounds(&bench, &mut book, &wanted.server, size)?,
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
            book.add(entry)?;
        }
    }
    analysis::print(&book);
    Ok(())
}
