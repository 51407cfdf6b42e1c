//! A machine that behaves as badly as the real ones do, and a family of cases measured on it.

use rand::{Rng, RngExt};
use rand_distr::{Distribution, Poisson, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;
use wsgibench_harness::stats::{Metric, Series};

/// What goes wrong on the machine, besides the spread between launches.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Trouble {
    /// One launch in twenty is 10 % slower or (half-normal, 30 %) more.
    pub(crate) spikes: bool,
    /// 20 % over the run, and a swing of 5 % that takes about three blocks.
    pub(crate) drift: bool,
    /// The machine changes between two speeds, a factor of 2.9 apart, every 33 launches on average.
    pub(crate) switches: bool,
}

/// A family of cases on one machine.
pub(crate) struct Family {
    pub(crate) cases: usize,
    /// Standard deviation of the log between launches.
    pub(crate) spread: f64,
    pub(crate) trouble: Trouble,
    /// Log of candidate / base of CPU per request, of the first case alone: the others are unchanged.
    pub(crate) change: f64,
    /// Rise of the candidate's error share, of the first case alone (0 to 1).
    pub(crate) failing: f64,
}

/// Requests of a launch, of which a few fail.
const REQUESTS: f64 = 20_000.0;
const FAILED: f64 = 4.0;

/// The state of the machine as launches follow each other.
pub(crate) struct Machine<'a> {
    family: &'a Family,
    launches: f64,
    planned: f64,
    fast: bool,
}

impl<'a> Machine<'a> {
    pub(crate) fn new(family: &'a Family, blocks: u32, rng: &mut Xoshiro256PlusPlus) -> Self {
        let planned = f64::from(blocks) * f64::from(u32::try_from(family.cases).unwrap_or(u32::MAX)) * 2.0;
        Self {
            family,
            launches: 0.0,
            planned,
            fast: rng.random(),
        }
    }

    /// Log of the CPU per request of one launch, relative to the case's own.
    fn launch(&mut self, rng: &mut Xoshiro256PlusPlus) -> f64 {
        let trouble = self.family.trouble;
        let mut log = self.family.spread * normal(rng);
        if trouble.spikes && rng.random_bool(0.05) {
            log += (1.1 + 0.3 * normal(rng).abs()).ln();
        }
        if trouble.drift {
            let through = self.launches / self.planned;
            log += 0.2 * through + 0.05 * (through * 26.0 / 3.0 * std::f64::consts::TAU).sin();
        }
        if trouble.switches {
            if rng.random_bool(0.03) {
                self.fast = !self.fast;
            }
            log += if self.fast { 0.0 } else { 2.9_f64.ln() };
        }
        self.launches += 1.0;
        log
    }

    /// Adds one block to every case: both arms, one after the other, in random order.
    pub(crate) fn block(&mut self, series: &mut [Series], rng: &mut Xoshiro256PlusPlus) {
        for (index, case) in series.chunks_exact_mut(2).enumerate() {
            let (first, second) = (self.launch(rng), self.launch(rng));
            let (base, candidate) = if rng.random() { (first, second) } else { (second, first) };
            let (change, failing) = if index == 0 {
                (self.family.change, self.family.failing)
            } else {
                (0.0, 0.0)
            };
            case[0]
                .blocks
                .push((40.0 * base.exp(), 40.0 * (candidate + change).exp()));
            case[1].blocks.push((errors(rng), errors(rng) + failing));
        }
    }
}

/// A share of failed requests: a few always, and a burst of up to 2 % in one launch of fifty.
fn errors(rng: &mut Xoshiro256PlusPlus) -> f64 {
    let few = Poisson::new(FAILED).map_or(FAILED, |poisson| poisson.sample(rng)) / REQUESTS;
    if rng.random_bool(0.02) {
        few + 0.02 * rng.random::<f64>()
    } else {
        few
    }
}

fn normal(rng: &mut impl Rng) -> f64 {
    StandardNormal.sample(rng)
}

/// The empty series of a family: server CPU per request and error share of each case, both gated.
pub(crate) fn empty_series(cases: usize) -> Vec<Series> {
    let series = |case: usize, metric: Metric| Series {
        case: format!("scenario/server/{case}"),
        metric,
        margin: metric.default_margin(),
        gated: true,
        validity_worse: false,
        blocks: Vec::with_capacity(26),
    };
    (0..cases)
        .flat_map(|case| [series(case, Metric::CpuPerRequest), series(case, Metric::ErrorShare)])
        .collect()
}
