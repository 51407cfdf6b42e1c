//! Averages must not hide who was served, nor what was never measured.

use super::sample::float;

/// Jain's index of what each connection got: 1 where all got the same, `1 / n` where one got everything. `None` where
/// nobody got anything (or nobody was there).
#[must_use]
pub fn jain_index(served: &[u64]) -> Option<f64> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "requests of one connection stay far below 2^52"
    )]
    let served: Vec<f64> = served.iter().map(|&count| count as f64).collect();
    let sum: f64 = served.iter().sum();
    let squares: f64 = served.iter().map(|count| count * count).sum();
    (squares > 0.0).then(|| sum * sum / (float(served.len()) * squares))
}

/// The share of connections that got at least one answer (0 to 1); `None` without connections.
#[must_use]
pub fn served_share(served: &[u64]) -> Option<f64> {
    let some = served.iter().filter(|&&count| count > 0).count();
    (!served.is_empty()).then(|| float(some) / float(served.len()))
}

/// Little's law as a ratio: `rate x mean time / connections`. In a closed loop without thinking time it is 1; well
/// below 1, some connections waited without being measured; above 1, time was counted twice. `rate` is requests per
/// second, `mean_seconds` the mean response time. `None` unless all are positive and finite.
#[must_use]
pub fn littles_law_ratio(rate: f64, mean_seconds: f64, connections: f64) -> Option<f64> {
    let usable = |value: f64| value > 0.0 && value.is_finite();
    (usable(rate) && usable(mean_seconds) && usable(connections)).then(|| rate * mean_seconds / connections)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_near(got: Option<f64>, expected: f64) {
        assert!(
            got.is_some_and(|got| (got - expected).abs() < 1e-12),
            "{got:?} is not {expected}"
        );
    }

    #[test]
    fn jain_tells_the_fair_from_the_starved() {
        assert_near(jain_index(&[7, 7, 7, 7]), 1.0);
        assert_near(jain_index(&[28, 0, 0, 0]), 0.25);
        // Jain, Chiu and Hawe (1984): a share of the users served equally has that share as its index.
        assert_near(jain_index(&[5, 5, 5, 0, 0, 0, 0, 0, 0, 0]), 0.3);
        assert_eq!(jain_index(&[0, 0]), None);
        assert_eq!(jain_index(&[]), None);
    }

    #[test]
    fn starved_connections_show_in_the_share_served() {
        assert_near(served_share(&[4090, 0, 0, 0]), 0.25);
        assert_eq!(served_share(&[]), None);
    }

    #[test]
    fn littles_law_holds_for_a_full_closed_loop() {
        assert_near(littles_law_ratio(1000.0, 0.1, 100.0), 1.0);
        assert_near(littles_law_ratio(1000.0, 0.01, 100.0), 0.1);
        assert_eq!(littles_law_ratio(0.0, 0.1, 100.0), None);
    }
}
