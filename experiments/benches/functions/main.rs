//! Measures how often `--explain` names the function of a planted slowdown, and how often it names one of identical arms.
//!
//!     cargo bench -p wsgibench-experiments --bench functions                      the whole experiment; resumes where it stopped
//!     cargo bench -p wsgibench-experiments --bench functions -- --only 20         twenty launches more, then the figures so far
//!     cargo bench -p wsgibench-experiments --bench functions -- --only 0          the figures so far
//!     cargo bench -p wsgibench-experiments --bench functions -- --overhead 10     what sampling costs the load, in ten launches
//!
//! Twelve places of one application get about `--us` microseconds of CPU each. A set is eight launches of the unchanged
//! application and of each place, in random order; a place is found if its function or a caller that belongs to it is among
//! the first three. A gate on identical arms is sixteen launches of the unchanged application. Each launch is one line of
//! `experiments/recordings/functions.jsonl` (or of `--recording`).

#[path = "../shared/recording.rs"]
mod recording;
#[path = "../shared/testbed.rs"]
mod testbed;

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Result, bail};
use clap::Parser;
use comfy_table::Table;
use serde::{Deserialize, Serialize};
use wsgibench_harness::{
    load::{Edge, LoadPlan, Session},
    prelude::*,
    profile::{LaunchProfile, Options, explain::explain, launch, sample},
    sandbox::{Launch, PreparedServer},
    stats::{
        distribution::{proportion_upper_bound, t_quantile},
        sample::{float, mean, std_dev},
    },
};

use testbed::Testbed;

/// Launches of an arm.
const LAUNCHES: usize = 8;

/// Places, and the functions that belong to each; a name that ends with a slash is a folder or file.
const PLACES: [(&str, &[&str]); 12] = [
    ("application", &["interpret"]),
    ("template", &["render_page", "python/string.py/"]),
    (
        "json",
        &["encode_items", "python/json/__init__.py/", "python/json/encoder.py/"],
    ),
    ("framework", &["framework_headers", "slower_headers"]),
    ("c_extension", &["compress_checksum"]),
    ("system_calls", &["ask_kernel"]),
    ("logging", &["write_log", "python/logging/__init__.py/", "Discard.emit"]),
    ("lock", &["take_lock"]),
    ("garbage", &["collect_garbage"]),
    (
        "import",
        &[
            "import_late",
            "python/importlib/__init__.py/",
            "<frozen importlib._bootstrap>/",
        ],
    ),
    ("orm", &["load_rows", "Column.__set__", "Column.__get__"]),
    (
        "regex",
        &["match_words", "python/re/__init__.py/", "python/re/_parser.py/"],
    ),
];

/// The application with its twelve places.
#[server]
fn planted() -> Server {
    let command = "gunicorn --worker-class gthread --workers 1 --threads 4 --bind {host}:{port} --backlog 4096 --keep-alive 75 \
                   --worker-connections 12000 --no-control-socket --worker-tmp-dir /dev/shm application:application";
    Server::dockerfile("../suites/images/gunicorn")
        .app("benches/functions/app")
        .command(command.split_whitespace())
}

/// Plant slowdowns and report how often their function is named
#[derive(Debug, Parser)]
#[command(name = "functions")]
struct Arguments {
    /// Sets of launches, each of the unchanged application and of every place
    #[arg(long, default_value_t = 2)]
    sets: usize,
    /// Gates on identical arms
    #[arg(long, default_value_t = 50)]
    identical: usize,
    /// Planted CPU time per request, microseconds
    #[arg(long, default_value_t = 5.0)]
    us: f64,
    /// Length of a launch's round, seconds
    #[arg(long, default_value_t = 4.0)]
    round: f64,
    /// CPU of the server
    #[arg(long, default_value_t = 0)]
    server_cpu: usize,
    /// CPU of the load generator
    #[arg(long, default_value_t = 1)]
    load_cpu: usize,
    /// Maximum number of launches to run now [default: all that are missing]
    #[arg(long)]
    only: Option<usize>,
    /// Measure instead by how much sampling slows the load, in so many launches of alternately sampled rounds
    #[arg(long)]
    overhead: Option<u64>,
    /// File with the launches
    #[arg(long)]
    recording: Option<PathBuf>,
    /// Passed by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// A launch: of which set or gate, of which place, and its profile.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    /// `set 1`, `identical 7`.
    group: String,
    /// A place, or `unchanged`; of identical arms `base` and `candidate`.
    place: String,
    us: f64,
    profile: LaunchProfile,
}

fn main() -> ExitCode {
    wsgibench_harness::null_server::maybe_serve();
    let arguments = Arguments::parse();
    if !arguments.bench {
        // `cargo test` also starts bench targets, and must not measure.
        println!("functions measures only under `cargo bench -p wsgibench-experiments --bench functions`");
        return ExitCode::SUCCESS;
    }
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("functions: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    if let Some(launches) = arguments.overhead {
        return overhead(arguments, launches);
    }
    let file = recording::path("functions", arguments.recording.as_ref());
    let mut entries: Vec<Entry> = recording::read(&file)?;
    if let Some(other) = entries.iter().find(|entry| (entry.us - arguments.us).abs() > 1e-9) {
        bail!(
            "{} has launches with --us {}; give another --recording",
            file.display(),
            other.us
        );
    }
    let missing = missing(arguments, &entries);
    let now = arguments.only.unwrap_or(missing.len()).min(missing.len());
    println!(
        "{} launches are in {}; {} are missing",
        entries.len(),
        file.display(),
        missing.len()
    );
    if now > 0 {
        let bed = Testbed::open("functions", arguments.server_cpu)?;
        let server = bed.prepare("planted")?;
        for (number, (group, place)) in missing.into_iter().take(now).enumerate() {
            let profile = bed.with_launch(&with_place(&server, &place, arguments.us), |launch| {
                profiled(arguments, &server, launch, entries.len() as u64)
            })?;
            println!(
                "{:>4}/{now} {group:<12} {place:<14} {:.2} µs per request",
                number + 1,
                profile.cpu_us
            );
            let entry = Entry {
                group,
                place,
                us: arguments.us,
                profile,
            };
            recording::append(&file, &entry)?;
            entries.push(entry);
        }
        bed.close();
    }
    report(arguments, &entries);
    Ok(())
}

/// Launches that are planned and not recorded, in random order within each block.
fn missing(arguments: &Arguments, entries: &[Entry]) -> Vec<(String, String)> {
    let mut missing = Vec::new();
    let mut add = |group: String, places: &[&str], seed: u64| {
        for block in 0..LAUNCHES {
            let mut order: Vec<&str> = places.to_vec();
            let key = |place: &&str| hash(seed * 1_000 + block as u64, place);
            order.sort_by_key(key);
            for place in order {
                let recorded = entries
                    .iter()
                    .filter(|entry| entry.group == group && entry.place == place)
                    .count();
                if block >= recorded {
                    missing.push((group.clone(), place.to_owned()));
                }
            }
        }
    };
    let mut places: Vec<&str> = PLACES.iter().map(|(place, _)| *place).collect();
    places.push("unchanged");
    for set in 0..arguments.sets {
        add(format!("set {}", set + 1), &places, set as u64);
    }
    for gate in 0..arguments.identical {
        add(
            format!("identical {}", gate + 1),
            &["base", "candidate"],
            500 + gate as u64,
        );
    }
    missing
}

/// FNV-1a of a seed and a name.
fn hash(seed: u64, name: &str) -> u64 {
    let bytes = seed.to_le_bytes().into_iter().chain(name.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn with_place(server: &PreparedServer, place: &str, us: f64) -> PreparedServer {
    let mut server = server.clone();
    server.spec.env.push(("PLANTED_US".to_owned(), us.to_string()));
    if PLACES.iter().any(|(known, _)| *known == place) {
        server.spec.env.push(("PLANTED".to_owned(), place.to_owned()));
    }
    server
}

/// Opens the load of a launch and warms it up.
fn session(arguments: &Arguments, server: &PreparedServer, started: &Launch, seed: u64) -> Result<Session> {
    let load = Load::closed(16).request(get("/").expect_status(200));
    let mut plan = LoadPlan::new(server.spec.target(started.address()), load);
    plan.cpus = vec![arguments.load_cpu];
    plan.seed = seed;
    let mut session = Session::start(&plan)?;
    session.warm_up(Duration::from_secs(1))?;
    Ok(session)
}

/// Compares the rate of rounds with and without sampling, alternately in each launch.
fn overhead(arguments: &Arguments, launches: u64) -> Result<()> {
    let bed = Testbed::open("functions", arguments.server_cpu)?;
    let server = bed.prepare("planted")?;
    let mut ratios = Vec::new();
    for number in 0..launches {
        let ratio = bed.with_launch(&with_place(&server, "unchanged", arguments.us), |started| {
            let mut session = session(arguments, &server, started, number)?;
            let mut logs = [Vec::new(), Vec::new()];
            for round in 0..8_u64 {
                let is_sampled = (round + number).is_multiple_of(2);
                let over = AtomicBool::new(false);
                let options = Options {
                    per_second: 250,
                    cpu: Some(arguments.load_cpu),
                    seed: round,
                };
                let result = thread::scope(|scope| {
                    if is_sampled {
                        scope.spawn(|| sample(options, || started.pids(), &over));
                    }
                    let result = session.round(Duration::from_secs(1));
                    over.store(true, Ordering::Relaxed);
                    result
                })?;
                let done = f64::from(u32::try_from(result.counts.done)?);
                logs[usize::from(is_sampled)].push((done / result.seconds).ln());
            }
            session.finish()?;
            Ok(mean(&logs[1]) - mean(&logs[0]))
        })?;
        println!(
            "{:>3}/{launches} sampled rounds are faster by {:+.2} %",
            number + 1,
            ratio.exp_m1() * 100.0
        );
        ratios.push(ratio);
    }
    bed.close();
    let half = t_quantile(0.95, float(ratios.len().saturating_sub(1))) * std_dev(&ratios) / float(ratios.len()).sqrt();
    println!(
        "sampling changes the rate by {:+.2} % [{:+.2} %, {:+.2} %] (90 %)",
        mean(&ratios).exp_m1() * 100.0,
        (mean(&ratios) - half).exp_m1() * 100.0,
        (mean(&ratios) + half).exp_m1() * 100.0
    );
    Ok(())
}

/// Loads and samples a launch.
fn profiled(arguments: &Arguments, server: &PreparedServer, started: &Launch, seed: u64) -> Result<LaunchProfile> {
    let mut session = session(arguments, server, started, seed)?;
    let options = Options {
        per_second: 250,
        cpu: Some(arguments.load_cpu),
        seed,
    };
    let (begun, over) = (AtomicBool::new(false), AtomicBool::new(false));
    let cpu = || started.usage().map(|usage| usage.cpu_total_seconds);
    let mut edges = (None, None);
    let (round, sampled) = thread::scope(|scope| {
        let sampling = scope.spawn(|| {
            while !begun.load(Ordering::Relaxed) && !over.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(1));
            }
            sample(options, || started.pids(), &over)
        });
        let round = session.round_observed(Duration::from_secs_f64(arguments.round), &mut |edge| match edge {
            Edge::Start => {
                edges.0 = cpu().ok();
                begun.store(true, Ordering::Relaxed);
            }
            Edge::End => {
                over.store(true, Ordering::Relaxed);
                edges.1 = cpu().ok();
            }
        });
        over.store(true, Ordering::Relaxed);
        (round, sampling.join().expect("the sampler does not panic"))
    });
    session.finish()?;
    let round = round?;
    let used = edges.1.zip(edges.0).map(|(after, before)| after - before);
    Ok(launch::profile(sampled, round.counts.done, used))
}

/// Whether a function belongs to a place.
fn belongs(names: &[&str], function: &str, file: &str) -> bool {
    names.iter().any(|name| match name.strip_suffix('/') {
        Some(wanted) => file == wanted,
        None => function == *name,
    })
}

fn report(arguments: &Arguments, entries: &[Entry]) {
    let of = |group: &str, place: &str| -> Vec<LaunchProfile> {
        let matching = entries
            .iter()
            .filter(|entry| entry.group == group && entry.place == place);
        matching.map(|entry| entry.profile.clone()).collect()
    };
    let mut table = Table::new();
    table.set_header([
        "set",
        "place",
        "CPU per request",
        "first named",
        "rank of the place",
        "change of the first",
    ]);
    let (mut found, mut tried) = (0, 0);
    for set in 1..=arguments.sets {
        let group = format!("set {set}");
        let base = of(&group, "unchanged");
        for (place, names) in PLACES {
            let candidate = of(&group, place);
            if base.len() < LAUNCHES || candidate.len() < LAUNCHES {
                continue;
            }
            let explained = explain(place, &base, &candidate);
            let ranked = || explained.functions.iter().filter(|function| function.rank.is_some());
            let rank = ranked()
                .find(|function| belongs(names, &function.function, &function.file))
                .and_then(|f| f.rank);
            tried += 1;
            found += usize::from(rank.is_some_and(|rank| rank <= 3));
            let change = explained.cpu.change_us.unwrap_or(0.0);
            let first = ranked().next();
            table.add_row([
                set.to_string(),
                place.to_owned(),
                format!("{:.1} {change:+.1} µs", explained.cpu.base_us.unwrap_or(0.0)),
                first.map_or_else(|| "none".to_owned(), |first| first.function.clone()),
                rank.map_or_else(|| "–".to_owned(), |rank| rank.to_string()),
                first
                    .and_then(|first| first.own.change_us)
                    .map_or_else(String::new, |change| format!("{change:+.2} µs")),
            ]);
        }
    }
    println!("{table}\nplanted functions among the first three: {found} of {tried}");
    let (mut alarms, mut gates) = (0, 0);
    for gate in 1..=arguments.identical {
        let group = format!("identical {gate}");
        let (base, candidate) = (of(&group, "base"), of(&group, "candidate"));
        if base.len() < LAUNCHES || candidate.len() < LAUNCHES {
            continue;
        }
        gates += 1;
        let explained = explain(&group, &base, &candidate);
        if let Some(named) = explained.functions.iter().find(|function| function.rank == Some(1)) {
            alarms += 1;
            println!("{group}: named {} ({})", named.function, named.file);
        }
    }
    if gates > 0 {
        println!(
            "identical arms that named a function: {alarms} of {gates}, at most {:.1} % (95 %)",
            proportion_upper_bound(alarms, gates, 0.95) * 100.0
        );
    }
}
