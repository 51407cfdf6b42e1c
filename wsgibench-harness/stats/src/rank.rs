//! Ranks servers, with ties between servers without a significant difference.

use serde::{Deserialize, Serialize};

use super::distribution::t_upper_tail;
use super::holm;
use super::metric::Direction;
use super::sample::{float, logs, mean, std_dev};

/// Maximum probability that a ranking reports any difference that does not exist.
pub const ALPHA: f64 = 0.05;

/// A server to rank, with its value in each launch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contender {
    /// The name.
    pub name: String,
    /// One value per valid launch, in the metric's unit; at least one.
    pub launches: Vec<f64>,
}

/// The pairing of the launches of two contenders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pairing {
    /// Launch `b` of each contender belongs to the same block, so that effects of the whole block cancel. Contenders with
    /// different numbers of launches are compared as independent.
    Blocks,
    /// Independent launches (Welch's test).
    Independent,
}

/// The rank of a contender.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Place {
    /// The name.
    pub name: String,
    /// The best possible rank: one more than the number of significantly better contenders.
    pub best: usize,
    /// The worst possible rank: the number of contenders that are not significantly worse. Contenders without a significant
    /// difference overlap.
    pub worst: usize,
}

/// Returns the ranks of all contenders, best estimate first; those without a launch, or with a value that is not finite, are
/// left out.
///
/// Two contenders are distinguished by a two-sided t test on the logs of its launches (on the values, where one is not positive),
/// corrected for the number of pairs (Holm), at [`ALPHA`]. Contenders with one launch each are tied.
#[must_use]
pub fn rank(contenders: &[Contender], direction: Direction, pairing: Pairing) -> Vec<Place> {
    let measured = |c: &&Contender| !c.launches.is_empty() && c.launches.iter().all(|value| value.is_finite());
    let kept: Vec<&Contender> = contenders.iter().filter(measured).collect();
    // One scale for all contenders: logarithms if every value is positive.
    let on_logs: Option<Vec<Vec<f64>>> = kept.iter().map(|c| logs(&c.launches)).collect();
    let scaled = on_logs.unwrap_or_else(|| kept.iter().map(|c| c.launches.clone()).collect());

    let better = certainly_better(&scaled, direction, pairing);
    let mut order: Vec<usize> = (0..kept.len()).collect();
    order.sort_by(|&a, &b| {
        let (a, b) = (mean(&scaled[a]), mean(&scaled[b]));
        (a * direction.worse()).total_cmp(&(b * direction.worse()))
    });
    order
        .into_iter()
        .map(|index| Place {
            name: kept[index].name.clone(),
            best: 1 + (0..kept.len()).filter(|&other| better[other][index]).count(),
            worst: kept.len() - (0..kept.len()).filter(|&other| better[index][other]).count(),
        })
        .collect()
}

/// Returns a matrix whose entry `[a][b]` is true if `a` is significantly better than `b`.
fn certainly_better(scaled: &[Vec<f64>], direction: Direction, pairing: Pairing) -> Vec<Vec<bool>> {
    let count = scaled.len();
    let pairs: Vec<(usize, usize)> = (0..count).flat_map(|a| (a + 1..count).map(move |b| (a, b))).collect();
    let p_values: Vec<f64> = pairs
        .iter()
        .map(|&(a, b)| two_sided_p(&scaled[a], &scaled[b], pairing))
        .collect();
    let mut better = vec![vec![false; count]; count];
    for (&(a, b), adjusted) in pairs
        .iter()
        .zip(holm::adjust(&p_values, &holm::equal_weights(pairs.len())))
    {
        if adjusted <= ALPHA {
            let a_is_better = (mean(&scaled[a]) - mean(&scaled[b])) * direction.worse() < 0.0;
            let (winner, loser) = if a_is_better { (a, b) } else { (b, a) };
            better[winner][loser] = true;
        }
    }
    // Transitive closure (Warshall): without it two noisy contenders could be tied although a third, steadier one lies
    // significantly between them.
    for middle in 0..count {
        for first in 0..count {
            for last in 0..count {
                better[first][last] |= better[first][middle] && better[middle][last];
            }
        }
    }
    better
}

fn two_sided_p(a: &[f64], b: &[f64], pairing: Pairing) -> f64 {
    let difference = mean(a) - mean(b);
    let (error, freedom) = if pairing == Pairing::Blocks && a.len() == b.len() {
        let paired: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
        (std_dev(&paired) / float(a.len()).sqrt(), float(a.len()) - 1.0)
    } else {
        welch(a, b)
    };
    (2.0 * t_upper_tail(difference.abs() / error, freedom)).min(1.0)
}

/// Returns the standard error and degrees of freedom of a difference of means with unequal variances (Welch and
/// Satterthwaite).
fn welch(a: &[f64], b: &[f64]) -> (f64, f64) {
    if a.len() < 2 || b.len() < 2 {
        return (f64::NAN, 0.0);
    }
    let part = |values: &[f64]| std_dev(values).powi(2) / float(values.len());
    let (a_part, b_part) = (part(a), part(b));
    let whole = a_part + b_part;
    let freedom = whole.powi(2) / (a_part.powi(2) / float(a.len() - 1) + b_part.powi(2) / float(b.len() - 1));
    // For two constant samples the formula gives 0 / 0; the degrees of freedom of the smaller sample are a safe choice.
    let least = float(a.len().min(b.len()) - 1);
    (whole.sqrt(), if freedom.is_nan() { least } else { freedom })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn contender(name: &str, launches: &[f64]) -> Contender {
        Contender {
            name: name.to_owned(),
            launches: launches.to_vec(),
        }
    }

    fn places(contenders: &[Contender], direction: Direction, pairing: Pairing) -> Vec<(String, usize, usize)> {
        rank(contenders, direction, pairing)
            .into_iter()
            .map(|p| (p.name, p.best, p.worst))
            .collect()
    }

    #[test]
    fn equal_contenders_share_a_rank_and_a_slow_one_ranks_below() {
        let field = [
            contender("slow", &[50.0, 51.0, 49.0, 50.5, 49.5]),
            contender("a", &[100.0, 102.0, 98.0, 101.0, 99.0]),
            contender("b", &[101.0, 97.0, 103.0, 98.0, 100.0]),
        ];
        let got = places(&field, Direction::HigherIsBetter, Pairing::Independent);
        assert_eq!(got, [("a".into(), 1, 2), ("b".into(), 1, 2), ("slow".into(), 3, 3)]);
        let got = places(&field, Direction::LowerIsBetter, Pairing::Independent);
        assert_eq!(got[0], ("slow".into(), 1, 1));
    }

    #[test]
    fn contenders_with_one_launch_each_are_tied() {
        let field = [contender("a", &[1.0]), contender("b", &[1000.0])];
        for pairing in [Pairing::Blocks, Pairing::Independent] {
            assert!(
                rank(&field, Direction::HigherIsBetter, pairing)
                    .iter()
                    .all(|p| (p.best, p.worst) == (1, 2))
            );
        }
    }

    /// On a machine that changes its speed, a 5 % difference is significant only if launches are compared block by block.
    #[test]
    fn pairing_by_block_cancels_shared_effects() {
        let speeds = [1.0, 2.0, 0.7, 1.4, 1.0, 2.1, 0.8, 1.9];
        let noise = [0.0, 0.002, -0.001, 0.001, 0.0, -0.002, 0.001, 0.0];
        let a: Vec<f64> = speeds.iter().map(|speed| 100.0 * speed).collect();
        let b: Vec<f64> = speeds
            .iter()
            .zip(noise)
            .map(|(speed, noise)| 105.0 * speed * (1.0 + noise))
            .collect();
        let field = [contender("a", &a), contender("b", &b)];
        let blocks = places(&field, Direction::HigherIsBetter, Pairing::Blocks);
        assert_eq!(blocks, [("b".into(), 1, 1), ("a".into(), 2, 2)]);
        let apart = places(&field, Direction::HigherIsBetter, Pairing::Independent);
        assert_eq!(apart, [("b".into(), 1, 2), ("a".into(), 1, 2)]);
    }

    #[test]
    fn contenders_without_finite_values_are_left_out() {
        let field = [
            contender("none", &[]),
            contender("nan", &[f64::NAN]),
            contender("a", &[1.0, 2.0]),
        ];
        assert_eq!(
            places(&field, Direction::HigherIsBetter, Pairing::Blocks),
            [("a".into(), 1, 1)]
        );
        assert!(rank(&[], Direction::HigherIsBetter, Pairing::Blocks).is_empty());
    }

    proptest! {
        /// Tied contenders overlap; best and worst rank enclose the position in the list.
        #[test]
        fn rank_intervals_are_consistent(
            field in prop::collection::vec(prop::collection::vec(0.5_f64..3.0, 1..8), 1..7)
        ) {
            let field: Vec<Contender> =
                field.iter().enumerate().map(|(index, values)| contender(&index.to_string(), values)).collect();
            let got = rank(&field, Direction::LowerIsBetter, Pairing::Blocks);
            prop_assert_eq!(got.len(), field.len());
            for (index, place) in got.iter().enumerate() {
                prop_assert!(place.best <= index + 1 && index < place.worst);
            }
        }
    }
}
