//! Measures whether the live view disturbs a measurement: the same launch of a server with and without the live view drawn
//! in a terminal, interleaved.
//!
//!     cargo bench -p wsgibench-experiments --bench live_view                       8 launches of 60 s: about 9 minutes
//!     cargo bench -p wsgibench-experiments --bench live_view -- --launches 3 --seconds 20
//!
//! The load alternates between slices (with, without, without, with, ...), so that both see the same machine speed. Each
//! launch gives one log ratio of CPU time per request and one of p99. They are equal if the 90 % interval of the mean lies
//! within 1 % and 5 % (two one-sided tests).

#[path = "shared/testbed.rs"]
mod testbed;

use std::{
    path::Path,
    process::{Command, ExitCode, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use serde::{Deserialize, Serialize};
use testbed::Testbed;
use wsgibench_harness::{
    load::{Edge, Latency, Load, LoadPlan, Session, Target, get},
    measure::event::Event,
    report::{
        Listener,
        terminal::{self, Terminal},
        units::float,
    },
    sandbox::{Launch, Usage},
    stats::{estimate::t_interval, sample::mean},
};

/// Environment variable with the file to which the child process writes its results.
const RUN: &str = "WSGIBENCH_LIVE_VIEW_FILE";

/// Interval between two updates, as in a run.
const TICK: Duration = Duration::from_millis(200);

/// Compare a load with and without the live view
#[derive(Debug, Parser)]
#[command(name = "live_view")]
struct Options {
    /// Launches, each one log ratio.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(2..))]
    launches: u32,
    /// Load of each launch, seconds: half of it watched.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Length of a slice, milliseconds.
    #[arg(long, default_value_t = 200)]
    slice: u64,
    /// The server.
    #[arg(long, default_value = "waitress")]
    server: String,
    /// Connections of the closed loop.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// CPU of the server.
    #[arg(long, default_value_t = 0)]
    server_cpu: usize,
    /// CPU of the load.
    #[arg(long, default_value_t = 1)]
    client_cpu: usize,
    /// Passed by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// `ln(watched / alone)` of a launch.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Ratios {
    cpu_per_request: f64,
    p99: f64,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if !options.bench {
        // `cargo test` also starts bench targets, and must not measure.
        println!("live_view measures only under `cargo bench -p wsgibench-experiments --bench live_view`");
        return ExitCode::SUCCESS;
    }
    let outcome = match std::env::var_os(RUN) {
        Some(file) => measure(&options, Path::new(&file)).map(|()| true),
        None => in_a_terminal().map(|ratios| conclude(&ratios)),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("live_view: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs this program again with a terminal as standard error, and checks that the live view was drawn.
fn in_a_terminal() -> Result<Vec<Ratios>> {
    let file = tempfile::NamedTempFile::new()?;
    let program = std::env::current_exe().context("the name of this program")?;
    let line: Vec<String> = std::iter::once(
        program
            .to_str()
            .context("the program's path is not Unicode")?
            .to_owned(),
    )
    .chain(std::env::args().skip(1))
    .map(|word| quoted(&word))
    .collect();
    let output = Command::new("script")
        .args(["-q", "-e", "-c", &line.join(" "), "/dev/null"])
        .env(RUN, file.path())
        .env("TERM", "xterm-256color")
        .env_remove("NO_COLOR")
        .stdin(Stdio::null())
        .output()
        .context("`script` of util-linux is needed for a terminal to draw in (Debian: bsdutils)")?;
    let screen = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "the run ended with {}:\n{screen}",
        output.status
    );
    ensure!(screen.contains("req/s"), "the live view was not drawn");
    serde_json::from_slice(&std::fs::read(file.path())?).context("the figures of the run")
}

/// Quotes an argument for `sh`.
fn quoted(argument: &str) -> String {
    format!("'{}'", argument.replace('\'', r"'\''"))
}

/// Measures all launches and writes their ratios to `file`.
fn measure(options: &Options, file: &Path) -> Result<()> {
    let testbed = Testbed::open("live-view", options.server_cpu)?;
    let server = testbed.prepare(&options.server)?;
    let mut ratios = Vec::new();
    for _ in 0..options.launches {
        ratios.push(testbed.with_launch(&server, |launch| of_launch(options, launch))?);
    }
    testbed.close();
    std::fs::write(file, serde_json::to_vec(&ratios)?)?;
    Ok(())
}

/// Sums over the slices of one kind.
#[derive(Default)]
struct Sum {
    cpu_seconds: f64,
    requests: u64,
    response: Latency,
}

impl Sum {
    fn cpu_per_request(&self) -> f64 {
        self.cpu_seconds / float(self.requests)
    }

    fn p99(&self) -> f64 {
        float(self.response.quantile(0.99).ns)
    }
}

fn of_launch(options: &Options, launch: &Launch) -> Result<Ratios> {
    let target = Target::new(launch.address(), "live-view");
    let load = Load::closed(options.connections).request(get("/").expect_status(200));
    let mut plan = LoadPlan::new(target, load);
    plan.cpus = vec![options.client_cpu];
    let mut session = Session::start(&plan)?;
    session.slice_observed(Duration::from_secs(1), &mut |_| {})?;
    let mut view = Terminal::new(terminal::Options {
        results: false,
        quiet: false,
        verbose: false,
        interactive: true,
    });
    let slice = Duration::from_millis(options.slice);
    let pairs = Duration::from_secs(options.seconds.into()).as_millis() / slice.as_millis().max(1) / 2;
    let mut sums = [Sum::default(), Sum::default()];
    for pair in 0..pairs {
        for watched in if pair % 2 == 0 { [true, false] } else { [false, true] } {
            one_slice(
                &mut session,
                launch,
                slice,
                watched.then_some(&mut view),
                &mut sums[usize::from(watched)],
            )?;
        }
    }
    session.finish()?;
    let [alone, watched] = sums;
    Ok(Ratios {
        cpu_per_request: (watched.cpu_per_request() / alone.cpu_per_request()).ln(),
        p99: (watched.p99() / alone.p99()).ln(),
    })
}

/// Runs one slice. As in a run, the server's usage is read five times a second; the view, if any, is updated with it.
fn one_slice(
    session: &mut Session,
    launch: &Launch,
    length: Duration,
    mut view: Option<&mut Terminal>,
    sum: &mut Sum,
) -> Result<()> {
    let done = AtomicBool::new(false);
    let watch = session.watch();
    let mut edges = [Usage::default(), Usage::default()];
    let result = thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let begun = Instant::now();
            let mut last = (0.0, 0, launch.usage().unwrap_or_default());
            while !done.load(Ordering::Relaxed) {
                let now = (
                    begun.elapsed().as_secs_f64(),
                    watch.live(),
                    launch.usage().unwrap_or_default(),
                );
                let since = (now.0 - last.0).max(1e-3);
                if let Some(view) = &mut view {
                    view.on(&Event::Live {
                        case: "live view".into(),
                        elapsed: begun.elapsed(),
                        of: length,
                        requests_per_second: float(now.1.done.saturating_sub(last.1)) / since,
                        p99_ns: now.1.p99_ns,
                        errors: now.1.errors,
                        server_cores: (now.2.cpu_total_seconds - last.2.cpu_total_seconds) / since,
                    });
                }
                last = (now.0, now.1.done, now.2);
                thread::park_timeout(TICK);
            }
        });
        let result = session.slice_observed(length, &mut |edge| {
            let index = usize::from(edge == Edge::End);
            edges[index] = launch.usage().unwrap_or_default();
        });
        done.store(true, Ordering::Relaxed);
        looking.thread().unpark();
        result
    })?;
    sum.cpu_seconds += edges[1].cpu_total_seconds - edges[0].cpu_total_seconds;
    sum.requests += result.counts.done;
    sum.response.merge(&result.response_time);
    Ok(())
}

/// Prints the result. Returns `false` if a metric differs significantly by more than its margin.
fn conclude(ratios: &[Ratios]) -> bool {
    let cpu: Vec<f64> = ratios.iter().map(|launch| launch.cpu_per_request).collect();
    let p99: Vec<f64> = ratios.iter().map(|launch| launch.p99).collect();
    let mut sound = true;
    for (name, margin, values) in [("CPU time per request", 0.01, cpu), ("p99", 0.05, p99)] {
        let (interval, _) = t_interval(&values, 0.90);
        let edge = f64::ln_1p(margin);
        let verdict = if interval.low > -edge && interval.high < edge {
            "equal"
        } else if interval.low > edge || interval.high < -edge {
            sound = false;
            "DIFFERENT"
        } else {
            "inconclusive: use more or longer launches, or a quieter machine"
        };
        println!(
            "{name}: {:+.2} % [{:+.2} % {:+.2} %] with the live view over {} launches, margin {:.0} %: {verdict}",
            percent(mean(&values)),
            percent(interval.low),
            percent(interval.high),
            values.len(),
            margin * 100.0
        );
    }
    sound
}

/// Converts a log ratio to percent.
fn percent(ratio: f64) -> f64 {
    ratio.exp_m1() * 100.0
}
