//! Measures how often the observation of ordinary rounds names a planted wait, and how often it names one of a control.
//!
//!     cargo bench -p wsgibench-experiments --bench waits                      20 repetitions; resumes where it stopped
//!     cargo bench -p wsgibench-experiments --bench waits -- --only 1          one repetition more, then the figures so far
//!     cargo bench -p wsgibench-experiments --bench waits -- --only 0          the figures so far
//!     cargo bench -p wsgibench-experiments --bench waits -- --cost 10         what the observer costs, in ten launches
//!
//! A repetition measures each planted server in one launch of one round, with this program as the bench: in containers, and where
//! a disk is needed, as a process. Each server is one line of `experiments/recordings/waits.jsonl` (or of `--recording`).

#[path = "../shared/recording.rs"]
mod recording;
#[path = "../shared/testbed.rs"]
mod testbed;

use std::{
    fs,
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::Parser;
use comfy_table::Table;
use serde::{Deserialize, Serialize};
use wsgibench_harness::{
    load::{Edge, LoadPlan, Session},
    measure::wait_observer::{self, Observed, Observer, Signals},
    prelude::*,
    report::waits,
    stats::{
        distribution::t_quantile,
        sample::{float, mean, std_dev},
    },
    store::record::RunRecord,
};

use testbed::Testbed;

/// Environment variable that marks this program as the bench.
const RUN: &str = "WSGIBENCH_WAITS_RUN";

/// Folder of the planted servers, relative to this package.
const APP: &str = "../wsgibench-harness/tests/whole_bench/app";

/// Planted servers, and how a right diagnosis contains it; `None` for controls, of which nothing may be named.
const PLANTS: [(&str, Option<&str>); 10] = [
    ("imbalanced", Some("imbalanced workers: ")),
    ("queued", Some("accept queue: ")),
    ("overflowing", Some("accept queue overflowed ")),
    ("sleeping", Some("sleep: ")),
    ("remote", Some("socket to store:9000: ")),
    ("locked", Some("lock: ")),
    ("disk", Some("disk")),
    ("balanced", None),
    ("busy", None),
    ("pooled", None),
];

/// A server whose requests wait for something known.
#[server(plant = [
    "imbalanced", "queued", "overflowing", "sleeping", "remote", "locked", "disk", "balanced", "busy", "pooled",
])]
fn planted(plant: &str) -> Server {
    let server = Server::dockerfile(APP).app(APP);
    if plant != "remote" {
        return server.command(["python3", "planted.py", "{port}", plant]);
    }
    // The companion is the server that sleeps.
    let companion = Companion::dockerfile("store", APP)
        .command(["python3", "/planted.py", "9000", "sleeping"])
        .port(9000);
    server
        .command(["python3", "planted.py", "{port}", plant, "store", "9000"])
        .with_companion(companion)
}

/// A server whose CPU time per request is compared with and without the observer.
#[server]
fn threads() -> Server {
    let command = "gunicorn --worker-class gthread --workers 1 --threads 4 --bind {host}:{port} --backlog 4096 --keep-alive 75 \
                   --worker-connections 12000 --no-control-socket --worker-tmp-dir /dev/shm application:application";
    Server::dockerfile("../suites/images/gunicorn")
        .app("benches/functions/app")
        .command(command.split_whitespace())
        .opt_in()
}

#[scenario(servers = [planted], connections = [8])]
fn waiting(connections: usize) -> Load {
    Load::closed(connections).request(get("/").expect_status(200))
}

/// Plant waits and report how often they are named
#[derive(Debug, Parser)]
#[command(name = "waits")]
struct Options {
    /// Number of repetitions
    #[arg(long, default_value_t = 20)]
    repetitions: usize,
    /// Length of a round, seconds
    #[arg(long, default_value_t = 1.2)]
    measurement_time: f64,
    /// Maximum number of repetitions to run now [default: all that are missing]
    #[arg(long)]
    only: Option<usize>,
    /// Measure instead what the observer costs, in so many launches of alternately observed rounds
    #[arg(long)]
    cost: Option<u64>,
    /// CPU of the server whose cost is measured
    #[arg(long, default_value_t = 0)]
    server_cpu: usize,
    /// CPU of its load generator
    #[arg(long, default_value_t = 1)]
    load_cpu: usize,
    /// File with the diagnoses
    #[arg(long)]
    recording: Option<PathBuf>,
    /// Passed by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// One line of the recording.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Line {
    plant: String,
    /// The diagnosis; `None` if nothing was named.
    named: Option<String>,
    /// CPU time of the observer as a share of one CPU.
    cost: f64,
}

impl Line {
    fn is_right(&self) -> bool {
        let known = PLANTS.iter().find(|(plant, _)| *plant == self.plant);
        match (known.and_then(|(_, wanted)| *wanted), &self.named) {
            (Some(wanted), Some(named)) => named.contains(wanted),
            (None, None) => true,
            _ => false,
        }
    }
}

fn main() -> ExitCode {
    wsgibench_harness::null_server::maybe_serve();
    if std::env::var_os(RUN).is_some() {
        return wsgibench_harness::cli::run_main(env!("CARGO_MANIFEST_DIR"), env!("CARGO_PKG_NAME"), "waits");
    }
    let options = Options::parse();
    if !options.bench {
        // `cargo test` also starts bench targets, and must not measure.
        println!("waits measures only under `cargo bench -p wsgibench-experiments --bench waits`");
        return ExitCode::SUCCESS;
    }
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("waits: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    if let Some(launches) = options.cost {
        return cost(options, launches);
    }
    let file = recording::path("waits", options.recording.as_ref());
    let mut lines: Vec<Line> = recording::read(&file)?;
    let completed = |lines: &[Line]| {
        let of = |plant: &str| lines.iter().filter(|line| line.plant == plant).count();
        PLANTS.iter().map(|(plant, _)| of(plant)).min().unwrap_or(0)
    };
    let missing = options.repetitions.saturating_sub(completed(&lines));
    for _ in 0..options.only.unwrap_or(missing).min(missing) {
        let number = completed(&lines);
        // Disks of containers are memory, and companions need containers.
        let in_containers: &[&str] = &["waiting/planted", "--skip", "plant=disk"];
        for (sandbox, selection) in [("docker", in_containers), ("process", &["plant=disk"])] {
            for line in measure(options, sandbox, selection, number)? {
                let already = lines.iter().filter(|known| known.plant == line.plant).count();
                if already > number {
                    continue;
                }
                println!(
                    "{:>3}/{} {:<12} {} {}",
                    number + 1,
                    options.repetitions,
                    line.plant,
                    if line.is_right() { "right:" } else { "WRONG:" },
                    line.named.as_deref().unwrap_or("nothing")
                );
                recording::append(&file, &line)?;
                lines.push(line);
            }
        }
    }
    report(&lines);
    Ok(())
}

/// Runs the bench once.
fn measure(options: &Options, sandbox: &str, selection: &[&str], number: usize) -> Result<Vec<Line>> {
    let folder = tempfile::tempdir().context("a folder for the run")?;
    let mut command = Command::new(std::env::current_exe().context("the name of this program")?);
    command
        .args(["--bench", "--sandbox", sandbox, "--launches", "1", "--rounds", "1"])
        .args(["--warm-up-time", "0.5", "--seed", &number.to_string()])
        .args(["--measurement-time", &options.measurement_time.to_string()])
        .args(selection)
        .env(RUN, "1")
        .env("CARGO_TARGET_DIR", folder.path())
        .stdout(Stdio::null());
    let status = command.status().context("the bench")?;
    if !status.success() {
        bail!("the bench ended with {status}");
    }
    let runs = folder.path().join("wsgibench/runs");
    let entry = fs::read_dir(&runs)
        .with_context(|| runs.display().to_string())?
        .next()
        .context("the bench recorded no run")??;
    let text = fs::read_to_string(entry.path().join("run.json"))?;
    let run: RunRecord = serde_json::from_str(&text).context("run.json")?;
    let mut lines = Vec::new();
    for case in &run.cases {
        let Some((_, plant)) = case.server.split_once("plant=") else {
            bail!("{}: is no planted server", case.server);
        };
        let Some(diagnosis) = waits::of_case(case) else {
            bail!("{}: was not observed: {:?}", case.id, case.outcome);
        };
        lines.push(Line {
            plant: plant.to_owned(),
            named: diagnosis.line(),
            cost: diagnosis.cost,
        });
    }
    Ok(lines)
}

/// Rounds of a launch whose cost is measured; half of them are observed.
const ROUNDS: u32 = 8;

/// Compares the CPU time per request of rounds with and without the observer, alternately in each launch.
fn cost(options: &Options, launches: u64) -> Result<()> {
    let bed = Testbed::open("waits", options.server_cpu)?;
    let server = bed.prepare("threads")?;
    let length = Duration::from_secs_f64(options.measurement_time);
    let (mut ratios, mut shares) = (Vec::new(), Vec::new());
    for number in 0..launches {
        let (ratio, share) = bed.with_launch(&server, |started| {
            let opened = Observed::open(started, server.spec.port, 1.0, length * (ROUNDS / 2));
            let mut observer = Observer::new(vec![opened], ROUNDS / 2, Some(options.load_cpu), number);
            let load = Load::closed(16).request(get("/").expect_status(200));
            let mut plan = LoadPlan::new(server.spec.target(started.address()), load);
            plan.cpus = vec![options.load_cpu];
            plan.seed = number;
            let mut session = Session::start(&plan)?;
            session.warm_up(Duration::from_secs(1))?;
            let (mut logs, mut spent) = ([Vec::new(), Vec::new()], Vec::new());
            for round in 0..ROUNDS {
                let signals = Signals::default();
                let is_observed = (u64::from(round) + number).is_multiple_of(2) && observer.begin(length);
                let cpu = || started.usage().map(|usage| usage.cpu_total_seconds).ok();
                let mut edges = (None, None);
                let mut records = Vec::new();
                let result = thread::scope(|scope| {
                    let observing = is_observed.then(|| scope.spawn(|| observer.observe(&signals)));
                    let result = session.round_observed(length, &mut |edge| match edge {
                        Edge::Start => {
                            edges.0 = cpu();
                            signals.loaded(0);
                        }
                        Edge::End => {
                            signals.idle();
                            edges.1 = cpu();
                        }
                    });
                    records = wait_observer::finish(&signals, observing);
                    result
                })?;
                let used = edges.1.zip(edges.0).map(|(after, before)| after - before);
                let done = f64::from(u32::try_from(result.counts.done)?);
                logs[usize::from(is_observed)].push((used.context("CPU time of the server")? / done).ln());
                spent.extend(
                    records
                        .iter()
                        .map(|record| record.observer_cpu_seconds / result.seconds),
                );
            }
            session.finish()?;
            Ok((mean(&logs[1]) - mean(&logs[0]), mean(&spent)))
        })?;
        println!(
            "{:>3}/{launches} observed rounds take {:+.2} % CPU per request; the observer takes {:.2} % of a CPU",
            number + 1,
            ratio.exp_m1() * 100.0,
            share * 100.0
        );
        ratios.push(ratio);
        shares.push(share);
    }
    bed.close();
    let half = t_quantile(0.95, float(ratios.len().saturating_sub(1))) * std_dev(&ratios) / float(ratios.len()).sqrt();
    println!(
        "the observer takes {:.2} % of a CPU, at most {:.2} % in a launch, and changes CPU per request by {:+.2} % [{:+.2} %, {:+.2} %] \
         (90 %)",
        mean(&shares) * 100.0,
        shares.iter().copied().fold(0.0, f64::max) * 100.0,
        mean(&ratios).exp_m1() * 100.0,
        (mean(&ratios) - half).exp_m1() * 100.0,
        (mean(&ratios) + half).exp_m1() * 100.0
    );
    Ok(())
}

fn report(lines: &[Line]) {
    let mut table = Table::new();
    table.set_header(["planted", "right", "of", "CPU of the observer", "a wrong one"]);
    for (plant, _) in PLANTS {
        let of: Vec<&Line> = lines.iter().filter(|line| line.plant == plant).collect();
        if of.is_empty() {
            continue;
        }
        let right = of.iter().filter(|line| line.is_right()).count();
        let wrong = of.iter().find(|line| !line.is_right());
        let cost = mean(&of.iter().map(|line| line.cost).collect::<Vec<f64>>());
        table.add_row([
            plant.to_owned(),
            right.to_string(),
            of.len().to_string(),
            format!("{:.2} %", cost * 100.0),
            wrong.map_or_else(String::new, |line| {
                line.named.clone().unwrap_or_else(|| "nothing".to_owned())
            }),
        ]);
    }
    println!("{table}");
    let costs: Vec<f64> = lines.iter().map(|line| line.cost).collect();
    if !costs.is_empty() {
        println!(
            "observer: {:.2} % of one CPU on average, at most {:.2} % in {} rounds",
            mean(&costs) * 100.0,
            costs.iter().copied().fold(0.0, f64::max) * 100.0,
            costs.len()
        );
    }
}
