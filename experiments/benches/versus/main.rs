//! Compares the load generator with wrk, oha and h2load against the same null server on the same network path.
//!
//!     cargo bench -p wsgibench-experiments --bench versus                          the comparison, about ten minutes
//!     cargo bench -p wsgibench-experiments --bench versus -- --repetitions 3 --seconds 1    a quick check
//!     cargo bench -p wsgibench-experiments --bench versus -- --script              with scripted users
//!     cargo bench -p wsgibench-experiments --bench versus -- --oracles             known latencies instead
//!     cargo bench -p wsgibench-experiments --bench versus -- --parity              real servers under wsgibench and wrk instead
//!
//! Each client is a separate process on one core, accounted by the kernel (user and system time, peak memory); the server is
//! a process on another core. Repetitions are interleaved in random order. The table and `target/wsgibench/versus.json` give
//! medians; a missing client is an error.

mod clients;
mod compare;
mod engine;
mod hyper_client;
mod oracles;
mod output;
mod parity;
mod runner;
#[path = "../shared/testbed.rs"]
mod testbed;

use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser;
use clients::Client;

/// Compares the load engine with wrk, oha and h2load against the same null server.
#[derive(Debug, Parser)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[command(name = "versus")]
struct Options {
    /// Runs of each client at each number of connections.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    repetitions: u32,
    /// Length of a run, whole seconds.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Numbers of connections.
    #[arg(long, value_delimiter = ',', default_values_t = [64, 1_000, 10_000])]
    connections: Vec<usize>,
    /// Clients to compare.
    #[arg(long, value_delimiter = ',', default_values_t = Client::PEERS_AND_US)]
    clients: Vec<Client>,
    /// Also measure scripted users, and hyper's client, which they use.
    #[arg(long)]
    script: bool,
    /// CPU of the null server.
    #[arg(long, default_value_t = 0)]
    server_cpu: usize,
    /// CPU of the client.
    #[arg(long, default_value_t = 1)]
    client_cpu: usize,
    /// Seed of the order of the runs.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Compare measured latencies with known ones, instead of comparing clients.
    #[arg(long)]
    oracles: bool,
    /// The oracles whose names contain this (lag, freeze, censored, delays, memory); all by default.
    #[arg(long, requires = "oracles", default_value = "")]
    only: String,
    /// Compare the throughput of real servers under wsgibench and wrk, instead of CPU time of clients.
    #[arg(long, conflicts_with = "oracles")]
    parity: bool,
    /// The servers of --parity.
    #[arg(long, requires = "parity", value_delimiter = ',', default_values_t = ["bjoern", "gunicorn_gthread"].map(String::from))]
    servers: Vec<String>,
    /// Passed by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    // This program is also the null server, the engine's process and the runner that accounts for clients.
    wsgibench_harness::null_server::maybe_serve();
    let outcome = match engine::maybe_run()
        .or_else(hyper_client::maybe_run)
        .or_else(runner::maybe_run)
    {
        Some(outcome) => outcome.map(|()| true),
        None => run(&Options::parse()),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("versus: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<bool> {
    if !options.bench {
        // `cargo test` also starts bench targets, and must not measure.
        println!("versus measures only under `cargo bench -p wsgibench-experiments --bench versus`");
        return Ok(true);
    }
    ensure!(
        options.connections.iter().all(|&n| n > 0),
        "--connections must be at least 1"
    );
    let cpus = std::thread::available_parallelism()?.get();
    ensure!(
        options.server_cpu != options.client_cpu,
        "server and client need one CPU each, and this machine has {cpus}; choose them with --server-cpu and --client-cpu"
    );
    if options.oracles {
        return oracles::run(options);
    }
    if options.parity {
        return parity::run(options);
    }
    compare::run(options).map(|()| true)
}
