//! Measures how often `--tune` recommends a setting near the best, and how much of a grid it needs, on a recorded grid.
//!
//!     cargo bench -- --scenario wait --server gthread --launches 20                    the grid: all settings, all launches
//!     cargo bench -p wsgibench-experiments --bench tuning                              searches on the newest run
//!     cargo bench -p wsgibench-experiments --bench tuning -- --grid PATH --searches 100
//!
//! The means over all launches of the grid are the truth. Each search gets the blocks of the grid in another random order, and as
//! many as it asks for, so that it never sees more than the grid has. Every setting whose true loss exceeds twice the margin is
//! also judged as the setting in use.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_xoshiro::Xoshiro256PlusPlus;
use wsgibench_harness::{
    measure::tuning::{candidates, centre},
    stats::{
        Direction,
        elimination::{Candidate, PresentVerdict, Rules, Standing, State, search},
    },
    store::{Store, record::CaseOutcome, tuning::Goal},
};

/// Search a recorded grid many times, and report how near the recommended settings are to the best
#[derive(Debug, Parser)]
#[command(name = "tuning")]
struct Options {
    /// The grid: the id of a run, or the path of its `run.json`
    #[arg(long, default_value = "latest")]
    grid: String,
    /// Number of searches
    #[arg(long, default_value_t = 20)]
    searches: u64,
    /// Margin of throughput, percent
    #[arg(long, default_value_t = 5.0)]
    margin: f64,
    /// Passed by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if !options.bench {
        println!("tuning runs only under `cargo bench -p wsgibench-experiments --bench tuning`");
        return ExitCode::SUCCESS;
    }
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tuning: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let target: PathBuf = wsgibench_harness::cli::target_dir(std::path::Path::new(env!("CARGO_MANIFEST_DIR")));
    let record = Store::new(&target)
        .read(&options.grid)
        .with_context(|| format!("failed to read the grid {}", options.grid))?;
    let cases: Vec<String> = record
        .cases
        .iter()
        .filter(|case| case.outcome == CaseOutcome::Measured)
        .map(|case| case.id.clone())
        .collect();
    let grid = candidates(&record, &cases, Goal::Throughput);
    let blocks = grid.iter().map(|candidate| candidate.values.len()).min().unwrap_or(0);
    ensure!(
        grid.len() > 1 && blocks >= 8,
        "the grid has {} settings and {blocks} blocks; it needs 2 and 8",
        grid.len()
    );
    let truth: Vec<f64> = grid
        .iter()
        .map(|candidate| centre(&candidate.values).unwrap_or(0.0))
        .collect();
    let best = truth.iter().copied().fold(0.0, f64::max);
    for (candidate, mean) in grid.iter().zip(&truth) {
        println!(
            "{:<60} {mean:>10.1} req/s  {:>6.1} % below the best",
            candidate.name,
            (1.0 - mean / best) * 100.0
        );
    }
    let margin = options.margin / 100.0;
    let rules = Rules {
        direction: Direction::HigherIsBetter,
        margin,
        most_blocks: blocks,
        present: None,
        judge_present: false,
    };
    let (mut near, mut certain, mut wrong, mut launches, mut longest) = (0, 0, 0, 0, 0);
    for seed in 0..options.searches {
        let shuffled = shuffle(&grid, blocks, seed);
        let found = search(&shuffled, &rules, blocks);
        let recommended = found.recommended.map_or(0.0, |index| truth[index]);
        let is_near = recommended >= best * (1.0 - margin);
        near += u64::from(is_near);
        certain += u64::from(found.certain);
        wrong += u64::from(found.certain && !is_near);
        let spent = spent(&found);
        launches += spent;
        longest = longest.max(spent);
    }
    let whole = grid.len() * blocks;
    println!(
        "{} searches on a grid of {} settings and {blocks} blocks: {near} within {} % of the best, {certain} certain, {wrong} certain \
         and wrong; {:.0} % of the grid's launches on average, at most {:.0} %",
        options.searches,
        grid.len(),
        options.margin,
        share(launches, whole * usize::try_from(options.searches)?.max(1)),
        share(longest, whole)
    );
    let (mut worse, mut other, mut judged) = (0, 0, 0);
    for present in (0..grid.len()).filter(|&index| truth[index] < best / (1.0 + 2.0 * margin)) {
        let rules = Rules {
            present: Some(present),
            judge_present: true,
            ..rules.clone()
        };
        for seed in 0..options.searches {
            judged += 1;
            match search(&shuffle(&grid, blocks, seed), &rules, blocks).present {
                Some(PresentVerdict::Worse) => worse += 1,
                Some(PresentVerdict::Good) => other += 1,
                _ => {}
            }
        }
    }
    println!(
        "settings in use with more than twice the margin below the best: {worse} of {judged} called worse, {other} called good"
    );
    Ok(())
}

/// Returns the grid with its blocks in another order.
fn shuffle(grid: &[Candidate], blocks: usize, seed: u64) -> Vec<Candidate> {
    let mut order: Vec<usize> = (0..blocks).collect();
    order.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(seed));
    let pick = |values: &[Option<f64>]| {
        order
            .iter()
            .map(|&block| values.get(block).copied().flatten())
            .collect()
    };
    grid.iter()
        .map(|candidate| Candidate {
            name: candidate.name.clone(),
            values: pick(&candidate.values),
            costs: pick(&candidate.costs),
            ..Candidate::default()
        })
        .collect()
}

/// Returns the number of launches of a search.
fn spent(found: &Standing) -> usize {
    let of = |state: &State| match state {
        State::Active { .. } => found.blocks,
        State::Dropped { after, .. } => *after,
    };
    found.states.iter().map(of).sum()
}

#[expect(clippy::cast_precision_loss, reason = "numbers of launches are small")]
fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64 * 100.0
}
