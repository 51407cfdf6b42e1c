use proptest::prelude::*;
use rand::SeedableRng as _;
use rand_distr::{Distribution as _, Normal};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::*;

/// A planted truth: the means and the relative standard deviation of each candidate's launches.
struct Truth {
    means: Vec<f64>,
    spreads: Vec<f64>,
    /// Effect of a block on all of its launches.
    of_blocks: f64,
}

impl Truth {
    fn new(means: &[f64], spread: f64) -> Self {
        Self {
            means: means.to_vec(),
            spreads: vec![spread; means.len()],
            of_blocks: 0.1,
        }
    }

    fn draw(&self, blocks: usize, seed: u64) -> Vec<Candidate> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let normal = Normal::new(0.0, 1.0).unwrap();
        let shared: Vec<f64> = (0..blocks)
            .map(|_| self.of_blocks * normal.sample(&mut random))
            .collect();
        self.means
            .iter()
            .zip(&self.spreads)
            .enumerate()
            .map(|(index, (mean, spread))| Candidate {
                name: index.to_string(),
                values: shared
                    .iter()
                    .map(|block| Some(mean * (block + spread * normal.sample(&mut random)).exp()))
                    .collect(),
                costs: vec![Some(100.0); blocks],
                ..Candidate::default()
            })
            .collect()
    }
}

fn rules() -> Rules {
    Rules {
        direction: Direction::HigherIsBetter,
        margin: 0.05,
        most_blocks: MAX_BLOCKS,
        present: None,
        judge_present: false,
    }
}

fn found(candidates: &[Candidate], rules: &Rules) -> Standing {
    search(candidates, rules, rules.most_blocks)
}

fn is_worse(state: &State) -> bool {
    matches!(
        state,
        State::Dropped {
            reason: Reason::Worse { .. },
            ..
        }
    )
}

/// Adds a threshold to all candidates; its values are the goal's times `factor`.
fn limited(mut candidates: Vec<Candidate>, threshold: &str, factor: f64) -> Vec<Candidate> {
    for candidate in &mut candidates {
        candidate.thresholds.push(ThresholdValues {
            threshold: threshold.parse().unwrap(),
            launches: candidate
                .values
                .iter()
                .map(|value| value.map(|value| value * factor))
                .collect(),
            requests: vec![(0, 1_000); candidate.values.len()],
        });
    }
    candidates
}

/// Two processes of 24: throughput rises with threads, and two settings are the best.
fn waiting_load() -> Vec<f64> {
    let mut means: Vec<f64> = (0..24).map(|index| 100.0 * f64::from(1 + index)).collect();
    means[22] = 2_400.0;
    means
}

#[test]
fn the_best_of_24_is_found_in_a_part_of_the_grid() {
    let rules = rules();
    let (mut right, mut launches) = (0, 0);
    for seed in 0..40 {
        let standing = found(&Truth::new(&waiting_load(), 0.03).draw(MAX_BLOCKS, seed), &rules);
        let best = standing
            .recommended
            .is_some_and(|index| waiting_load()[index] >= 2_280.0);
        right += usize::from(best && standing.certain);
        let spent: usize = standing
            .states
            .iter()
            .map(|state| match state {
                State::Active { .. } => standing.blocks,
                State::Dropped { after, .. } => *after,
            })
            .sum();
        launches += spent;
    }
    assert!(right >= 38, "{right} of 40");
    // A grid of 24 has 720 launches.
    assert!(launches / 40 < 180, "{} launches a search", launches / 40);
}

/// At a confidence of 95 %, at most 5 of 100 searches may drop a candidate of identical ones.
#[test]
fn identical_candidates_stay_together() {
    let rules = rules();
    let mut dropped = 0;
    for seed in 0..200 {
        let standing = found(&Truth::new(&[1_000.0; 12], 0.04).draw(MAX_BLOCKS, seed), &rules);
        dropped += usize::from(standing.states.iter().any(is_worse));
        if standing.certain {
            assert!(standing.recommended.is_some());
        }
    }
    assert!(dropped <= 10, "{dropped} of 200");
}

#[test]
fn candidates_of_unequal_spread_do_not_raise_the_error_rate() {
    let mut truth = Truth::new(&[1_000.0; 8], 0.01);
    truth.spreads[3..].fill(0.15);
    let dropped = (0..200)
        .filter(|&seed| {
            found(&truth.draw(MAX_BLOCKS, seed), &rules())
                .states
                .iter()
                .any(is_worse)
        })
        .count();
    assert!(dropped <= 10, "{dropped} of 200");
}

#[test]
fn a_bad_present_setting_is_called_worse_and_a_good_one_good() {
    let mut means = vec![1_000.0; 8];
    means[5] = 850.0;
    let judged = |present: usize, seed| {
        let rules = Rules {
            present: Some(present),
            judge_present: true,
            ..rules()
        };
        let candidates = Truth::new(&means, 0.03).draw(MAX_BLOCKS, seed);
        let standing = found(&candidates, &rules);
        let verdict = standing.present.unwrap();
        let best = standing.recommended.unwrap();
        (
            verdict,
            difference(&candidates, &rules, (present, best), standing.blocks),
        )
    };
    for seed in 0..20 {
        let (verdict, difference) = judged(5, seed);
        assert_eq!(verdict, PresentVerdict::Worse, "seed {seed}");
        let true_loss = (1_000.0_f64 / 850.0).ln();
        let it = difference.unwrap();
        assert!(it.low <= true_loss && true_loss <= it.high && it.low > 0.0, "{it:?}");
        assert_ne!(judged(2, seed).0, PresentVerdict::Worse, "seed {seed}");
    }
}

#[test]
fn a_wrong_claim_about_the_best_or_the_margin_is_rare() {
    // Differences near the margin: 4 % is within it, 8 % is not.
    let means = [1_000.0, 960.0, 920.0, 900.0, 1_000.0, 930.0];
    let mut wrong = 0;
    for seed in 0..200 {
        let standing = found(&Truth::new(&means, 0.03).draw(MAX_BLOCKS, seed), &rules());
        let lost = [0, 4].iter().any(|&best| is_worse(&standing.states[best]));
        let bad = standing.certain && standing.recommended.is_some_and(|index| means[index] < 1_000.0 / 1.05);
        wrong += usize::from(lost || bad);
    }
    assert!(wrong <= 10, "{wrong} of 200");
}

#[test]
fn the_cheapest_of_equally_good_candidates_is_recommended() {
    let mut candidates = Truth::new(&[1_000.0, 1_000.0, 1_000.0, 300.0], 0.02).draw(MAX_BLOCKS, 1);
    for (candidate, cost) in candidates.iter_mut().zip([400.0, 100.0, 200.0, 50.0]) {
        candidate.costs.fill(Some(cost));
    }
    let standing = found(&candidates, &rules());
    assert_eq!(
        (standing.recommended, standing.certain),
        (Some(1), true),
        "{standing:?}"
    );
    assert!(is_worse(&standing.states[3]));
}

#[test]
fn a_faster_candidate_that_breaks_a_threshold_is_dropped() {
    // The third is the fastest, and its memory of 1.1 GB breaks the limit.
    let truth = Truth {
        of_blocks: 0.0,
        ..Truth::new(&[500.0, 800.0, 1_100.0], 0.01)
    };
    let candidates = limited(truth.draw(MAX_BLOCKS, 3), "memory<1GB", 1e6);
    let standing = found(&candidates, &rules());
    assert_eq!(standing.recommended, Some(1), "{standing:?}");
    assert!(
        matches!(&standing.states[2], State::Dropped { reason: Reason::Breaks(outcome), .. }
        if outcome.threshold == "peak_memory<953.674316MiB")
    );
}

#[test]
fn nothing_is_left_if_every_candidate_breaks_a_threshold() {
    let candidates = limited(
        Truth::new(&[500.0, 800.0], 0.02).draw(MAX_BLOCKS, 3),
        "throughput>5000",
        1.0,
    );
    let standing = found(&candidates, &rules());
    assert_eq!((standing.progress, standing.recommended), (Progress::NothingLeft, None));
    assert!(standing.blocks < 10);
    assert_eq!(standing.thresholds[1][0].verdict, ThresholdVerdict::Broken);
}

#[test]
fn a_candidate_near_its_threshold_is_neither_recommended_nor_dropped() {
    let mut candidates = limited(
        Truth::new(&[1_000.0, 700.0], 0.02).draw(MAX_BLOCKS, 8),
        "throughput>600",
        1.0,
    );
    // The better one may or may not meet it.
    let near = candidates[0].values.iter().enumerate();
    candidates[0].thresholds[0].launches = near
        .map(|(block, _)| Some(if block % 2 == 0 { 580.0 } else { 621.0 }))
        .collect();
    let standing = found(&candidates, &rules());
    assert_eq!(standing.states[0], State::Active { meets: false });
    assert!(!standing.certain && standing.progress == Progress::Open, "{standing:?}");
    assert_eq!(standing.recommended, Some(1));
}

#[test]
fn failed_candidates_are_dropped_with_the_reason() {
    let mut candidates = Truth::new(&[1_000.0, 900.0, 500.0, 800.0], 0.02).draw(MAX_BLOCKS, 5);
    candidates[0].failure = Some(Failed {
        after: 0,
        reason: "it did not start".into(),
    });
    candidates[0].values.clear();
    candidates[1].failure = Some(Failed {
        after: 2,
        reason: "killed".into(),
    });
    candidates[1].values.truncate(2);
    candidates[2].values.fill(None);
    let standing = found(&candidates, &rules());
    let dropped = |after, reason: &str| State::Dropped {
        after,
        reason: Reason::Failed(reason.into()),
    };
    assert_eq!(standing.states[0], dropped(0, "it did not start"));
    assert_eq!(standing.states[1], dropped(2, "killed"));
    let without_figures = State::Dropped {
        after: PATIENCE,
        reason: Reason::NoFigures,
    };
    assert_eq!(standing.states[2], without_figures);
    assert_eq!((standing.recommended, standing.certain), (Some(3), true));
    let rules = Rules {
        present: Some(0),
        ..rules()
    };
    assert_eq!(found(&candidates, &rules).present, Some(PresentVerdict::Failed));
    assert!(!search(&candidates, &rules, 1).measures(0, &rules));
}

#[test]
fn the_present_candidate_is_measured_to_the_end() {
    let candidates = Truth::new(&[1_000.0, 990.0, 100.0], 0.03).draw(MAX_BLOCKS, 5);
    let rules = Rules {
        present: Some(2),
        ..rules()
    };
    let standing = search(&candidates, &rules, 4);
    assert!(is_worse(&standing.states[2]) && standing.measures(2, &rules));
    assert!(!standing.measures(2, &Rules { present: None, ..rules }));
}

#[test]
fn losses_are_shares_of_a_rate_and_additions_to_a_time() {
    let double = 2.0_f64.ln();
    assert!((Difference::loss(double, Direction::HigherIsBetter) - 0.5).abs() < 1e-12);
    assert!((Difference::loss(double, Direction::LowerIsBetter) - 1.0).abs() < 1e-12);
}

#[test]
fn a_lower_goal_is_better_where_it_is_a_cost() {
    let rules = Rules {
        direction: Direction::LowerIsBetter,
        ..rules()
    };
    let standing = found(
        &Truth::new(&[1_000.0, 700.0, 1_500.0], 0.02).draw(MAX_BLOCKS, 5),
        &rules,
    );
    assert_eq!((standing.recommended, standing.certain), (Some(1), true));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Launches after a look do not change it, so that a resumed search repeats its decisions.
    #[test]
    fn a_search_depends_on_its_blocks_only(
        means in prop::collection::vec(500.0_f64..1_000.0, 2..7), seed in 0_u64..1_000, blocks in 1_usize..12,
    ) {
        let rules = Rules { present: Some(0), ..rules() };
        let all = Truth::new(&means, 0.05).draw(MAX_BLOCKS, seed);
        let mut first = all.clone();
        for candidate in &mut first {
            candidate.values.truncate(blocks);
            candidate.costs.truncate(blocks);
        }
        prop_assert_eq!(search(&all, &rules, blocks), search(&first, &rules, blocks));
    }

    /// A dropped candidate stays dropped, and the recommended one is active.
    #[test]
    fn states_only_advance(means in prop::collection::vec(500.0_f64..1_000.0, 2..7), seed in 0_u64..1_000) {
        let candidates = Truth::new(&means, 0.05).draw(MAX_BLOCKS, seed);
        let mut before: Option<Standing> = None;
        for blocks in 1..=MAX_BLOCKS {
            let now = search(&candidates, &rules(), blocks);
            if let Some(recommended) = now.recommended {
                prop_assert!(now.active().any(|index| index == recommended));
            }
            if let Some(before) = before {
                for (was, is) in before.states.iter().zip(&now.states) {
                    let was_dropped = matches!(was, State::Dropped { .. });
                    prop_assert!(!was_dropped || was == is);
                }
            }
            before = Some(now);
        }
    }

    #[test]
    fn order_of_the_candidates_does_not_matter(
        means in prop::collection::vec(500.0_f64..1_000.0, 2..7), seed in 0_u64..1_000,
    ) {
        let candidates = Truth::new(&means, 0.05).draw(MAX_BLOCKS, seed);
        let reversed: Vec<Candidate> = candidates.iter().rev().cloned().collect();
        let (one, other) = (found(&candidates, &rules()), found(&reversed, &rules()));
        prop_assert_eq!(one.blocks, other.blocks);
        prop_assert_eq!(one.recommended.map(|index| &candidates[index].name), other.recommended.map(|index| &reversed[index].name));
    }
}

#[test]
fn looks_become_rarer_and_end_with_the_last_block() {
    assert_eq!(looks(30), [4, 5, 6, 7, 8, 10, 12, 15, 18, 22, 27, 30]);
    assert_eq!(looks(5), [4, 5]);
    assert_eq!(looks(4), [4]);
    let candidates = Truth::new(&[1.0, 2.0], 0.1).draw(4, 1);
    for most_blocks in [4, 5, 11, 30] {
        let rules = Rules { most_blocks, ..rules() };
        let all = Search::of(&candidates, &rules);
        let sum: f64 = all.looks.iter().map(|&look| all.share(look)).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{sum}");
    }
}

#[test]
fn a_search_that_ends_between_two_looks_judges_the_blocks_there_are() {
    // Looks take place after 8 and 10 blocks.
    let rules = rules();
    let (mut earlier, mut later) = (0, 0);
    for seed in 0..60 {
        let candidates = Truth::new(&[1_000.0, 990.0], 0.03).draw(9, seed);
        let (planned, ended) = (search(&candidates, &rules, 9), conclude(&candidates, &rules, 9));
        earlier += usize::from(planned.certain);
        later += usize::from(ended.certain);
        assert!(!planned.certain || planned == ended);
    }
    assert!(later > earlier, "{later} {earlier}");
    let few = Truth::new(&[1_000.0, 400.0], 0.02).draw(3, 2);
    assert_eq!(conclude(&few, &rules, 3).progress, Progress::Open);
}

#[test]
fn a_candidate_without_figures_for_a_while_is_not_given_up() {
    let mut candidates = Truth::new(&[1_000.0, 2_000.0], 0.02).draw(MAX_BLOCKS, 5);
    candidates[1].values[..4].fill(None);
    let rules = Rules {
        present: Some(0),
        judge_present: true,
        ..rules()
    };
    let early = search(&candidates, &rules, 5);
    assert_eq!((early.certain, early.present), (false, Some(PresentVerdict::Undecided)));
    let later = found(&candidates, &rules);
    assert_eq!(
        (later.recommended, later.present),
        (Some(1), Some(PresentVerdict::Worse))
    );
}
