use rand::{RngExt as _, SeedableRng as _};
use rand_distr::{Distribution as _, Normal};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::*;

fn series(threshold: &str, launches: &[f64]) -> ThresholdSeries {
    ThresholdSeries {
        case: "ping/a/c1".into(),
        threshold: threshold.parse().unwrap(),
        launches: launches.to_vec(),
        requests: None,
        unusable: None,
    }
}

fn verdict(series: ThresholdSeries) -> ThresholdVerdict {
    judge(&[series]).outcomes[0].verdict
}

#[test]
fn thresholds_parse_and_are_written_alike() {
    for (text, metric, limit, written) in [
        ("p99<50ms", Metric::P99, 50_000.0, "p99<50ms"),
        (" p50 < 1.5 s ", Metric::P50, 1_500_000.0, "p50<1.5s"),
        ("errors<0.1%", Metric::ErrorShare, 0.001, "error_share<0.1%"),
        (
            "memory<=512MiB",
            Metric::PeakMemory,
            536_870_912.0,
            "peak_memory<512MiB",
        ),
        ("peak_memory<1GB", Metric::PeakMemory, 1e9, "peak_memory<953.674316MiB"),
        ("throughput>2_000", Metric::Throughput, 2_000.0, "throughput>2000"),
        ("cpu<150us", Metric::CpuPerRequest, 150.0, "cpu_per_request<150us"),
        (
            "p99{GET /item/{id}?a<b} < 50 ms",
            Metric::P99,
            50_000.0,
            "p99{GET /item/{id}?a<b}<50ms",
        ),
        ("start-up-time<2s", Metric::StartUpTime, 2.0, "start_up_time<2s"),
    ] {
        let read: Threshold = text.parse().unwrap();
        assert_eq!(read.metric, metric);
        assert!((read.limit - limit).abs() < 1e-9 * limit, "{text}: {}", read.limit);
        assert_eq!(read.to_string(), written);
        assert_eq!(written.parse::<Threshold>().unwrap().to_string(), written);
    }
    assert_eq!(
        Threshold::p99_below(Duration::from_millis(50)),
        "p99<50ms".parse().unwrap()
    );
    assert_eq!(
        Threshold::p99_below(Duration::from_millis(50)).of_request("GET /health"),
        "p99{GET /health}<50ms".parse().unwrap()
    );
    assert_eq!(Threshold::errors_below(0.001), "errors<0.1%".parse().unwrap());
    assert_eq!(Threshold::memory_below(512 << 20), "memory<512MiB".parse().unwrap());
    assert_eq!(Threshold::throughput_above(2_000), "throughput>2000".parse().unwrap());
}

#[test]
fn invalid_thresholds_are_errors_with_a_remedy() {
    for (text, told) in [
        ("p99", "write METRIC<VALUE, as in `p99<50ms`"),
        ("p99<50", "a time needs a unit: s, ms, us or ns"),
        ("p99{GET /health<50ms", "a request's name is in braces"),
        ("p99{}<50ms", "the request has no name"),
        ("errors{GET /health}<1%", "not measured per request; use p50 or p99"),
        ("p99<fast", "`fast` is not a number with a unit"),
        ("p99<", "is not a number with a unit"),
        ("p99<0ms", "must be a number above 0"),
        ("p99<-1ms", "must be a number above 0"),
        ("p99>50ms", "lower p99 is better; write `p99<50ms`"),
        (
            "throughput<2000",
            "higher throughput is better; write `throughput>2000`",
        ),
        ("throughput>2000ms", "this metric has no unit"),
        ("errors<0.1", "a share of errors is given in percent"),
        ("errors<100%", "below 100 %"),
        ("memory<512", "memory needs a unit"),
        ("memori<1MiB", "there is no metric `memori`"),
        ("instructions_per_request<9", "is counted"),
        ("p99<1e999ms", "a time needs a unit"),
    ] {
        let error = text.parse::<Threshold>().expect_err(text).to_string();
        assert!(error.contains(told), "{text}: {error}");
    }
    let twice = ["p99<50ms", "p50<9ms", "p99<60ms"].map(|text| text.parse().unwrap());
    let problem = Threshold::contradiction(&twice).unwrap();
    assert!(
        problem.contains("`p99<50ms` and `p99<60ms`; leave one out"),
        "{problem}"
    );
    assert_eq!(Threshold::contradiction(&twice[..2]), None);
}

#[test]
fn clear_cases_are_decided_and_near_ones_are_not() {
    let near = [49_000.0, 51_000.0, 50_500.0, 49_800.0];
    let scaled = |factor: f64| near.map(|value| value * factor);
    assert_eq!(verdict(series("p99<50ms", &scaled(0.9))), ThresholdVerdict::Met);
    assert_eq!(verdict(series("p99<50ms", &scaled(1.1))), ThresholdVerdict::Broken);
    assert_eq!(verdict(series("p99<50ms", &near)), ThresholdVerdict::Undecided);
    assert_eq!(verdict(series("throughput>55000", &near)), ThresholdVerdict::Broken);
    assert_eq!(verdict(series("throughput>45000", &near)), ThresholdVerdict::Met);
}

#[test]
fn one_launch_and_unusable_launches_are_undecided() {
    let one = judge(&[series("p99<50ms", &[1.0])]).outcomes.remove(0);
    assert_eq!((one.verdict, one.interval), (ThresholdVerdict::Undecided, None));
    assert_eq!(one.unusable.as_deref(), Some("a verdict needs at least 2 launches"));
    assert_eq!(one.estimate, Some(1.0));
    let invalid = ThresholdSeries {
        unusable: Some("invalid".into()),
        ..series("p99<50ms", &[10.0, 10.1, 10.0])
    };
    let outcome = judge(&[invalid]).outcomes.remove(0);
    assert_eq!(
        (outcome.verdict, outcome.unusable.as_deref()),
        (ThresholdVerdict::Undecided, Some("invalid"))
    );
    assert!(judge(&[series("p99<50ms", &[])]).outcomes[0].estimate.is_none());
}

#[test]
fn limit_is_outside_of_the_interval_exactly_with_a_verdict() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
    for family in 1..=6 {
        for _ in 0..200 {
            let all: Vec<ThresholdSeries> = (0..family)
                .map(|_| {
                    let centre = 50_000.0 * random.random_range(0.9..1.1);
                    let launches: Vec<f64> = (0..6).map(|_| centre * random.random_range(0.95..1.05)).collect();
                    series("p99<50ms", &launches)
                })
                .collect();
            for outcome in judge(&all).outcomes {
                let interval = outcome.interval.unwrap();
                let outside = outcome.limit < interval.low || outcome.limit > interval.high;
                assert_eq!(outside, outcome.verdict != ThresholdVerdict::Undecided, "{outcome:?}");
                assert_eq!(outcome.adjusted_p <= 0.05, outside, "{outcome:?}");
            }
        }
    }
}

#[test]
fn errors_are_judged_by_requests_and_launches() {
    let errors = |launches: &[f64], requests: (u64, u64)| ThresholdSeries {
        requests: Some(requests),
        ..series("errors<0.1%", launches)
    };
    // No error in 100,000 requests shows a share below 0.1 %, none in 1,000 does not.
    assert_eq!(verdict(errors(&[0.0; 5], (0, 100_000))), ThresholdVerdict::Met);
    assert_eq!(verdict(errors(&[0.0; 5], (0, 1_000))), ThresholdVerdict::Undecided);
    assert_eq!(
        verdict(errors(&[0.02, 0.021, 0.019, 0.02], (2_000, 100_000))),
        ThresholdVerdict::Broken
    );
    // One bad launch of five is not a verdict on launches, whatever the number of requests.
    assert_eq!(
        verdict(errors(&[0.0, 0.0, 0.0, 0.0, 0.05], (1_000, 100_000))),
        ThresholdVerdict::Undecided
    );
}

/// Log-normal launches with a spread of 3 %.
fn simulated(random: &mut Xoshiro256PlusPlus, ratio: f64, launches: usize) -> ThresholdVerdict {
    let log = Normal::new((50_000.0 * ratio).ln(), 0.03).unwrap();
    let values: Vec<f64> = (0..launches).map(|_| log.sample(random).exp()).collect();
    verdict(series("p99<50ms", &values))
}

#[test]
fn verdicts_ten_percent_from_the_threshold_are_right_and_none_at_it_is_certain() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(11);
    let runs = 2_000;
    for (ratio, right) in [(0.9, ThresholdVerdict::Met), (1.1, ThresholdVerdict::Broken)] {
        let verdicts: Vec<_> = (0..runs).map(|_| simulated(&mut random, ratio, 5)).collect();
        let correct = verdicts.iter().filter(|verdict| **verdict == right).count();
        let wrong = verdicts
            .iter()
            .filter(|verdict| **verdict != right && **verdict != ThresholdVerdict::Undecided)
            .count();
        assert!(correct * 20 >= runs * 19, "{correct} of {runs} at {ratio}");
        assert!(wrong * 100 <= runs, "{wrong} of {runs} at {ratio}");
    }
    let certain = (0..runs)
        .filter(|_| simulated(&mut random, 1.0, 5) != ThresholdVerdict::Undecided)
        .count();
    assert!(
        (60..=150).contains(&certain),
        "{certain} of {runs} at the threshold; 100 are expected"
    );
}
