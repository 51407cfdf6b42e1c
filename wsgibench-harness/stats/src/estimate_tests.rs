use proptest::prelude::*;

use super::*;

fn single_rounds(values: &[f64]) -> Vec<Vec<f64>> {
    values.iter().map(|&value| vec![value]).collect()
}

#[test]
fn one_launch_has_no_interval() {
    let summary = summarise(&[vec![10.0, 11.0, 12.0]]).expect("one launch");
    assert!((summary.mean.point - 11.0).abs() < 1e-12);
    assert_eq!((summary.mean.interval, summary.median.interval), (None, None));
    assert_eq!(
        (summary.std_dev, summary.median_abs_dev, summary.spread_between),
        (None, None, None)
    );
    assert!(summary.spread_within.is_some());
}

/// The method does not depend on the number of launches, so intervals do not jump between nine launches and ten.
#[test]
fn intervals_are_student_t_at_any_number_of_launches() {
    let mut last = f64::INFINITY;
    for count in [2_u32, 9, 10, 11, 26, 100] {
        let launches: Vec<f64> = (0..count).map(|index| 100.0 + f64::from(index % 2)).collect();
        let summary = summarise(&single_rounds(&launches)).expect("launches");
        let interval = summary.mean.interval.expect("an interval");
        assert_eq!(interval.method, Method::StudentT);
        let of_median = summary.median.interval.expect("an interval").method;
        let of_deviation = summary
            .std_dev
            .expect("two launches")
            .interval
            .expect("an interval")
            .method;
        assert_eq!((of_median, of_deviation), (Method::StudentT, Method::ChiSquared));
        let width = interval.high - interval.low;
        assert!(width < last, "{count}: {width}");
        last = width;
    }
}

/// The 95 % interval of 9, 10, 11 and 26 launches holds the median of a log-normal population in 95 % of the samples.
#[test]
fn the_interval_has_its_nominal_coverage_at_any_number_of_launches() {
    use rand::SeedableRng as _;
    use rand_distr::{Distribution as _, LogNormal};

    let population = LogNormal::new(0.0, 0.1).expect("a valid distribution");
    let mut rng = rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(11);
    for count in [9, 10, 11, 26] {
        let trials = 1_000;
        let held = (0..trials)
            .filter(|_| {
                let launches: Vec<f64> = (0..count).map(|_| population.sample(&mut rng)).collect();
                let median = summarise(&single_rounds(&launches)).expect("launches").median;
                median.low() <= 1.0 && 1.0 <= median.high()
            })
            .count();
        // Three standard errors of 1,000 trials are 2 %.
        assert!(held >= 930, "{count} launches: {held} of {trials}");
    }
}

/// Three launches 100, 102, 104: on logs the mean is 4.62491 and its error 0.011322; t(0.975, 2) = 4.302653.
#[test]
fn the_interval_of_three_launches_matches_the_textbook_formula() {
    let summary = summarise(&single_rounds(&[100.0, 102.0, 104.0])).expect("launches");
    let interval = summary.mean.interval.expect("an interval");
    assert!((interval.low - 97.135).abs() < 0.01, "{interval:?}");
    assert!((interval.high - 107.074).abs() < 0.01, "{interval:?}");
}

#[test]
fn spreads_use_logarithms_and_are_pooled_within_launches() {
    let summary = summarise(&[vec![100.0, 110.0], vec![200.0, 220.0]]).expect("launches");
    let within = 1.1_f64.ln() / 2.0_f64.sqrt();
    assert!((summary.spread_within.expect("two rounds") - within).abs() < 1e-9);
    let between = 2.0_f64.ln() / 2.0_f64.sqrt();
    assert!((summary.spread_between.expect("two launches") - between).abs() < 1e-9);
}

#[test]
fn shares_of_zero_are_summarised_without_logs() {
    let summary = summarise(&single_rounds(&[0.0, 0.0, 0.01])).expect("launches");
    assert!(summary.spread_between.is_none());
    assert!(summary.mean.low() < summary.mean.point);
}

#[test]
fn an_empty_or_non_finite_sample_is_an_error() {
    assert_eq!(summarise(&[]), Err(SampleError::Empty));
    assert_eq!(
        summarise(&[vec![1.0], vec![]]),
        Err(SampleError::NoRounds { launch: 1 })
    );
    assert_eq!(
        summarise(&[vec![1.0, f64::NAN]]),
        Err(SampleError::NotFinite { launch: 0 })
    );
}

#[test]
fn fences_follow_from_the_quartiles() {
    let tukey = Tukey::of(&[1.0, 2.0, 3.0, 4.0, 5.0]).expect("a sample");
    for (got, expected) in tukey.fences().into_iter().zip([-4.0, -1.0, 7.0, 10.0]) {
        assert!((got - expected).abs() < 1e-12);
    }
    assert_eq!(Tukey::of(&[]), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A change of unit changes every figure by the same factor, and no spread.
    #[test]
    fn a_change_of_unit_scales_all_estimates(values in prop::collection::vec(1.0_f64..1e6, 2..14), factor in 0.01_f64..100.0) {
        let scaled: Vec<f64> = values.iter().map(|value| value * factor).collect();
        let one = summarise(&single_rounds(&values)).expect("launches");
        let other = summarise(&single_rounds(&scaled)).expect("launches");
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-6 * (a.abs() + b.abs());
        prop_assert!(close(one.mean.low() * factor, other.mean.low()));
        prop_assert!(close(one.median.high() * factor, other.median.high()));
        prop_assert!((one.spread_between.expect("positive") - other.spread_between.expect("positive")).abs() < 1e-6);
    }

    /// The point is always inside its interval, and the interval finite.
    #[test]
    fn the_point_estimate_is_within_its_interval(values in prop::collection::vec(1e-3_f64..1e3, 2..16)) {
        let summary = summarise(&single_rounds(&values)).expect("launches");
        for estimate in [summary.mean, summary.median] {
            prop_assert!(estimate.low() <= estimate.point && estimate.point <= estimate.high());
            prop_assert!(estimate.high().is_finite());
        }
    }
}
