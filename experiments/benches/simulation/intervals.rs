//! Coverage of the intervals at the numbers of launches and blocks that runs have.

use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;
use wsgibench_harness::stats::{
    Estimate,
    estimate::{summarise, t_interval},
    sample::{mean, median},
};

/// Around ten, where an earlier version changed to the bootstrap, and the numbers of the looks.
const NUMBERS: [usize; 5] = [9, 10, 11, 16, 26];

/// The log of a launch's result: normal with this standard deviation; with spikes, one launch in twenty is 10 % slower or (half-normal,
/// 30 %) more.
fn launch(spread: f64, spikes: bool, rng: &mut Xoshiro256PlusPlus) -> f64 {
    let noise: f64 = StandardNormal.sample(rng);
    let spike: f64 = StandardNormal.sample(rng);
    let hit = spikes && rng.random_bool(0.05);
    spread * noise + if hit { (1.1 + 0.3 * spike.abs()).ln() } else { 0.0 }
}

fn name(spikes: bool) -> &'static str {
    if spikes { "spikes" } else { "normal" }
}

fn share(held: u32, trials: u32) -> f64 {
    100.0 * f64::from(held) / f64::from(trials)
}

/// Prints the coverage of each interval.
pub(crate) fn coverage(families: usize, seed: u64) {
    let trials = u32::try_from(families).unwrap_or(u32::MAX).max(1);
    println!("\nCoverage of the 90 % interval of the mean log ratio (truth 0), {trials} trials");
    for spikes in [false, true] {
        for blocks in NUMBERS {
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
            let held: u32 = (0..trials)
                .map(|_| {
                    let mut difference = || launch(0.01, spikes, &mut rng) - launch(0.01, spikes, &mut rng);
                    let values: Vec<f64> = (0..blocks).map(|_| difference()).collect();
                    let (t, _) = t_interval(&values, 0.9);
                    u32::from(t.low <= 0.0 && 0.0 <= t.high)
                })
                .sum();
            println!("{:<7} {blocks:>2} blocks: {:.1} %", name(spikes), share(held, trials));
        }
    }
    println!(
        "\nCoverage of the 95 % interval of a figure over launches, {trials} trials: geometric mean, median, mean"
    );
    for spikes in [false, true] {
        for spread in [0.03, 0.1, 0.3] {
            let [geometric, middle, average] = truths(spread, spikes);
            for launches in NUMBERS {
                let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
                let mut held = [0_u32; 3];
                for _ in 0..trials {
                    let values: Vec<Vec<f64>> = (0..launches)
                        .map(|_| vec![launch(spread, spikes, &mut rng).exp()])
                        .collect();
                    let summary = summarise(&values).expect("finite launches");
                    let holds = |estimate: &Estimate, truth: f64| {
                        u32::from(estimate.low() <= truth && truth <= estimate.high())
                    };
                    held[0] += holds(&summary.median, geometric);
                    held[1] += holds(&summary.median, middle);
                    held[2] += holds(&summary.mean, average);
                }
                println!(
                    "{:<7} spread {:>4} %, {launches:>2} launches: {:.1} % {:.1} % {:.1} %",
                    name(spikes),
                    spread * 100.0,
                    share(held[0], trials),
                    share(held[1], trials),
                    share(held[2], trials)
                );
            }
        }
    }
}

/// Returns geometric mean, median and mean of the population, from a million launches.
fn truths(spread: f64, spikes: bool) -> [f64; 3] {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(0);
    let logs: Vec<f64> = (0..1_000_000).map(|_| launch(spread, spikes, &mut rng)).collect();
    let values: Vec<f64> = logs.iter().map(|log| log.exp()).collect();
    [mean(&logs).exp(), median(&values), mean(&values)]
}
