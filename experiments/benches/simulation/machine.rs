//! Simulation of a machine with realistic disturbances, and of a family of cases measured on it.

use rand::{Rng, RngExt};
use rand_distr::{Distribution, Poisson, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;
use wsgibench_harness::stats::{Family, Metric, Series};

/// Disturbances of the machine in addition to the variation between launches.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Trouble {
    /// One launch in twenty is 10 % slower or (half-normal, 30 %) more.
    pub(crate) spikes: bool,
    /// A drift of 20 % over the run, and a swing of 5 % with a period of about three blocks.
    pub(crate) drift: bool,
    /// The machine changes between two speeds, a factor of 2.9 apart, every 33 launches on average.
    pub(crate) switches: bool,
}

/// Effects of the candidate on the first case; the other cases are unchanged.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Change {
    /// Log of candidate / base of CPU time per request alone.
    pub(crate) cpu: f64,
    /// Log of candidate / base of the latencies, and of the throughput with the opposite sign: a wait without CPU time.
    pub(crate) wait: f64,
    /// Log of base / candidate of the throughput alone.
    pub(crate) throughput: f64,
    /// Increase of the error share (0 to 1).
    pub(crate) failing: f64,
}

/// A family of cases on one machine.
pub(crate) struct Cases {
    pub(crate) number: usize,
    /// Standard deviation of the log of CPU time per request between launches.
    pub(crate) spread: f64,
    pub(crate) trouble: Trouble,
    pub(crate) change: Change,
}

/// Requests of a launch, of which a few fail.
const REQUESTS: f64 = 20_000.0;
const FAILED: f64 = 4.0;

/// The logs of a launch's results, relative to the case's own.
#[derive(Clone, Copy)]
struct Launch {
    cpu: f64,
    throughput: f64,
    p50: f64,
    p99: f64,
    memory: f64,
}

/// The state of the machine over successive launches.
pub(crate) struct Machine<'a> {
    cases: &'a Cases,
    launches: f64,
    planned: f64,
    fast: bool,
}

impl<'a> Machine<'a> {
    pub(crate) fn new(cases: &'a Cases, blocks: u32, rng: &mut Xoshiro256PlusPlus) -> Self {
        let planned = f64::from(blocks) * f64::from(u32::try_from(cases.number).unwrap_or(u32::MAX)) * 2.0;
        Self {
            cases,
            launches: 0.0,
            planned,
            fast: rng.random(),
        }
    }

    /// Simulates one launch. Its speed affects CPU time, throughput and latencies; each has additional noise. The standard deviations relate
    /// as measured on a server: throughput 1, p50 1.5, p99 2.6, memory 0.4 times that of CPU time per request.
    fn launch(&mut self, rng: &mut Xoshiro256PlusPlus) -> Launch {
        let Trouble {
            spikes,
            drift,
            switches,
        } = self.cases.trouble;
        let spread = self.cases.spread;
        let mut speed = spread * normal(rng);
        if spikes && rng.random_bool(0.05) {
            speed += (1.1 + 0.3 * normal(rng).abs()).ln();
        }
        if drift {
            let through = self.launches / self.planned;
            speed += 0.2 * through + 0.05 * (through * 26.0 / 3.0 * std::f64::consts::TAU).sin();
        }
        if switches {
            if rng.random_bool(0.03) {
                self.fast = !self.fast;
            }
            speed += if self.fast { 0.0 } else { 2.9_f64.ln() };
        }
        self.launches += 1.0;
        let mut with_noise = |factor: f64| 0.8 * speed + factor * spread * normal(rng);
        Launch {
            cpu: speed,
            throughput: -with_noise(0.6),
            p50: with_noise(1.25),
            p99: with_noise(2.5),
            memory: 0.4 * spread * normal(rng),
        }
    }

    /// Adds one block to every case: both arms, one after the other, in random order.
    pub(crate) fn block(&mut self, series: &mut [Series], rng: &mut Xoshiro256PlusPlus) {
        let metrics = series.len() / self.cases.number;
        for (index, case) in series.chunks_exact_mut(metrics).enumerate() {
            let (first, second) = (self.launch(rng), self.launch(rng));
            let (base, candidate) = if rng.random() { (first, second) } else { (second, first) };
            let change = if index == 0 {
                self.cases.change
            } else {
                Change::default()
            };
            for one in case {
                let pair = |value: fn(&Launch) -> f64, change: f64| {
                    (40.0 * value(&base).exp(), 40.0 * (value(&candidate) + change).exp())
                };
                one.blocks.push(match one.metric {
                    Metric::CpuPerRequest => pair(|launch| launch.cpu, change.cpu),
                    Metric::Throughput => pair(|launch| launch.throughput, -change.wait - change.throughput),
                    Metric::P50 => pair(|launch| launch.p50, change.wait),
                    Metric::P99 => pair(|launch| launch.p99, change.wait),
                    Metric::PeakMemory => pair(|launch| launch.memory, 0.0),
                    Metric::ErrorShare => (errors(rng), errors(rng) + change.failing),
                    // Not part of the timed gate.
                    _ => (1.0, 1.0),
                });
            }
        }
    }
}

/// Returns a share of failed requests: always a few, and a burst of up to 2 % in one launch of fifty.
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

/// Returns the empty series of a number of cases: the metrics of the default gate.
pub(crate) fn empty_series(cases: usize) -> Vec<Series> {
    let family = Family::standard(cases);
    let series = |case: usize, metric: Metric| Series {
        case: format!("scenario/server/{case}"),
        metric,
        margin: metric.default_margin(),
        role: family.role(metric),
        validity_worse: false,
        blocks: Vec::with_capacity(26),
    };
    (0..cases)
        .flat_map(|case| family.metrics().iter().map(move |&metric| (case, metric)))
        .map(|(case, metric)| series(case, metric))
        .collect()
}
