use rand_distr::{Distribution, Normal};

use super::*;

fn recording(spread: f64, blocks: usize, cases: usize) -> Vec<Series> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(3);
    let noise = Normal::new(0.0, spread).expect("a valid distribution");
    let mut launch = move || 40.0 * f64::exp(noise.sample(&mut rng));
    let mut series = |case: usize, metric: Metric, gated: bool| Series {
        case: case.to_string(),
        metric,
        margin: metric.default_margin(),
        gated,
        validity_worse: false,
        blocks: (0..blocks)
            .map(|_| {
                if metric == Metric::ErrorShare {
                    (0.0, 0.0)
                } else {
                    (launch(), launch())
                }
            })
            .collect(),
    };
    let pairs = [
        (Metric::CpuPerRequest, true),
        (Metric::ErrorShare, true),
        (Metric::Throughput, false),
    ];
    (0..cases)
        .flat_map(|case| pairs.map(|(metric, gated)| series(case, metric, gated)))
        .collect()
}

fn metric(check: &SelfCheck, wanted: Metric) -> MetricCheck {
    *check
        .metrics
        .iter()
        .find(|check| check.metric == wanted)
        .expect("it was recorded")
}

#[test]
fn a_steady_machine_passes_and_sees_its_margins() {
    let check = self_check(&recording(0.008, 40, 2), &Design::standard(4), 1000, 1).expect("a recording");
    assert!(check.passed && check.alarm_bound <= 0.01, "{check:?}");
    for wanted in [Metric::CpuPerRequest, Metric::ErrorShare, Metric::Throughput] {
        assert!(metric(&check, wanted).sees_its_margin, "{check:?}");
    }
    assert!(
        check.pairs.iter().all(|pair| pair.caught_at_margin > 0.8),
        "{:?}",
        check.pairs
    );
}

#[test]
fn a_noisy_machine_passes_too_and_says_how_little_it_sees() {
    let check = self_check(&recording(0.08, 30, 1), &Design::standard(2), 4000, 1).expect("a recording");
    assert!(check.passed, "{check:?}");
    let cpu = metric(&check, Metric::CpuPerRequest);
    assert!(!cpu.sees_its_margin && cpu.mde.expect("26 blocks") > 0.05, "{cpu:?}");
    assert!(check.pairs[0].caught_at_margin < 0.3);
}

#[test]
fn the_same_seed_gives_the_same_check() {
    let run = |seed| self_check(&recording(0.03, 20, 1), &Design::standard(2), 400, seed);
    assert_eq!(run(5), run(5));
}

#[test]
fn what_tells_the_arms_apart_is_seen_and_alarms_nobody() {
    let mut recording = recording(0.005, 30, 1);
    for (_, candidate) in &mut recording[0].blocks {
        *candidate *= 1.04;
    }
    let check = self_check(&recording, &Design::standard(2), 1000, 1).expect("a recording");
    let cpu = &check.pairs[0];
    assert!((cpu.label_effect - 0.04).abs() < 0.005 && cpu.label_p < 1e-6, "{cpu:?}");
    assert_eq!(check.favoured().collect::<Vec<_>>(), [cpu]);
    assert!(check.passed, "{check:?}");
}

#[test]
fn refuses_what_says_nothing() {
    let design = Design::standard(2);
    assert_eq!(self_check(&[], &design, 1000, 1), Err(SelfCheckError::Empty));
    let short = self_check(&recording(0.01, 9, 1), &design, 1000, 1)
        .expect_err("nine blocks")
        .to_string();
    assert!(
        short.contains("9 usable blocks") && short.contains("needs 10"),
        "{short}"
    );
    let few = self_check(&recording(0.01, 12, 1), &design, 100, 1)
        .expect_err("a hundred gates")
        .to_string();
    assert!(few.contains("at least 299"), "{few}");
}
