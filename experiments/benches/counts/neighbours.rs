//! Compares counts on an idle machine with counts while all of its CPUs are busy.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use anyhow::{Context as _, ensure};
use wsgibench_harness::{
    prelude::*,
    stats::{
        Metric,
        sample::{mean, spread},
    },
    store::record::RunRecord,
};

/// Launches of each kind.
const LAUNCHES: &str = "7";
/// Busy threads for each CPU.
const BUSY: usize = 2;

/// Prints the difference of the means.
pub(super) fn compare(server: &str) -> Result<()> {
    let quiet = count(server)?;
    let stop = Arc::new(AtomicBool::new(false));
    let cpus = thread::available_parallelism()?.get();
    let neighbours: Vec<_> = (0..BUSY * cpus)
        .map(|_| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        })
        .collect();
    let busy = count(server);
    stop.store(true, Ordering::Relaxed);
    for neighbour in neighbours {
        let _ = neighbour.join();
    }
    let busy = busy?;
    let percent = |share: f64| share * 100.0;
    println!(
        "{server}: {:.1} instructions per request on idle CPUs (SD {:.3} %), {:.1} with {} busy threads (SD {:.3} %): {:+.3} %",
        mean(&quiet),
        percent(spread(&quiet).unwrap_or_default()),
        mean(&busy),
        BUSY * cpus,
        percent(spread(&busy).unwrap_or_default()),
        percent(mean(&busy) / mean(&quiet) - 1.0)
    );
    Ok(())
}

/// Instructions per request of each launch.
fn count(server: &str) -> Result<Vec<f64>> {
    let arguments = [
        "--bench",
        "--count",
        "--noplot",
        "--quiet",
        "--exact",
        "--launches",
        LAUNCHES,
    ];
    let case = format!("ping/{server}/c1");
    let status = Command::new(std::env::current_exe()?)
        .args(arguments)
        .arg(&case)
        .status()?;
    ensure!(status.success(), "counting {server} ended with {status}");
    let file = newest_run()?;
    let text = std::fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))?;
    let run: RunRecord = serde_json::from_str(&text)?;
    let rounds = run
        .cases
        .iter()
        .flat_map(|case| &case.launches)
        .flat_map(|launch| &launch.rounds);
    let id = Metric::InstructionsPerRequest.id();
    Ok(rounds.filter_map(|round| round.metrics.get(id).copied()).collect())
}

fn newest_run() -> Result<PathBuf> {
    let target = wsgibench_harness::cli::target_dir(Path::new(env!("CARGO_MANIFEST_DIR")));
    let runs = target.join("wsgibench/runs");
    let folders = std::fs::read_dir(&runs).with_context(|| format!("failed to read {}", runs.display()))?;
    let newest = folders.filter_map(Result::ok).map(|entry| entry.path()).max();
    Ok(newest.context("no run")?.join("run.json"))
}
