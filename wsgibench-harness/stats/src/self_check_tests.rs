use rand::{RngExt as _, SeedableRng as _};
use rand_distr::{Distribution as _, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::*;
use crate::compare::Family;

/// The noise of a block.
#[derive(Clone, Copy, Debug)]
enum Noise {
    /// Normal, with this standard deviation of the log ratio of CPU time per request.
    Normal(f64),
    /// Normal noise, and one launch in twenty is 10 % slower or more (half-normal, 30 %).
    Spikes(f64),
}

/// Simulates a recording of identical arms in every gated metric, with the candidate's CPU time per request multiplied by
/// `favour`. The spreads of the metrics have the ratios measured with gunicorn's gthread worker (`docs/statistics.md`).
fn recording(noise: Noise, favour: f64, blocks: usize, cases: usize, rng: &mut Xoshiro256PlusPlus) -> Vec<Series> {
    let family = Family::standard(cases);
    let mut all = Vec::new();
    for case in 0..cases {
        for &metric in family.metrics() {
            let relative = match metric {
                Metric::P50 => 1.5,
                Metric::P99 => 2.6,
                Metric::PeakMemory => 0.4,
                _ => 1.0,
            };
            let factor = if metric == Metric::CpuPerRequest { favour } else { 1.0 };
            let mut launch = || {
                let (Noise::Normal(spread) | Noise::Spikes(spread)) = noise;
                let normal: f64 = StandardNormal.sample(rng);
                let spike: f64 = StandardNormal.sample(rng);
                let hit = matches!(noise, Noise::Spikes(_)) && rng.random_bool(0.05);
                let slower = if hit { 1.1 + 0.3 * spike.abs() } else { 1.0 };
                40.0 * (relative * spread / 2.0_f64.sqrt() * normal).exp() * slower
            };
            let blocks = (0..blocks)
                .map(|_| match metric {
                    Metric::ErrorShare => (0.0, 0.0),
                    _ => (launch(), factor * launch()),
                })
                .collect();
            all.push(Series {
                case: case.to_string(),
                metric,
                margin: metric.default_margin(),
                role: family.role(metric),
                validity_worse: false,
                blocks,
            });
        }
    }
    all
}

/// Counts failed self-checks in `trials` recordings of 26 blocks.
fn refused(noise: Noise, favour: f64, cases: usize, trials: usize, seed: u64) -> usize {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    (0..trials)
        .filter(|_| {
            let recording = recording(noise, favour, 26, cases, &mut rng);
            !self_check(&recording, &Design::standard()).expect("26 blocks").passed
        })
        .count()
}

/// A harness that favours one arm by 3 % of CPU time per request fails 19 of 20 self-checks, a sound machine at most
/// 1 of 100, for any noise.
#[test]
fn self_check_refuses_a_favoured_arm() {
    for spread in [0.02, 0.03] {
        for favour in [1.03, 1.0 / 1.03] {
            let found = refused(Noise::Normal(spread), favour, 1, 100, 1);
            assert!(found * 20 >= 100 * 19, "spread {spread}: {found} of 100 refused");
        }
    }
    for (noise, cases) in [
        (Noise::Normal(0.02), 1),
        (Noise::Normal(0.04), 1),
        (Noise::Spikes(0.03), 1),
        (Noise::Normal(0.04), 3),
    ] {
        let trials = 300;
        let found = refused(noise, 1.0, cases, trials, 2);
        // At most 1 % by design; 8 of 300 are three standard errors more.
        assert!(found <= 8, "{noise:?}, {cases} cases: {found} of {trials} refused");
    }
}

fn favoured(metric: Metric, factor: f64) -> SelfCheck {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(3);
    let mut recording = recording(Noise::Normal(0.03), 1.0, 26, 2, &mut rng);
    for (_, candidate) in &mut recording.iter_mut().find(|s| s.metric == metric).expect("gated").blocks {
        *candidate = *candidate * factor + if metric == Metric::ErrorShare { 0.01 } else { 0.0 };
    }
    self_check(&recording, &Design::standard()).expect("26 blocks")
}

#[test]
fn self_check_refuses_a_favoured_arm_in_every_gated_metric() {
    for metric in Metric::gated() {
        for factor in [1.15, 1.0 / 1.15] {
            let check = favoured(metric, factor);
            let found: Vec<(&str, Metric)> = check
                .differing()
                .map(|pair| (pair.case.as_str(), pair.metric))
                .collect();
            assert_eq!(found, [("0", metric)], "{factor}");
            assert!(!check.passed);
            let differs: Vec<Metric> = check.metrics.iter().filter(|m| m.differs).map(|m| m.metric).collect();
            assert_eq!(differs, [metric]);
        }
    }
}

#[test]
fn the_difference_is_in_the_unit_of_the_margin_with_its_sign() {
    let pair = |metric, factor| {
        let check = favoured(metric, factor);
        check.differing().next().expect("a favoured arm").clone()
    };
    assert!((pair(Metric::CpuPerRequest, 1.15).difference - 0.15).abs() < 0.03);
    assert!((pair(Metric::Throughput, 1.0 / 1.15).difference + 0.13).abs() < 0.03);
    assert!((pair(Metric::ErrorShare, 1.0).difference - 0.01).abs() < 1e-9);
}

#[test]
fn mde_is_within_the_margin_on_a_steady_machine_and_reported_on_a_noisy_one() {
    let check = |spread| {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(5);
        self_check(
            &recording(Noise::Normal(spread), 1.0, 26, 1, &mut rng),
            &Design::standard(),
        )
        .expect("26 blocks")
    };
    let steady = check(0.01);
    assert!(
        steady.metrics.len() == 6 && steady.metrics.iter().all(|m| m.sees_its_margin),
        "{steady:?}"
    );
    let noisy = check(0.12);
    let cpu = noisy.metrics.iter().find(|m| m.metric == Metric::CpuPerRequest);
    let cpu = cpu.expect("it is gated");
    assert!(
        !cpu.sees_its_margin && cpu.mde.expect("26 blocks") > 0.05 && !cpu.differs,
        "{cpu:?}"
    );
}

/// The bound follows from the gates that were run, without assumptions.
#[test]
fn the_bound_of_identical_gates_is_exact() {
    let recording = recording(
        Noise::Normal(0.02),
        1.0,
        26,
        1,
        &mut Xoshiro256PlusPlus::seed_from_u64(1),
    );
    let check = self_check(&recording, &Design::standard()).expect("26 blocks");
    assert_eq!(check.identical_gates, None);
    for (decided, alarms, bound) in [(20, 0, 0.139_108), (299, 0, 0.009_969), (50, 1, 0.091_398), (0, 0, 1.0)] {
        let gates = IdenticalGates::new(decided, alarms, 3);
        assert!((gates.alarm_bound - bound).abs() < 1e-6, "{gates:?}");
        assert!(check.clone().with_gates(gates).passed, "{gates:?}");
    }
    for (decided, alarms, passed) in [(20, 2, true), (20, 3, false), (4, 2, false), (4, 1, true)] {
        let check = check.clone().with_gates(IdenticalGates::new(decided, alarms, 0));
        assert_eq!(check.passed, passed, "{alarms} of {decided}");
    }
}

#[test]
fn a_recording_without_gated_pairs_or_with_few_blocks_is_an_error() {
    let design = Design::standard();
    assert_eq!(self_check(&[], &design), Err(SelfCheckError::Empty));
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let short = self_check(&recording(Noise::Normal(0.01), 1.0, 9, 1, &mut rng), &design)
        .expect_err("nine blocks")
        .to_string();
    assert!(
        short.contains("9 usable blocks") && short.contains("needs 10"),
        "{short}"
    );
    // A secondary metric that most blocks lack does not fail the self-check.
    let mut lacking = recording(Noise::Normal(0.01), 1.0, 26, 1, &mut rng);
    let memory = lacking.iter_mut().find(|s| s.metric == Metric::PeakMemory);
    memory.expect("gated").blocks[1..].fill((f64::NAN, f64::NAN));
    let check = self_check(&lacking, &design).expect("CPU has its blocks");
    assert!(check.passed && check.metrics.len() == 6, "{check:?}");
}
