//! False alarms of the gate on counts, by simulation.

use rand::{RngExt as _, SeedableRng as _};
use rand_distr::{Distribution as _, Normal};
use rand_xoshiro::Xoshiro256PlusPlus;
use wsgibench_harness::{
    counts::{CountSeries, decide, decision::launches_needed},
    stats::{Family, Metric, Verdict, distribution::proportion_upper_bound},
};

const FAMILIES: usize = 20_000;
const ALPHA: f64 = 0.01;
const SEED: u64 = 16;

/// Noise of a server: standard deviations of the log of instructions and system calls, and the share of launches that fall
/// into a second mode, so far above the first.
struct Noise {
    name: &'static str,
    instructions: f64,
    calls: f64,
    second_mode: (f64, f64),
}

/// As recorded with `--count`; the second modes are assumed.
const NOISES: [Noise; 6] = [
    Noise {
        name: "bjoern",
        instructions: 0.000_1,
        calls: 0.001_6,
        second_mode: (0.0, 0.0),
    },
    Noise {
        name: "gunicorn gthread",
        instructions: 0.001_8,
        calls: 0.008_5,
        second_mode: (0.0, 0.0),
    },
    Noise {
        name: "granian",
        instructions: 0.005_8,
        calls: 0.026,
        second_mode: (0.0, 0.0),
    },
    Noise {
        name: "gevent",
        instructions: 0.013,
        calls: 0.079,
        second_mode: (0.0, 0.0),
    },
    Noise {
        name: "bimodal, one launch in ten",
        instructions: 0.001,
        calls: 0.01,
        second_mode: (0.1, 0.02),
    },
    Noise {
        name: "bimodal, one launch in two",
        instructions: 0.001,
        calls: 0.01,
        second_mode: (0.5, 0.02),
    },
];

/// Runs 20,000 families of identical arms for each noise and number of cases, and prints their alarms.
pub(super) fn run() {
    println!("{FAMILIES} families of identical arms each, alpha {ALPHA}, seed {SEED}");
    println!(
        "{:<28} {:>5} {:>7} {:>22}",
        "noise", "cases", "alarms", "95 % upper bound"
    );
    let mut random = Xoshiro256PlusPlus::seed_from_u64(SEED);
    for noise in &NOISES {
        for cases in [1, 5] {
            let alarms = (0..FAMILIES).filter(|_| alarms(noise, cases, &mut random)).count();
            let bound = proportion_upper_bound(alarms, FAMILIES, 0.95);
            println!("{:<28} {cases:>5} {alarms:>7} {:>20.3} %", noise.name, bound * 100.0);
        }
    }
}

fn alarms(noise: &Noise, cases: usize, random: &mut Xoshiro256PlusPlus) -> bool {
    let metrics = [Metric::InstructionsPerRequest, Metric::SyscallsPerRequest];
    let family = Family::new(&metrics, cases);
    let launches = launches_needed(cases * metrics.len(), ALPHA).unwrap_or(12);
    let mut series = Vec::new();
    for case in 0..cases {
        for metric in metrics {
            let sd = if metric == Metric::InstructionsPerRequest {
                noise.instructions
            } else {
                noise.calls
            };
            let mut arm = || -> Vec<f64> { (0..launches).map(|_| launch(noise, sd, random)).collect() };
            series.push(CountSeries {
                case: case.to_string(),
                metric,
                margin: metric.default_margin(),
                role: family.role(metric),
                base: arm(),
                candidate: arm(),
            });
        }
    }
    decide(&series, ALPHA)
        .iter()
        .any(|outcome| outcome.gated && outcome.verdict == Verdict::Regression)
}

fn launch(noise: &Noise, sd: f64, random: &mut Xoshiro256PlusPlus) -> f64 {
    let (share, height) = noise.second_mode;
    let mode = if random.random_bool(share) { height } else { 0.0 };
    let wobble = Normal::new(0.0, sd).map_or(0.0, |normal| normal.sample(random));
    100_000.0 * (mode + wobble).exp()
}
