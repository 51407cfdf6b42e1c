//! Experiments on counts: their scatter, planted changes, identical gates, busy neighbours, and false alarms by simulation.
//!
//!     cargo bench -p wsgibench-experiments --bench counts -- all                        everything below; resumable
//!     cargo bench -p wsgibench-experiments --bench counts -- --count --launches 10      scatter over ten launches
//!     cargo bench -p wsgibench-experiments --bench counts -- gates bjoern 60            identical gates; resumable
//!     cargo bench -p wsgibench-experiments --bench counts -- gates bjoern 20 work=1     gates on planted work; also calls=1,
//!                                                                                       statements=1
//!     cargo bench -p wsgibench-experiments --bench counts -- neighbours bjoern          counts while all CPUs are busy
//!     cargo bench -p wsgibench-experiments --bench counts -- simulation                 20,000 families of identical arms
//!
//! Gates compare with HEAD, so commit first. Each gate's result is a line of `experiments/recordings/counted-gates.jsonl`; the
//! same command continues where it ended.

mod neighbours;
#[path = "../shared/recording.rs"]
mod recording;
mod simulation;

use std::{
    path::Path,
    process::{Command, ExitCode},
    time::Instant,
};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use wsgibench_harness::{prelude::*, stats::distribution::proportion_upper_bound};

fn planted(image: &str, command: &str) -> Server {
    Server::dockerfile(format!("../suites/images/{image}"))
        .app("benches/counts/app")
        .env("PLANTED_WORK", "0")
        .env("PLANTED_CALLS", "0")
        .command(command.split_whitespace())
}

/// bjoern, one process.
#[server]
fn bjoern() -> Server {
    planted(
        "bjoern",
        "python -m wsgibench_serve --port {port} --workers 1 application:application",
    )
}

/// Gunicorn's threads.
#[server]
fn gthread() -> Server {
    planted(
        "gunicorn",
        "gunicorn --worker-class gthread --workers 1 --threads 4 --bind {host}:{port} --keep-alive 75 --no-control-socket \
         --worker-tmp-dir /dev/shm application:application",
    )
}

/// The standard library's server.
#[server]
fn wsgiref() -> Server {
    planted(
        "wsgiref",
        "python -m wsgibench_serve --port {port} application:application",
    )
}

/// Gunicorn's threads with a database.
#[server]
fn database() -> Server {
    let image = Companion::dockerfile("database", "../suites/images/postgresql");
    gthread()
        .env(
            "WSGIBENCH_DATABASE",
            "host=database port=5432 user=bench dbname=postgres sslmode=disable gssencmode=disable",
        )
        .env("PLANTED_STATEMENTS", "0")
        .with_companion(image.port(5432).confined().counts_statements_by([
            "psql",
            "--host=/tmp",
            "--username=bench",
            "--dbname=postgres",
            "-Atc",
            "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements",
        ]))
}

/// Gates of `all`: server, number of gates, planted change.
const GATES: [(&str, &str, Option<&str>); 8] = [
    ("bjoern", "20", Some("work=3")),
    ("gthread", "20", Some("work=100")),
    ("bjoern", "20", Some("calls=1")),
    ("wsgiref", "20", Some("calls=1")),
    ("gthread", "20", Some("calls=3")),
    ("database", "20", Some("statements=1")),
    ("bjoern", "60", None),
    ("gthread", "60", None),
];

#[scenario(connections = [1])]
fn ping(connections: usize) -> Load {
    Load::closed(connections).request(get("/").expect_status(200).expect_body("OK"))
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ended = match words[..] {
        ["simulation"] => {
            simulation::run();
            Ok(())
        }
        ["all"] => all(),
        ["neighbours", server] => neighbours::compare(server),
        ["gates", server, gates] => run_gates(server, gates, None),
        ["gates", server, gates, plant] => run_gates(server, gates, Some(plant)),
        _ => {
            return wsgibench_harness::cli::run_main(
                env!("CARGO_MANIFEST_DIR"),
                env!("CARGO_PKG_NAME"),
                env!("CARGO_CRATE_NAME"),
            );
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn all() -> Result<()> {
    simulation::run();
    for server in ["bjoern", "gthread"] {
        neighbours::compare(server)?;
    }
    for (server, gates, plant) in GATES {
        run_gates(server, gates, plant)?;
    }
    Ok(())
}

/// A gate that has ended.
#[derive(Debug, Serialize, Deserialize)]
struct Gate {
    /// Server and planted change.
    kind: String,
    /// Exit status.
    status: i64,
    /// Wall time.
    seconds: f64,
}

/// Runs gates until there are `gates` of this kind on record, and prints what they decided.
fn run_gates(server: &str, gates: &str, plant: Option<&str>) -> Result<()> {
    let gates: usize = gates.parse().context("the number of gates")?;
    let kind = format!("{server} {}", plant.unwrap_or("identical"));
    let root = wsgibench_harness::cli::target_dir(Path::new(env!("CARGO_MANIFEST_DIR"))).join("wsgibench");
    let file = recording::path("counted-gates", None);
    let mut done: Vec<Gate> = recording::read(&file)?;
    done.retain(|gate| gate.kind == kind);
    while done.len() < gates {
        let (status, seconds) = gate(server, plant, &root)?;
        let gate = Gate {
            kind: kind.clone(),
            status,
            seconds,
        };
        recording::append(&file, &gate)?;
        done.push(gate);
        eprintln!(
            "{kind}: gate {} of {gates} ended with {status} after {seconds:.0} s",
            done.len()
        );
    }
    summarise(&kind, &done);
    Ok(())
}

/// Runs one gate in a process of its own.
fn gate(server: &str, plant: Option<&str>, root: &Path) -> Result<(i64, f64)> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([
        "--bench",
        "--count",
        "--against",
        "HEAD",
        "--gate",
        "--noplot",
        "--quiet",
        "--server",
        server,
    ]);
    match plant.map(|plant| plant.split_once('=')) {
        None => {}
        Some(Some(("work", amount))) => drop(command.arg(format!("--candidate-env=PLANTED_WORK={amount}"))),
        Some(Some(("calls", amount))) => drop(command.arg(format!("--candidate-env=PLANTED_CALLS={amount}"))),
        Some(Some(("statements", amount))) => drop(command.arg(format!("--candidate-env=PLANTED_STATEMENTS={amount}"))),
        Some(_) => bail!("a plant is work=N, calls=N or statements=N"),
    }
    let begun = Instant::now();
    let status = command.status()?.code();
    let Some(status) = status.filter(|status| [0, 3, 5].contains(status)) else {
        bail!(
            "the gate ended with {status:?}; see {}",
            root.join("verdict.json").display()
        );
    };
    Ok((i64::from(status), begun.elapsed().as_secs_f64()))
}

fn summarise(kind: &str, gates: &[Gate]) {
    let of = |status: i64| gates.iter().filter(|gate| gate.status == status).count();
    let mut seconds: Vec<f64> = gates.iter().map(|gate| gate.seconds).collect();
    seconds.sort_by(f64::total_cmp);
    println!(
        "{kind}: {} gates: {} passed, {} regressions, {} without a verdict; median {:.0} s; at most {:.1} % regressions (95 %)",
        gates.len(),
        of(0),
        of(3),
        of(5),
        seconds[seconds.len() / 2],
        proportion_upper_bound(of(3), gates.len(), 0.95) * 100.0
    );
}
