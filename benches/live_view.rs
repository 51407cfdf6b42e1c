//! Does watching disturb? Pairs of runs of the same case, one drawn in a terminal as it goes and one that nobody watches, in
//! turns and in random order within a pair.
//!
//!     cargo bench --bench live_view                                     twenty pairs, about ten minutes
//!     cargo bench --bench live_view -- --pairs 60 --case '^ping/bjoern/c64$'
//!
//! Each run is a process of its own. The watched one gets a pseudo-terminal from util-linux's `script`, so that it draws what
//! it draws for a person; the other is `--quiet` without one. Server CPU per request must be equal within 1 % and p99 within
//! 5 %: equal means that the whole 90 % interval of the pairs' log ratios lies inside (two one-sided tests).

use std::{
    path::Path,
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;
use rand::{RngExt as _, SeedableRng as _};
use wsgibench_harness::{
    report::figures::Figures,
    stats::{Metric, estimate::t_interval, sample::mean},
    store::Store,
};
use wsgibench_suites as _;

/// Tells the program that it is one of the runs.
const RUN: &str = "WSGIBENCH_LIVE_VIEW_RUN";

/// What is compared, and within what it counts as equal.
const METRICS: [(Metric, f64); 2] = [(Metric::CpuPerRequest, 0.01), (Metric::P99, 0.05)];

/// Compares runs with and without the live view.
#[derive(Debug, Parser)]
#[command(name = "live_view")]
struct Options {
    /// Pairs of runs.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(2..))]
    pairs: u32,
    /// Regular expression of the one case that is measured.
    #[arg(long, default_value = "^ping/waitress/c64$")]
    case: String,
    /// Length of a round, seconds.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Where servers run.
    #[arg(long, default_value = "auto")]
    sandbox: String,
    /// Seed of the order within the pairs.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    // The server that the client's ceiling is measured against is this program, too.
    wsgibench_harness::null_server::maybe_serve();
    if std::env::var_os(RUN).is_some() {
        return wsgibench_harness::cli::run_main(env!("CARGO_MANIFEST_DIR"), env!("CARGO_CRATE_NAME"));
    }
    match compare(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("live_view: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Measures the pairs; `true` unless a metric certainly differs by more than its margin.
fn compare(options: &Options) -> Result<bool> {
    if !options.bench {
        // `cargo test` starts bench targets, too; a measurement has no place among tests.
        println!("live_view measures only under `cargo bench --bench live_view`");
        return Ok(true);
    }
    ensure!(
        options.seconds.is_finite() && options.seconds > 0.0,
        "--seconds must be more than 0"
    );
    // A folder of its own beside the builds: its runs are no runs of the user's.
    let target = wsgibench_harness::cli::target_dir(env!("CARGO_MANIFEST_DIR").as_ref()).join("live_view");
    let mut order = rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(options.seed);
    let mut ratios: Vec<[f64; METRICS.len()]> = Vec::new();
    // The first run of all builds what is needed and is not counted.
    println!("preparing {}", options.case);
    run(options, &target, false)?;
    for pair in 1..=options.pairs {
        let watched_first = order.random_bool(0.5);
        let first = run(options, &target, watched_first)?;
        let second = run(options, &target, !watched_first)?;
        let (watched, alone) = if watched_first {
            (first, second)
        } else {
            (second, first)
        };
        let ratio = std::array::from_fn(|i| (watched[i] / alone[i]).ln());
        println!(
            "pair {pair} of {}: CPU per request {:+.2} %, p99 {:+.2} %",
            options.pairs,
            percent(ratio[0]),
            percent(ratio[1])
        );
        ratios.push(ratio);
    }
    Ok(conclude(&ratios))
}

fn conclude(ratios: &[[f64; METRICS.len()]]) -> bool {
    let mut sound = true;
    for (index, (metric, margin)) in METRICS.into_iter().enumerate() {
        let values: Vec<f64> = ratios.iter().map(|ratio| ratio[index]).collect();
        let (interval, _) = t_interval(&values, 0.90);
        let edge = margin.ln_1p();
        let verdict = if interval.low > -edge && interval.high < edge {
            "equal"
        } else if interval.low > edge || interval.high < -edge {
            sound = false;
            "DIFFERENT"
        } else {
            "not decided: more pairs, or a quieter machine"
        };
        println!(
            "{}: {:+.2} % [{:+.2} % {:+.2} %] with the live view, margin {:.0} %: {verdict}",
            metric.title(),
            percent(mean(&values)),
            percent(interval.low),
            percent(interval.high),
            margin * 100.0
        );
    }
    sound
}

/// One run of the case; its metrics.
fn run(options: &Options, target: &Path, watched: bool) -> Result<[f64; METRICS.len()]> {
    let program = std::env::current_exe().context("the name of this program")?;
    let seconds = options.seconds.to_string();
    let mut arguments: Vec<&str> = vec!["--bench", &options.case, "--launches", "1", "--rounds", "1", "--noplot"];
    arguments.extend([
        "--warm-up-time",
        "1",
        "--measurement-time",
        &seconds,
        "--sandbox",
        &options.sandbox,
    ]);
    let mut command = if watched {
        let line: Vec<String> = std::iter::once(program.to_str().context("the program's path is not Unicode")?)
            .chain(arguments)
            .map(quoted)
            .collect();
        let mut command = Command::new("script");
        command
            .args(["-q", "-e", "-c", &line.join(" "), "/dev/null"])
            .env("TERM", "xterm-256color");
        command
    } else {
        let mut command = Command::new(program);
        command.args(arguments).arg("--quiet");
        command
    };
    let output = command
        .env(RUN, "1")
        .env("CARGO_TARGET_DIR", target)
        .env_remove("NO_COLOR")
        .stdin(Stdio::null())
        .output()
        .context("`script` of util-linux is needed for a terminal to draw in (Debian: bsdutils)")?;
    if !output.status.success() {
        bail!(
            "the run ended with {}:\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let drawn = output.stdout.windows(5).any(|bytes| bytes == b"req/s") && output.stdout.contains(&0x1b);
    ensure!(
        drawn == watched,
        "the live view was {}drawn",
        if drawn { "" } else { "not " }
    );
    let run = Store::new(target).read("latest")?;
    let [case] = run.cases.as_slice() else {
        bail!("{} cases match {}: name one", run.cases.len(), options.case);
    };
    let figures = Figures::of(case);
    let mut values = [0.0; METRICS.len()];
    for (value, (metric, _)) in values.iter_mut().zip(METRICS) {
        let summary = figures.metrics.get(&metric);
        *value = summary
            .with_context(|| format!("{} has no {}", case.id, metric.title()))?
            .mean
            .point;
    }
    Ok(values)
}

/// For `sh`.
fn quoted(argument: &str) -> String {
    format!("'{}'", argument.replace('\'', r"'\''"))
}

fn percent(log_ratio: f64) -> f64 {
    log_ratio.exp_m1() * 100.0
}
