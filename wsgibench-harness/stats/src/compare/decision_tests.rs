use proptest::prelude::*;

use super::super::GateRole;
use super::*;

fn series(metric: Metric, blocks: Vec<(f64, f64)>) -> Series {
    Series {
        case: "ping/gunicorn/c100".to_owned(),
        metric,
        margin: metric.default_margin(),
        role: GateRole::Primary(0.5),
        validity_worse: false,
        blocks,
    }
}

/// The series with another role in the gate.
fn with_role(role: GateRole, series: Series) -> Series {
    Series { role, ..series }
}

/// A base that wobbles by 0.5 % and a candidate at `ratio` of it that wobbles on its own.
fn wobbling(blocks: u32, ratio: f64) -> Vec<(f64, f64)> {
    let wobble = |seed: u32| 1.0 + 0.005 * (f64::from(seed) * 2.399).sin();
    (0..blocks)
        .map(|block| (40.0 * wobble(block), 40.0 * ratio * wobble(block * 3 + 1)))
        .collect()
}

fn standard() -> Decision {
    Decision::new(Design::standard()).expect("a valid design")
}

fn decide(series: &[Series]) -> Vec<Outcome> {
    standard().decide(series)
}

fn verdict(series: Series) -> Verdict {
    decide(&[series]).remove(0).verdict
}

#[test]
fn each_of_the_four_verdicts_is_reached() {
    assert_eq!(
        verdict(series(Metric::CpuPerRequest, wobbling(26, 1.03))),
        Verdict::Regression
    );
    assert_eq!(
        verdict(series(Metric::CpuPerRequest, wobbling(26, 0.97))),
        Verdict::Improvement
    );
    assert_eq!(
        verdict(series(Metric::CpuPerRequest, wobbling(26, 1.0))),
        Verdict::Equivalent
    );
    assert_eq!(
        verdict(series(Metric::CpuPerRequest, wobbling(16, 1.0))),
        Verdict::Inconclusive
    );
}

#[test]
fn a_fall_is_worse_if_higher_is_better() {
    assert_eq!(
        verdict(series(Metric::Throughput, wobbling(26, 0.95))),
        Verdict::Regression
    );
    assert_eq!(
        verdict(series(Metric::Throughput, wobbling(26, 1.05))),
        Verdict::Improvement
    );
    let outcome = decide(&[series(Metric::Throughput, wobbling(26, 0.95))]).remove(0);
    let (change, interval) = (outcome.change.expect("blocks"), outcome.interval.expect("blocks"));
    assert!((change + 0.05).abs() < 0.003, "{change}");
    assert!(interval.low < change && change < interval.high && interval.high < 0.0);
}

#[test]
fn a_significant_change_within_half_the_margin_is_reported_and_does_not_fail() {
    let outcome = decide(&[series(Metric::CpuPerRequest, wobbling(26, 1.006))]).remove(0);
    assert_eq!(outcome.verdict, Verdict::Equivalent);
    assert!(outcome.adjusted_p <= 0.01, "{}", outcome.adjusted_p);
    assert_eq!(outcome.notes, ["a significant change, but within half the margin"]);
}

#[test]
fn pairs_are_undecided_before_the_first_look() {
    let outcome = decide(&[series(Metric::CpuPerRequest, wobbling(9, 2.0))]).remove(0);
    assert_eq!(
        (outcome.verdict, outcome.undecided, outcome.blocks),
        (Verdict::Inconclusive, true, 9)
    );
    assert!(
        outcome.notes[0].contains("the first look needs 10"),
        "{:?}",
        outcome.notes
    );
    let outcome = decide(&[series(Metric::CpuPerRequest, Vec::new())]).remove(0);
    assert_eq!((outcome.change, outcome.undecided), (None, true));
    assert!(serde_json::to_string(&outcome).is_ok());
}

#[test]
fn a_look_without_power_leaves_pairs_undecided() {
    // Neither of two cases can reach its level in ten blocks: a regression of any size would be missed.
    let of_two = |blocks| {
        with_role(
            GateRole::Primary(0.25),
            series(Metric::CpuPerRequest, wobbling(blocks, 2.0)),
        )
    };
    let early = decide(&[of_two(10)]).remove(0);
    assert_eq!((early.verdict, early.undecided), (Verdict::Inconclusive, true));
    assert!(early.notes[0].contains("needs 16"), "{:?}", early.notes);
    let later = decide(&[of_two(16)]).remove(0);
    assert_eq!((later.verdict, later.undecided), (Verdict::Regression, false));
}

#[test]
fn a_secondary_pair_can_fail_the_gate_and_never_blocks_it() {
    let secondary = |blocks| with_role(GateRole::Secondary(0.1), series(Metric::P50, blocks));
    let ten = decide(&[secondary(wobbling(10, 2.0))]).remove(0);
    assert_eq!((ten.verdict, ten.undecided), (Verdict::Inconclusive, false));
    let sixteen = decide(&[secondary(wobbling(16, 2.0))]).remove(0);
    assert_eq!((sixteen.verdict, sixteen.undecided), (Verdict::Regression, false));
    // Its noise hides a change of the margin: inconclusive, which does not block the gate.
    let noisy = (0..26).map(|block| (1.0, if block % 2 == 0 { 0.5 } else { 2.0 }));
    let noisy = decide(&[secondary(noisy.collect())]).remove(0);
    assert!(noisy.mde.expect("26 blocks") > noisy.margin.value());
    assert_eq!((noisy.verdict, noisy.undecided), (Verdict::Inconclusive, false));
    // A metric that most blocks lack is undecided.
    let lacking = |usable: usize| {
        let mut blocks = wobbling(16, 1.0);
        blocks[usable..].fill((1.0, f64::NAN));
        decide(&[secondary(blocks)]).remove(0)
    };
    assert!(!lacking(12).undecided && !lacking(9).undecided && lacking(7).undecided);
    assert_eq!(lacking(7).notes[0], "undecided: 9 of 16 blocks lack a usable value");
}

#[test]
fn blocks_between_looks_wait_for_the_next_one() {
    let mut blocks = wobbling(15, 1.0);
    blocks[10..].fill((1.0, 99.0));
    let outcome = decide(&[series(Metric::CpuPerRequest, blocks)]).remove(0);
    assert_eq!((outcome.blocks, outcome.undecided), (10, false));
    assert!(outcome.change.expect("blocks").abs() < 0.01);
}

#[test]
fn unusable_blocks_do_not_count() {
    let mut blocks = wobbling(10, 1.0);
    blocks[3].1 = f64::NAN;
    blocks[4].0 = 0.0;
    let outcome = decide(&[series(Metric::CpuPerRequest, blocks)]).remove(0);
    assert_eq!(
        (outcome.blocks, outcome.unusable_blocks, outcome.undecided),
        (8, 2, true)
    );
}

#[test]
fn errors_that_rise_in_most_blocks_are_a_regression() {
    let rising: Vec<(f64, f64)> = (0..16).map(|_| (0.0, 0.004)).collect();
    let errors = |blocks| with_role(GateRole::Secondary(0.1), series(Metric::ErrorShare, blocks));
    let outcome = decide(&[errors(rising)]).remove(0);
    assert_eq!(outcome.verdict, Verdict::Regression);
    assert!((outcome.change.expect("blocks") - 0.004).abs() < 1e-12);

    let within_margin: Vec<(f64, f64)> = (0..26).map(|_| (0.0, 0.0009)).collect();
    assert_eq!(verdict(series(Metric::ErrorShare, within_margin)), Verdict::Equivalent);

    let once: Vec<(f64, f64)> = (0..26).map(|block| (0.0, if block == 7 { 0.5 } else { 0.0 })).collect();
    assert_eq!(verdict(series(Metric::ErrorShare, once)), Verdict::Inconclusive);
}

#[test]
fn faster_with_more_errors_is_not_an_improvement() {
    let faster = series(Metric::CpuPerRequest, wobbling(26, 0.5));
    // Too rare to be significant, but enough to rule out an improvement.
    let errors = (0..26)
        .map(|block| (0.0, if block % 9 == 0 { 0.1 } else { 0.0 }))
        .collect();
    let outcomes = decide(&[faster.clone(), series(Metric::ErrorShare, errors)]);
    assert_eq!(outcomes[0].verdict, Verdict::Inconclusive);
    assert!(outcomes[0].notes[0].contains("error share rose"));

    let other_case = Series {
        case: "ping/other/c100".to_owned(),
        ..faster.clone()
    };
    let errors = series(Metric::ErrorShare, vec![(0.0, 0.1); 26]);
    assert_eq!(decide(&[other_case, errors])[0].verdict, Verdict::Improvement);

    assert_eq!(
        verdict(Series {
            validity_worse: true,
            ..faster
        }),
        Verdict::Inconclusive
    );
}

#[test]
fn a_lost_case_does_not_make_the_others_easier_to_reject() {
    let of_cases = |cases: f64| {
        with_role(
            GateRole::Primary(0.5 / cases),
            series(Metric::CpuPerRequest, wobbling(16, 1.014)),
        )
    };
    let p = |cases| decide(&[of_cases(cases)])[0].adjusted_p;
    assert!((p(20.0) / p(1.0) - 20.0).abs() < 1e-6);
}

/// An extra wait of 2 ms in a handler that waits 10 ms: the CPU time of a request is what it was.
#[test]
fn an_extra_wait_fails_the_gate_although_cpu_time_does_not_change() {
    let family = crate::Family::standard(1);
    let changed = |metric: Metric, ratio: f64| with_role(family.role(metric), series(metric, wobbling(16, ratio)));
    let all = [
        changed(Metric::CpuPerRequest, 1.001),
        changed(Metric::Throughput, 0.83),
        changed(Metric::P50, 1.2),
        changed(Metric::P99, 1.2),
        changed(Metric::PeakMemory, 1.0),
        with_role(
            family.role(Metric::ErrorShare),
            series(Metric::ErrorShare, vec![(0.0, 0.0); 16]),
        ),
    ];
    assert_eq!(standard().progress(&all), Progress::Stop(StopReason::Regression));
    let outcomes = decide(&all);
    let failed: Vec<Metric> = outcomes
        .iter()
        .filter(|outcome| outcome.gated && outcome.verdict == Verdict::Regression)
        .map(|outcome| outcome.metric)
        .collect();
    assert_eq!(failed, [Metric::Throughput, Metric::P50, Metric::P99]);
    assert!(outcomes.iter().all(|outcome| !outcome.undecided), "{outcomes:?}");
}

#[test]
fn a_rejection_passes_its_share_to_the_others() {
    let second = with_role(GateRole::Secondary(0.1), series(Metric::P50, wobbling(26, 1.01)));
    let adjusted = |first: f64| {
        let first = series(Metric::CpuPerRequest, wobbling(26, first));
        decide(&[first, second.clone()])[1].adjusted_p
    };
    // Without the first pair, the second is the most significant and has only its own share; with it, it inherits half.
    let (alone, after) = (adjusted(1.0), adjusted(1.5));
    assert!(after < 1.0 && (alone / after - 2.0).abs() < 1e-6, "{alone} {after}");
}

#[test]
fn advisory_pairs_do_not_share_the_error_rate_of_the_gate() {
    let gated = series(Metric::CpuPerRequest, wobbling(26, 1.01));
    let advisory = with_role(GateRole::Advisory, series(Metric::P99, wobbling(26, 1.3)));
    let alone = decide(std::slice::from_ref(&gated));
    let together = decide(&[gated, advisory]);
    assert_eq!(alone[0], together[0]);
    assert_eq!(together[1].verdict, Verdict::Regression);
}

#[test]
fn stops_early_for_a_regression_and_only_for_that() {
    let decision = |design| Decision::new(design).expect("a valid design");
    let progress = |blocks, ratio| {
        decision(Design::standard()).progress(&[series(Metric::CpuPerRequest, wobbling(blocks, ratio))])
    };
    assert_eq!(progress(0, 1.0), Progress::Continue { next_look: 10 });
    assert_eq!(progress(9, 2.0), Progress::Continue { next_look: 10 });
    assert_eq!(progress(10, 2.0), Progress::Stop(StopReason::Regression));
    assert_eq!(progress(10, 0.5), Progress::Continue { next_look: 16 });
    assert_eq!(progress(12, 1.0), Progress::Continue { next_look: 16 });
    assert_eq!(progress(26, 1.0), Progress::Stop(StopReason::LastLook));

    // 2^-10 exceeds a tenth of the error rate: ten blocks cannot end that run.
    let one = [
        with_role(GateRole::Secondary(0.1), series(Metric::Throughput, wobbling(10, 0.5))),
        series(Metric::CpuPerRequest, wobbling(10, 1.0)),
    ];
    assert_eq!(standard().progress(&one), Progress::Continue { next_look: 16 });
    // A secondary pair without figures does not prolong the run.
    let lacking = [
        with_role(GateRole::Secondary(0.1), series(Metric::PeakMemory, wobbling(3, 1.0))),
        series(Metric::CpuPerRequest, wobbling(26, 1.0)),
    ];
    assert_eq!(standard().progress(&lacking), Progress::Stop(StopReason::LastLook));

    let equal = [series(Metric::CpuPerRequest, wobbling(10, 1.0))];
    let design = Design {
        stop_when_equivalent: true,
        ..Design::standard()
    };
    assert_eq!(
        decision(design).progress(&equal),
        Progress::Stop(StopReason::Equivalent)
    );
}

#[test]
fn an_advisory_regression_ends_no_run() {
    let gated = series(Metric::CpuPerRequest, wobbling(10, 1.0));
    let advisory = with_role(GateRole::Advisory, series(Metric::Throughput, wobbling(10, 0.2)));
    let progress = standard().progress(&[gated, advisory]);
    assert_eq!(progress, Progress::Continue { next_look: 16 });
}

#[test]
fn an_invalid_design_is_an_error() {
    assert!(
        Decision::new(Design {
            looks: Vec::new(),
            ..Design::standard()
        })
        .is_err()
    );
}

fn any_blocks() -> impl Strategy<Value = Vec<(f64, f64)>> {
    prop::collection::vec((0.9_f64..1.1, 0.8_f64..1.25), 0..28)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Swapping the arms turns every regression into an improvement and back, with the same certainty.
    #[test]
    fn swapping_the_arms_mirrors_the_verdict(blocks in any_blocks()) {
        let mirrored: Vec<(f64, f64)> = blocks.iter().map(|&(base, candidate)| (candidate, base)).collect();
        let one = decide(&[series(Metric::CpuPerRequest, blocks)]).remove(0);
        let other = decide(&[series(Metric::CpuPerRequest, mirrored)]).remove(0);
        let expected = match one.verdict {
            Verdict::Regression => Verdict::Improvement,
            Verdict::Improvement => Verdict::Regression,
            same => same,
        };
        prop_assert_eq!(other.verdict, expected);
        prop_assert!((one.p - other.p).abs() < 1e-9);
        prop_assert!((one.adjusted_p - other.adjusted_p).abs() < 1e-9);
    }

    /// A worse candidate never gets a better verdict.
    #[test]
    fn worse_is_never_less_of_a_regression(blocks in any_blocks(), factor in 1.0_f64..1.3) {
        let worse: Vec<(f64, f64)> = blocks.iter().map(|&(base, candidate)| (base, candidate * factor)).collect();
        if verdict(series(Metric::CpuPerRequest, blocks)) == Verdict::Regression {
            prop_assert_eq!(verdict(series(Metric::CpuPerRequest, worse)), Verdict::Regression);
        }
    }

    /// Computing verdicts alone gives the same verdicts.
    #[test]
    fn verdicts_alone_equal_those_of_full_outcomes(
        arms in prop::collection::vec((any_blocks(), 0.8_f64..1.25, 0.01_f64..0.4), 1..4)
    ) {
        let scaled = |(blocks, factor, weight): (Vec<(f64, f64)>, f64, f64)| {
            let blocks = blocks.into_iter().map(|(base, candidate)| (base, candidate * factor)).collect();
            with_role(GateRole::Primary(weight), series(Metric::CpuPerRequest, blocks))
        };
        let all: Vec<Series> = arms.into_iter().map(scaled).collect();
        let decision = standard();
        let full: Vec<Verdict> = decision.decide(&all).into_iter().map(|outcome| outcome.verdict).collect();
        prop_assert_eq!(decision.verdicts(&all), full);
    }
}
