//! Compares many quantities of two arms of launches at once, with an error rate for the whole family.
//!
//! The step-down `maxT` procedure of Westfall and Young (1993): launches are divided between the arms in every possible way, and
//! a difference is certain if few divisions produce one as large anywhere in the family. It is exact if launches are
//! exchangeable, under any dependence between the quantities; functions of one profile depend on each other strongly, as their
//! shares add up to one. The statistic is Welch's t with a lower bound of the variance, so that a quantity that is almost constant
//! does not make a negligible change certain.

use rand::{RngExt as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::{
    distribution,
    sample::{float, mean, std_dev},
};

/// Most divisions of the launches that are tried; beyond it, as many random ones.
const MOST_DIVISIONS: usize = 20_000;
/// Confidence of the interval of a difference, two-sided.
pub const CONFIDENCE: f64 = 0.95;
/// Seed of random divisions.
const SEED: u64 = 0x6d61_7854;

/// One quantity in the launches of both arms.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantity {
    /// Launches of the base.
    pub base: Vec<f64>,
    /// Launches of the candidate.
    pub candidate: Vec<f64>,
    /// Lowest variance of one launch that is believed, such as that of counting samples.
    pub least_variance: f64,
}

/// The difference of one quantity between the arms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// Mean of the base.
    pub base: f64,
    /// Mean of the candidate.
    pub candidate: f64,
    /// Candidate less base.
    pub change: f64,
    /// Lower end of the 95 % interval of the change, by Welch's t.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Two-sided p-value, adjusted for the family.
    pub p: f64,
}

/// Sums of a group of launches.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Sums {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        values.fold(Self::default(), |sums, value| Self {
            count: sums.count + 1.0,
            sum: sums.sum + value,
            squares: sums.squares + value * value,
        })
    }

    fn less(self, other: Self) -> Self {
        Self {
            count: self.count - other.count,
            sum: self.sum - other.sum,
            squares: self.squares - other.squares,
        }
    }

    fn mean(self) -> f64 {
        self.sum / self.count
    }

    /// Variance of the mean.
    fn error(self, least_variance: f64) -> f64 {
        let variance = (self.squares - self.sum * self.sum / self.count) / (self.count - 1.0);
        variance.max(least_variance) / self.count
    }
}

/// Compares the quantities as one family. Every quantity must have the same launches.
///
/// All p-values are 1 with fewer than two launches of an arm.
#[must_use]
pub fn compare(family: &[Quantity]) -> Vec<Difference> {
    let Some(first) = family.first() else {
        return Vec::new();
    };
    let (n, m) = (first.base.len(), first.candidate.len());
    let decidable = n >= 2 && m >= 2 && family.iter().all(|q| q.base.len() == n && q.candidate.len() == m);
    let p_values = if decidable {
        adjusted(family, n, m)
    } else {
        vec![1.0; family.len()]
    };
    family
        .iter()
        .zip(p_values)
        .map(|(quantity, p)| difference(quantity, p))
        .collect()
}

/// Returns the smallest p-value that so many launches of the arms can reach.
#[must_use]
pub fn smallest_p(base: usize, candidate: usize) -> f64 {
    if base < 2 || candidate < 2 {
        return 1.0;
    }
    let divisions = binomial(base + candidate, base);
    // The mirrored division is as large.
    let ties = if base == candidate { 2.0 } else { 1.0 };
    ties / divisions.min(float(MOST_DIVISIONS))
}

fn difference(quantity: &Quantity, p: f64) -> Difference {
    let (base, candidate) = (mean(&quantity.base), mean(&quantity.candidate));
    let variance = |values: &[f64]| std_dev(values).powi(2).max(quantity.least_variance) / float(values.len());
    let (a, b) = (variance(&quantity.base), variance(&quantity.candidate));
    let freedom = (a + b).powi(2)
        / (a * a / float(quantity.base.len().saturating_sub(1))
            + b * b / float(quantity.candidate.len().saturating_sub(1)));
    let half = if freedom.is_finite() && freedom > 0.0 {
        distribution::t_quantile(f64::midpoint(1.0, CONFIDENCE), freedom) * (a + b).sqrt()
    } else if a + b == 0.0 {
        0.0
    } else {
        f64::NAN
    };
    let change = candidate - base;
    Difference {
        base,
        candidate,
        change,
        low: change - half,
        high: change + half,
        p,
    }
}

/// The statistic of a division: the size of Welch's t.
fn statistic(base: Sums, candidate: Sums, least_variance: f64) -> f64 {
    let error = (base.error(least_variance) + candidate.error(least_variance)).sqrt();
    let difference = (candidate.mean() - base.mean()).abs();
    // A quantity that is equal in all launches differs nowhere; rounding must not decide.
    if difference <= 1e-12 * (candidate.mean().abs() + base.mean().abs()) {
        0.0
    } else {
        difference / error
    }
}

fn adjusted(family: &[Quantity], n: usize, m: usize) -> Vec<f64> {
    let pooled: Vec<Vec<f64>> = family
        .iter()
        .map(|quantity| quantity.base.iter().chain(&quantity.candidate).copied().collect())
        .collect();
    let totals: Vec<Sums> = pooled.iter().map(|values| Sums::of(values.iter().copied())).collect();
    let statistics = |in_base: &[usize], into: &mut Vec<f64>| {
        into.clear();
        into.extend(
            family
                .iter()
                .zip(&pooled)
                .zip(&totals)
                .map(|((quantity, values), total)| {
                    let base = Sums::of(in_base.iter().map(|&launch| values[launch]));
                    statistic(base, total.less(base), quantity.least_variance)
                }),
        );
    };
    let mut observed = Vec::new();
    statistics(&(0..n).collect::<Vec<_>>(), &mut observed);
    let mut order: Vec<usize> = (0..family.len()).collect();
    order.sort_by(|&a, &b| observed[b].total_cmp(&observed[a]));
    let mut as_large = vec![0_usize; family.len()];
    let mut tried = 0_usize;
    let mut of_division = Vec::new();
    divisions(n, m, |in_base| {
        tried += 1;
        statistics(in_base, &mut of_division);
        let mut largest = 0.0_f64;
        for &index in order.iter().rev() {
            largest = largest.max(of_division[index]);
            // Divisions that differ in rounding only are ties.
            if largest >= observed[index] * (1.0 - 1e-9) {
                as_large[index] += 1;
            }
        }
    });
    let mut p_values = vec![1.0; family.len()];
    let mut highest = 0.0_f64;
    for &index in &order {
        let p = if observed[index] > 0.0 {
            float(as_large[index]) / float(tried.max(1))
        } else {
            1.0
        };
        highest = highest.max(p);
        p_values[index] = highest;
    }
    p_values
}

fn binomial(n: usize, k: usize) -> f64 {
    (1..=k).map(|i| float(n - k + i) / float(i)).product()
}

/// Calls `visit` with the launches of the base in every division, or in random ones and the observed one if there are too many.
fn divisions(n: usize, m: usize, mut visit: impl FnMut(&[usize])) {
    let mut chosen: Vec<usize> = (0..n).collect();
    if binomial(n + m, n) > float(MOST_DIVISIONS) {
        visit(&chosen);
        let mut random = Xoshiro256PlusPlus::seed_from_u64(SEED);
        let mut all: Vec<usize> = (0..n + m).collect();
        for _ in 1..MOST_DIVISIONS {
            for place in 0..n {
                let other = random.random_range(place..n + m);
                all.swap(place, other);
            }
            visit(&all[..n]);
        }
        return;
    }
    loop {
        visit(&chosen);
        // The next combination in lexicographic order.
        let Some(place) = (0..n).rev().find(|&place| chosen[place] < m + place) else {
            return;
        };
        chosen[place] += 1;
        for next in place + 1..n {
            chosen[next] = chosen[next - 1] + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand_distr::{Distribution as _, Normal};

    use super::*;

    fn quantity(base: &[f64], candidate: &[f64]) -> Quantity {
        Quantity {
            base: base.to_vec(),
            candidate: candidate.to_vec(),
            least_variance: 1e-6,
        }
    }

    #[test]
    fn every_division_is_visited_once() {
        let mut seen = std::collections::BTreeSet::new();
        let mut visits = 0;
        divisions(3, 4, |base| {
            visits += 1;
            seen.insert(base.to_vec());
        });
        assert_eq!((visits, seen.len()), (35, 35));
    }

    #[test]
    fn separated_arms_reach_the_smallest_p() {
        let apart = quantity(&[1.0, 1.1, 0.9, 1.05], &[2.0, 2.2, 2.1, 1.9]);
        let same = quantity(&[1.0, 1.1, 0.9, 1.05], &[1.02, 1.08, 0.95, 1.0]);
        let found = compare(&[same.clone(), apart]);
        assert!((found[1].p - smallest_p(4, 4)).abs() < 1e-12, "{found:?}");
        assert!(found[0].p > 0.3, "{found:?}");
        assert!(found[1].low > 0.8 && found[1].high < 1.3, "{found:?}");
        assert!((found[1].change - 1.0375).abs() < 1e-9);
        // The whole family counts: among others like it, the same difference is less certain.
        let alone = compare(std::slice::from_ref(&same))[0].p;
        assert!(alone <= found[0].p);
    }

    #[test]
    fn too_few_launches_decide_nothing() {
        let found = compare(&[quantity(&[1.0], &[5.0, 5.0])]);
        assert!((found[0].p - 1.0).abs() < f64::EPSILON);
        assert!((smallest_p(1, 5) - 1.0).abs() < f64::EPSILON);
        assert!(smallest_p(6, 6) < 0.005 && smallest_p(5, 5) > 0.005);
        assert!(compare(&[]).is_empty());
    }

    #[test]
    fn constant_quantities_are_equal() {
        let found = compare(&[quantity(&[0.1; 6], &[0.1; 6]), quantity(&[0.0; 6], &[0.0; 6])]);
        assert!(
            found.iter().all(|difference| (difference.p - 1.0).abs() < f64::EPSILON),
            "{found:?}"
        );
    }

    /// Correlated null families of 20 quantities with a common factor, as profiles have: at a level of 5 % about 30 of 600
    /// families may name one, and more than 47 have a probability of 0.1 %.
    #[test]
    fn error_rate_of_a_family_without_differences_is_the_level() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(7);
        let normal = Normal::new(0.0, 1.0).unwrap();
        let mut alarms = 0;
        for _ in 0..600 {
            let mut arms = [0, 1].map(|_| vec![Vec::new(); 20]);
            for arm in &mut arms {
                for _ in 0..5 {
                    let speed = 1.0 + 0.03 * normal.sample(&mut random);
                    for (index, values) in arm.iter_mut().enumerate() {
                        let size = 1.0 + float(index);
                        values.push(speed * size * (1.0 + 0.02 * normal.sample(&mut random)));
                    }
                }
            }
            let [base, candidate] = arms;
            let family: Vec<Quantity> = base.iter().zip(&candidate).map(|(b, c)| quantity(b, c)).collect();
            alarms += usize::from(compare(&family).iter().any(|difference| difference.p <= 0.05));
        }
        assert!((8..=47).contains(&alarms), "{alarms} of 600");
    }

    /// A difference of three standard deviations in one of 20 quantities is found at 0.5 % with eight launches of each arm.
    #[test]
    fn a_real_difference_is_found() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(11);
        let normal = Normal::new(0.0, 1.0).unwrap();
        let found = (0..10)
            .filter(|_| {
                let mut draw = |shift: f64| {
                    (0..8)
                        .map(|_| 100.0 + shift + normal.sample(&mut random))
                        .collect::<Vec<f64>>()
                };
                let family: Vec<Quantity> = (0..20)
                    .map(|index| quantity(&draw(0.0), &draw(if index == 3 { 3.0 } else { 0.0 })))
                    .collect();
                let differences = compare(&family);
                differences[3].p <= 0.005 && differences.iter().filter(|difference| difference.p <= 0.005).count() == 1
            })
            .count();
        assert!(found >= 8, "{found} of 10");
    }

    prop_compose! {
        fn arms()(values in proptest::collection::vec((0.0_f64..1e3, 0.0_f64..1e3, 0.0_f64..1e3, 0.0_f64..1e3, 0.0_f64..1e3, 0.0_f64..1e3), 1..5)) -> Vec<Quantity> {
            values.iter().map(|v| quantity(&[v.0, v.1, v.2], &[v.3, v.4, v.5])).collect()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn p_values_are_probabilities_and_differences_lie_in_their_intervals(family in arms()) {
            for difference in compare(&family) {
                prop_assert!((0.05 - 1e-9..=1.0).contains(&difference.p), "{difference:?}");
                prop_assert!(difference.low <= difference.change && difference.change <= difference.high);
            }
        }

        #[test]
        fn swapped_arms_have_the_opposite_difference(family in arms()) {
            let swapped: Vec<Quantity> = family.iter().map(|q| Quantity { base: q.candidate.clone(), candidate: q.base.clone(), ..*q }).collect();
            for (one, other) in compare(&family).iter().zip(compare(&swapped)) {
                prop_assert!((one.p - other.p).abs() < 1e-9);
                prop_assert!((one.change + other.change).abs() < 1e-9);
            }
        }

        #[test]
        fn order_of_the_family_does_not_matter(family in arms()) {
            let reversed: Vec<Quantity> = family.iter().rev().cloned().collect();
            let back: Vec<Difference> = compare(&reversed).into_iter().rev().collect();
            for (one, other) in compare(&family).iter().zip(back) {
                prop_assert!((one.p - other.p).abs() < 1e-9);
            }
        }
    }
}
