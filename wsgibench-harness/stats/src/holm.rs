//! Holm's step-down procedure for weighted tests (Holm 1979). It controls the error rate of a family under any dependence.

/// Returns adjusted p-values in the given order: rejecting those of at most `alpha` keeps the family's error rate at `alpha`.
///
/// `weights[i]` is the share of the error rate that test `i` gets; equal weights give the ordinary Holm procedure. Weights
/// that sum to less than 1 leave the rest to planned tests without a result (such as a lost case): those count as never
/// rejected, so that a lost test does not make the others easier to reject. Weights that sum to more than 1 are scaled down.
/// A test of weight 0 is never rejected.
///
/// The procedure is a shortcut of the closed test: test `i` is rejected if and only if, in every subset of the family
/// that contains it, some test `j` has `p_j <= alpha x w_j / (sum of the subset's weights)`.
///
/// # Panics
///
/// Panics if there are fewer weights than p-values.
#[must_use]
pub fn adjust(p_values: &[f64], weights: &[f64]) -> Vec<f64> {
    let per_weight = |index: usize| {
        if weights[index] > 0.0 {
            p_values[index] / weights[index]
        } else {
            f64::INFINITY
        }
    };
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| per_weight(a).total_cmp(&per_weight(b)));
    let mut remaining = weights[..p_values.len()].iter().sum::<f64>().max(1.0);
    let mut adjusted = vec![1.0; p_values.len()];
    let mut highest: f64 = 0.0;
    for index in order {
        if per_weight(index).is_infinite() {
            break;
        }
        highest = highest.max(remaining * per_weight(index)).min(1.0);
        adjusted[index] = highest;
        remaining -= weights[index];
    }
    adjusted
}

/// Returns the weights of `family` tests that share the error rate equally.
#[must_use]
pub fn equal_weights(family: usize) -> Vec<f64> {
    vec![1.0 / super::sample::float(family.max(1)); family]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn assert_close(got: &[f64], expected: &[f64]) {
        assert!(is_close(got, expected), "{got:?} is not {expected:?}");
    }

    fn is_close(a: &[f64], b: &[f64]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9)
    }

    /// The closed test by its definition: the largest weighted Bonferroni p-value of all subsets that contain the test.
    fn closed_test(p_values: &[f64], weights: &[f64]) -> Vec<f64> {
        // The rest of the weight belongs to planned tests that were lost: p = 1 in the closure.
        let lost = (1.0 - weights.iter().sum::<f64>()).max(0.0);
        let all: Vec<(f64, f64)> = p_values
            .iter()
            .copied()
            .zip(weights.iter().copied())
            .chain([(1.0, lost)])
            .collect();
        let mut adjusted = vec![0.0_f64; p_values.len()];
        for subset in 1_u32..1 << all.len() {
            let members = || (0..all.len()).filter(|member| subset >> member & 1 == 1);
            let whole: f64 = members().map(|member| all[member].1).sum();
            let p = members()
                .filter(|&member| all[member].1 > 0.0)
                .map(|member| all[member].0 * whole / all[member].1)
                .fold(1.0, f64::min);
            for member in members().filter(|&member| member < p_values.len()) {
                adjusted[member] = adjusted[member].max(p);
            }
        }
        adjusted
    }

    /// Holm without weights: valid, but not the procedure.
    fn unweighted(p_values: &[f64], _weights: &[f64]) -> Vec<f64> {
        adjust(p_values, &equal_weights(p_values.len()))
    }

    /// Each test at the whole error rate.
    fn uncorrected(p_values: &[f64], _weights: &[f64]) -> Vec<f64> {
        p_values.to_vec()
    }

    /// Each test at its weight, without the step down.
    fn bonferroni(p_values: &[f64], weights: &[f64]) -> Vec<f64> {
        p_values.iter().zip(weights).map(|(p, w)| (p / w).min(1.0)).collect()
    }

    /// Step down without the running maximum.
    fn not_monotone(p_values: &[f64], weights: &[f64]) -> Vec<f64> {
        let mut order: Vec<usize> = (0..p_values.len()).collect();
        order.sort_by(|&a, &b| (p_values[a] / weights[a]).total_cmp(&(p_values[b] / weights[b])));
        let mut remaining: f64 = 1.0;
        let mut adjusted = vec![1.0; p_values.len()];
        for index in order {
            adjusted[index] = (remaining * p_values[index] / weights[index]).min(1.0);
            remaining -= weights[index];
        }
        adjusted
    }

    /// The gate's family of one case.
    const GATE: [f64; 6] = [0.5, 0.1, 0.1, 0.1, 0.1, 0.1];

    /// R: `p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")`.
    #[test]
    fn equal_weights_agree_with_a_known_example() {
        let adjusted = adjust(&[0.01, 0.04, 0.03, 0.005], &equal_weights(4));
        assert_close(&adjusted, &[0.03, 0.06, 0.06, 0.02]);
    }

    /// By hand: p / w = 0.008, 0.01, 0.4, ...; the first rejection frees half of the error rate for the second.
    #[test]
    fn weights_decide_the_order_and_what_a_rejection_frees() {
        let adjusted = adjust(&[0.004, 0.001, 0.04, 0.5, 0.5, 0.5], &GATE);
        assert_close(&adjusted, &[0.008, 0.008, 0.16, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn lost_tests_keep_their_share() {
        assert_close(&adjust(&[0.001, 0.02], &[0.1, 0.1]), &[0.01, 0.18]);
        assert_close(&adjust(&[], &[]), &[]);
        assert_close(&adjust(&[1e-9], &[0.0]), &[1.0]);
        assert_close(&adjust(&[0.01, 0.01], &[1.0, 1.0]), &[0.02, 0.02]);
    }

    /// The p-values of a worst case: each null hypothesis is significant at its own weight, never two at once. A family with
    /// the gate's weights then alarms exactly as often as allowed; without a correction, six times as often.
    #[test]
    fn the_family_error_rate_is_kept_in_the_worst_case() {
        let draws = 40_000_u32;
        let alpha = 0.05;
        let alarms = |procedure: fn(&[f64], &[f64]) -> Vec<f64>, least: fn(usize) -> f64| {
            let families = (0..draws).filter(|&draw| {
                let place = (f64::from(draw) + 0.5) / f64::from(draws);
                let mut from = 0.0;
                let p: Vec<f64> = (0..GATE.len())
                    .map(|test| {
                        let width = alpha * least(test);
                        let hit = (from..from + width).contains(&place);
                        from += width;
                        if hit { width } else { 1.0 }
                    })
                    .collect();
                procedure(&p, &GATE).iter().any(|adjusted| *adjusted <= alpha + 1e-12)
            });
            f64::from(u32::try_from(families.count()).unwrap_or(u32::MAX)) / f64::from(draws)
        };
        let rate = alarms(adjust, |test| GATE[test]);
        assert!((rate - alpha).abs() < 1e-3, "{rate}");
        let planted = alarms(uncorrected, |_| 1.0);
        assert!(planted > 5.0 * alpha, "{planted}");
    }

    /// Shows that the property test below detects wrong procedures.
    #[test]
    fn planted_violations_differ_from_the_closed_test() {
        let p_values = [0.004, 0.0011, 0.04, 0.009, 0.5, 0.0003];
        let expected = closed_test(&p_values, &GATE);
        assert_close(&adjust(&p_values, &GATE), &expected);
        for (name, planted) in [
            ("unweighted", unweighted as fn(&[f64], &[f64]) -> Vec<f64>),
            ("uncorrected", uncorrected),
            ("bonferroni", bonferroni),
            ("not monotone", not_monotone),
        ] {
            assert!(!is_close(&planted(&p_values, &GATE), &expected), "{name}");
        }
    }

    fn tests() -> impl Strategy<Value = (Vec<f64>, Vec<f64>)> {
        prop::collection::vec((0.0_f64..=1.0, 0.01_f64..1.0), 1..8).prop_flat_map(|tests| {
            let (p_values, weights): (Vec<f64>, Vec<f64>) = tests.into_iter().unzip();
            let whole: f64 = weights.iter().sum();
            // From a family with half of its weight lost to a complete one; small p-values, so that few are capped at 1.
            (0.5_f64..=1.0).prop_map(move |given| {
                let weights = weights.iter().map(|weight| given * weight / whole).collect();
                (p_values.iter().map(|p| p * p * 0.1).collect(), weights)
            })
        })
    }

    proptest! {
        #[test]
        fn adjustment_equals_the_closed_weighted_bonferroni_test((p_values, weights) in tests()) {
            let (got, expected) = (adjust(&p_values, &weights), closed_test(&p_values, &weights));
            prop_assert!(is_close(&got, &expected), "{got:?} {expected:?}");
        }

        #[test]
        fn adjusted_value_lies_between_the_raw_one_and_bonferroni((p_values, weights) in tests()) {
            let adjusted = adjust(&p_values, &weights);
            // A test can be held back to the adjusted value of one before it, itself at most Bonferroni's.
            let bonferroni = bonferroni(&p_values, &weights);
            let largest = bonferroni.iter().copied().fold(0.0, f64::max);
            for (raw, adjusted) in p_values.iter().zip(adjusted) {
                prop_assert!(adjusted >= *raw - 1e-12 && adjusted <= largest + 1e-12);
            }
        }
    }
}
