use proptest::prelude::*;

use super::*;

fn single_rounds(values: &[f64]) -> Vec<Vec<f64>> {
    values.iter().map(|&value| vec![value]).collect()
}

#[test]
fn one_launch_gets_no_interval() {
    let summary = summarise(&[vec![10.0, 11.0, 12.0]], 1).expect("one launch");
    assert!((summary.mean.point - 11.0).abs() < 1e-12);
    assert_eq!((summary.mean.interval, summary.median.interval), (None, None));
    assert_eq!(
        (summary.std_dev, summary.median_abs_dev, summary.spread_between),
        (None, None, None)
    );
    assert!(summary.spread_within.is_some());
}

#[test]
fn few_launches_get_student_and_many_the_bootstrap() {
    let method = |count: u32| {
        let launches: Vec<f64> = (0..count).map(|index| 100.0 + f64::from(index)).collect();
        summarise(&single_rounds(&launches), 1)
            .expect("launches")
            .mean
            .interval
            .expect("an interval")
            .method
    };
    assert_eq!(method(2), Method::StudentT);
    assert_eq!(method(9), Method::StudentT);
    assert_eq!(method(10), Method::BootstrapBca);
}

/// Three launches 100, 102, 104: on logs the mean is 4.62491 and its error 0.011322; t(0.975, 2) = 4.302653.
#[test]
fn the_interval_of_three_launches_is_the_textbook_one() {
    let summary = summarise(&single_rounds(&[100.0, 102.0, 104.0]), 1).expect("launches");
    let interval = summary.mean.interval.expect("an interval");
    assert!((interval.low - 97.135).abs() < 0.01, "{interval:?}");
    assert!((interval.high - 107.074).abs() < 0.01, "{interval:?}");
}

#[test]
fn spreads_are_of_the_log_and_pooled_within() {
    let summary = summarise(&[vec![100.0, 110.0], vec![200.0, 220.0]], 1).expect("launches");
    let within = 1.1_f64.ln() / 2.0_f64.sqrt();
    assert!((summary.spread_within.expect("two rounds") - within).abs() < 1e-9);
    let between = 2.0_f64.ln() / 2.0_f64.sqrt();
    assert!((summary.spread_between.expect("two launches") - between).abs() < 1e-9);
}

#[test]
fn shares_of_zero_are_summarised_without_logs() {
    let summary = summarise(&single_rounds(&[0.0, 0.0, 0.01]), 1).expect("launches");
    assert!(summary.spread_between.is_none());
    assert!(summary.mean.low() < summary.mean.point);
}

#[test]
fn refuses_what_is_no_sample() {
    assert_eq!(summarise(&[], 1), Err(SampleError::Empty));
    assert_eq!(
        summarise(&[vec![1.0], vec![]], 1),
        Err(SampleError::NoRounds { launch: 1 })
    );
    assert_eq!(
        summarise(&[vec![1.0, f64::NAN]], 1),
        Err(SampleError::NotFinite { launch: 0 })
    );
}

#[test]
fn fences_are_those_of_the_quartiles() {
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
    fn a_unit_is_only_a_factor(values in prop::collection::vec(1.0_f64..1e6, 2..14), factor in 0.01_f64..100.0) {
        let scaled: Vec<f64> = values.iter().map(|value| value * factor).collect();
        let one = summarise(&single_rounds(&values), 3).expect("launches");
        let other = summarise(&single_rounds(&scaled), 3).expect("launches");
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-6 * (a.abs() + b.abs());
        prop_assert!(close(one.mean.low() * factor, other.mean.low()));
        prop_assert!(close(one.median.high() * factor, other.median.high()));
        prop_assert!((one.spread_between.expect("positive") - other.spread_between.expect("positive")).abs() < 1e-6);
    }

    /// The point is always inside its interval, and the interval finite.
    #[test]
    fn the_point_is_inside(values in prop::collection::vec(1e-3_f64..1e3, 2..16)) {
        let summary = summarise(&single_rounds(&values), 5).expect("launches");
        for estimate in [summary.mean, summary.median] {
            prop_assert!(estimate.low() <= estimate.point && estimate.point <= estimate.high());
            prop_assert!(estimate.high().is_finite());
        }
    }
}
