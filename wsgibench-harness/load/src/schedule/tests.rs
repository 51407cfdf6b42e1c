#![expect(
    clippy::cast_precision_loss,
    reason = "counts and nanoseconds of tests are far below 2^53"
)]

use proptest::prelude::*;

use super::*;

const WHOLE: Stripe = Stripe { index: 0, of: 1 };

fn secs(s: f64) -> Duration {
    Duration::from_secs_f64(s)
}

fn stage(from: f64, to: f64, lasting: Option<f64>, arrivals: Arrivals) -> Stage {
    Stage {
        from,
        to,
        duration: lasting.map(secs),
        arrivals,
    }
}

fn near(a: Duration, b: f64) -> bool {
    (a.as_secs_f64() - b).abs() < 2e-9
}

#[test]
fn a_constant_rate_is_evenly_spaced_and_does_not_drift() {
    let schedule = Schedule::stages(&[stage(3.0, 3.0, None, Arrivals::Constant)], 0);
    for (k, at) in [
        (0, 0.0),
        (1, 1.0 / 3.0),
        (3, 1.0),
        (3_000_000, 1e6),
        (3_000_001, 1e6 + 1.0 / 3.0),
    ] {
        assert!(near(schedule.at(k).unwrap(), at), "{k}");
    }
}

#[test]
fn ramp_arrivals_invert_the_integral_of_the_rate() {
    // 0 to 10 per second over 10 s: 50 arrivals, arrival k at sqrt(2 k).
    let schedule = Schedule::stages(&[stage(0.0, 10.0, Some(10.0), Arrivals::Constant)], 0);
    for k in [0_u32, 1, 2, 8, 18, 49] {
        assert!(near(schedule.at(k.into()).unwrap(), f64::from(2 * k).sqrt()), "{k}");
    }
    assert_eq!(schedule.at(50), None);
    // And down again: from 10 to 0, arrival k where 10 t - t^2 / 2 = k.
    let schedule = Schedule::stages(&[stage(10.0, 0.0, Some(10.0), Arrivals::Constant)], 0);
    for k in [0_u32, 1, 25, 49] {
        let at = 10.0 - (100.0 - 2.0 * f64::from(k)).sqrt();
        assert!(near(schedule.at(k.into()).unwrap(), at), "{k}");
    }
}

#[test]
fn stages_are_consecutive() {
    let schedule = Schedule::stages(
        &[
            stage(2.0, 2.0, Some(1.5), Arrivals::Constant),
            stage(0.0, 0.0, Some(10.0), Arrivals::Constant),
            stage(4.0, 4.0, None, Arrivals::Constant),
        ],
        0,
    );
    let first: Vec<f64> = (0..5).map(|k| schedule.at(k).unwrap().as_secs_f64()).collect();
    assert_eq!(first, [0.0, 0.5, 1.0, 11.5, 11.75]);
}

#[test]
fn users_arrive_in_batches() {
    // The kubeup study: 5 users a second for 60 s.
    let schedule = Schedule::batches(5, secs(1.0), secs(60.0));
    let all: Vec<u64> = schedule.arrivals(WHOLE).collect();
    assert_eq!(all.len(), 300);
    assert_eq!(all[4], 0);
    assert_eq!(all[5], 1_000_000_000);
    assert_eq!(all[299], 59_000_000_000);
    assert_eq!(Schedule::batches(0, secs(1.0), secs(60.0)).at(0), None);
}

#[test]
fn poisson_arrivals_follow_rate_spread_and_seed() {
    let poisson = |seed| Schedule::stages(&[stage(1000.0, 1000.0, None, Arrivals::Poisson)], seed);
    let times: Vec<u64> = poisson(1).arrivals(WHOLE).take(100_000).collect();
    let gaps: Vec<f64> = times.windows(2).map(|w| (w[1] - w[0]) as f64 / 1e6).collect();
    let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
    let variance = gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
    // Exponential: standard deviation equal to the mean (1 ms); its estimates are within about 0.3 % and 1 %.
    assert!((mean - 1.0).abs() < 0.02, "{mean}");
    assert!((variance.sqrt() - 1.0).abs() < 0.05, "{variance}");
    let again: Vec<u64> = poisson(1).arrivals(WHOLE).take(100).collect();
    assert_eq!(again, times[..100]);
    let other: Vec<u64> = poisson(2).arrivals(WHOLE).take(100).collect();
    assert_ne!(other, times[..100]);
}

fn any_stage() -> impl Strategy<Value = Stage> {
    (0.0..500.0_f64, 0.0..500.0_f64, 0.0..3.0_f64, any::<bool>()).prop_map(|(from, to, lasting, poisson)| {
        let arrivals = if poisson { Arrivals::Poisson } else { Arrivals::Constant };
        stage(from, to, Some(lasting), arrivals)
    })
}

proptest! {
    #[test]
    fn stripes_partition_the_arrivals(
        stages in prop::collection::vec(any_stage(), 1..4),
        seed in any::<u64>(),
        of in 1_u32..7,
    ) {
        let schedule = Schedule::stages(&stages, seed);
        let whole: Vec<u64> = schedule.arrivals(WHOLE).collect();
        let mut parts: Vec<_> = (0..of).map(|index| schedule.arrivals(Stripe { index, of })).collect();
        for (k, at) in whole.iter().enumerate() {
            prop_assert_eq!(parts[k % of as usize].next(), Some(*at), "arrival {}", k);
        }
        for part in &mut parts {
            prop_assert_eq!(part.next(), None);
        }
    }

    #[test]
    fn arrivals_are_ordered_and_within_the_schedule(stages in prop::collection::vec(any_stage(), 1..4), seed in any::<u64>()) {
        let schedule = Schedule::stages(&stages, seed);
        let total: f64 = stages.iter().map(|s| s.duration.unwrap().as_secs_f64()).sum();
        let times: Vec<u64> = schedule.arrivals(WHOLE).collect();
        prop_assert!(times.windows(2).all(|w| w[0] <= w[1]));
        if let Some(last) = times.last() {
            prop_assert!(*last as f64 / 1e9 <= total + 1e-6);
        }
        if stages.iter().all(|s| s.arrivals == Arrivals::Constant) {
            let expected: f64 = stages.iter().map(|s| f64::midpoint(s.from, s.to) * s.duration.unwrap().as_secs_f64()).sum();
            prop_assert!((times.len() as f64 - expected).abs() <= 1.0 + 1e-6, "{} for {}", times.len(), expected);
            for (k, at) in times.iter().enumerate() {
                prop_assert_eq!(schedule.at(k as u64), Some(Duration::from_nanos(*at)));
            }
        }
    }

    #[test]
    fn stripes_partition_the_arrivals_of_users(batch in 1_usize..9, every in 1_u64..5_000, arriving in 0_u64..60_000, of in 1_u32..7) {
        let schedule = Schedule::batches(batch, Duration::from_millis(every), Duration::from_millis(arriving));
        let whole: Vec<u64> = schedule.arrivals(WHOLE).take(2000).collect();
        let mut parts: Vec<_> = (0..of).map(|index| schedule.arrivals(Stripe { index, of })).collect();
        for (k, at) in whole.iter().enumerate() {
            prop_assert_eq!(parts[k % of as usize].next(), Some(*at));
        }
    }
}

/// Mean gap before the requests of each kind, in mean gaps: 1 where choice and gaps are independent.
#[test]
fn choice_in_a_mix_does_not_depend_on_the_gap_before_it() {
    use crate::{Load, Target, plan::Stripe, request::Request, wire::Mix};
    let target = Target {
        address: ([127, 0, 0, 1], 80).into(),
        host: "mix.test".into(),
        tls: None,
    };
    let (mut rare, mut common) = ((0.0, 0.0), (0.0, 0.0));
    for seed in 0..40 {
        let mut heavy = Request::new("GET", "/heavy");
        heavy.weight = 5;
        let mut light = Request::new("GET", "/light");
        light.weight = 95;
        // The load's own seed equals that of the run, the worst case for independence.
        let load = Load::poisson(1_000.0).seed(seed).request(heavy).request(light);
        let mix = Mix::new(&load, &target, seed).unwrap();
        let schedule = Schedule::of_model(&load.model, seed).unwrap();
        let mut last = 0;
        for (k, at) in (0..5_000).zip(schedule.arrivals(Stripe::default())) {
            #[expect(clippy::cast_precision_loss, reason = "a gap of milliseconds")]
            let gap = (at - last) as f64 / 1e6;
            last = at;
            let sums = if mix.choose(k) == 0 { &mut rare } else { &mut common };
            *sums = (sums.0 + gap, sums.1 + 1.0);
        }
    }
    // Exponential gaps have a standard deviation of 1: of 10,000 rare ones the mean is within 0.04 (four of its own).
    assert!((9_000.0..11_000.0).contains(&rare.1), "{rare:?}");
    assert!((rare.0 / rare.1 - 1.0).abs() < 0.04, "{rare:?}");
    assert!((common.0 / common.1 - 1.0).abs() < 0.01, "{common:?}");
}

#[test]
fn run_seed_and_load_seed_both_change_poisson_arrivals() {
    use crate::{Load, plan::Stripe};
    let arrivals = |run, own| {
        let schedule = Schedule::of_model(&Load::poisson(100.0).seed(own).for_script().model, run).unwrap();
        schedule.arrivals(Stripe::default()).take(20).collect::<Vec<_>>()
    };
    assert_eq!(arrivals(1, 2), arrivals(1, 2));
    assert_ne!(arrivals(1, 2), arrivals(2, 2));
    assert_ne!(arrivals(1, 2), arrivals(1, 3));
}
