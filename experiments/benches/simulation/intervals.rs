//! Which interval of a mean log ratio holds the truth as often as it claims: Student's t or the bootstrap?

use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;
use wsgibench_harness::stats::bootstrap::bias_corrected_accelerated;
use wsgibench_harness::stats::estimate::t_interval;
use wsgibench_harness::stats::sample::mean;

/// A difference of two launches whose true mean is 0: normal, or with spikes in either arm.
fn difference(spikes: bool, rng: &mut Xoshiro256PlusPlus) -> f64 {
    let mut launch = || {
        let noise: f64 = StandardNormal.sample(rng);
        let spike: f64 = StandardNormal.sample(rng);
        let hit = spikes && rng.random_bool(0.05);
        0.01 * noise + if hit { (1.1 + 0.3 * spike.abs()).ln() } else { 0.0 }
    };
    launch() - launch()
}

/// Prints how often each 90 % interval holds 0.
pub(crate) fn coverage(families: usize, seed: u64) {
    let trials = u32::try_from(families / 10).unwrap_or(u32::MAX).max(1);
    println!("\nCoverage of the 90 % interval of the mean log ratio, {trials} trials");
    for spikes in [false, true] {
        for blocks in [10, 16, 26] {
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
            let (mut student, mut bootstrap): (u32, u32) = (0, 0);
            for trial in 0..trials {
                let values: Vec<f64> = (0..blocks).map(|_| difference(spikes, &mut rng)).collect();
                let (t, _) = t_interval(&values, 0.9);
                let bca = bias_corrected_accelerated(&values, mean, 0.9, u64::from(trial));
                student += u32::from(t.low <= 0.0 && 0.0 <= t.high);
                bootstrap += u32::from(bca.low <= 0.0 && 0.0 <= bca.high);
            }
            let share = |held: u32| 100.0 * f64::from(held) / f64::from(trials);
            println!(
                "{:<7} {blocks} blocks: Student's t {:.1} %, BCa bootstrap {:.1} %",
                if spikes { "spikes" } else { "normal" },
                share(student),
                share(bootstrap)
            );
        }
    }
}
