//! Many tests, one error rate: Holm's step-down (1979), valid under any dependence between the tests.

use super::sample::float;

/// Adjusted p-values in the order given: those at most `alpha` are rejected with a family error rate of `alpha`.
///
/// `family` is the number of tests that were planned. Where fewer are given (a case that could not be measured), the
/// missing ones count as the least significant, so that a lost case never makes the others easier to reject.
#[must_use]
pub fn adjust(p_values: &[f64], family: usize) -> Vec<f64> {
    let family = family.max(p_values.len());
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut highest: f64 = 0.0;
    for (place, index) in order.into_iter().enumerate() {
        highest = highest.max(float(family - place) * p_values[index]).min(1.0);
        adjusted[index] = highest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn assert_close(got: &[f64], expected: &[f64]) {
        assert_eq!(got.len(), expected.len());
        for (got, expected) in got.iter().zip(expected) {
            assert!((got - expected).abs() < 1e-12, "{got} is not {expected}");
        }
    }

    /// R: `p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")`.
    #[test]
    fn agrees_with_a_known_example() {
        assert_close(&adjust(&[0.01, 0.04, 0.03, 0.005], 4), &[0.03, 0.06, 0.06, 0.02]);
    }

    #[test]
    fn lost_tests_still_count() {
        assert_close(&adjust(&[0.001, 0.02], 10), &[0.01, 0.18]);
        assert_close(&adjust(&[], 10), &[]);
    }

    proptest! {
        #[test]
        fn never_below_the_raw_value_nor_above_bonferroni(p in prop::collection::vec(0.0_f64..=1.0, 1..30)) {
            for (raw, adjusted) in p.iter().zip(adjust(&p, p.len())) {
                prop_assert!(adjusted >= *raw);
                prop_assert!(adjusted <= (raw * float(p.len())).min(1.0).max(*p.iter().max_by(|a, b| a.total_cmp(b)).unwrap()));
            }
        }

        #[test]
        fn keeps_the_order(p in prop::collection::vec(0.0_f64..=1.0, 2..30)) {
            let adjusted = adjust(&p, p.len());
            for a in 0..p.len() {
                for b in 0..p.len() {
                    if p[a] < p[b] {
                        prop_assert!(adjusted[a] <= adjusted[b]);
                    }
                }
            }
        }
    }
}
