//! Quantiles and tails of distributions, based on `statrs`. None of these functions panics.

use statrs::distribution::{Beta, ChiSquared, ContinuousCDF, Normal, StudentsT};

use super::sample::{float, mean, std_dev};

/// Returns `P(T > t)` for Student's t; 1 below one degree of freedom.
#[must_use]
pub fn t_upper_tail(t: f64, freedom: f64) -> f64 {
    if t.is_nan() || freedom < 1.0 {
        return 1.0;
    }
    match t {
        f64::INFINITY => 0.0,
        f64::NEG_INFINITY => 1.0,
        _ => StudentsT::new(0.0, 1.0, freedom).map_or(1.0, |distribution| distribution.sf(t)),
    }
}

/// Returns the quantile of Student's t at `probability` (0 to 1); infinite below one degree of freedom.
#[must_use]
pub fn t_quantile(probability: f64, freedom: f64) -> f64 {
    if freedom < 1.0 {
        return f64::INFINITY;
    }
    if probability < 0.5 {
        return -t_quantile(1.0 - probability, freedom);
    }
    StudentsT::new(0.0, 1.0, freedom).map_or(f64::INFINITY, |distribution| {
        distribution.inverse_cdf(probability.min(1.0))
    })
}

/// Returns the quantile of the standard normal distribution at `probability` (0 to 1).
#[must_use]
pub fn normal_quantile(probability: f64) -> f64 {
    Normal::standard().inverse_cdf(probability.clamp(0.0, 1.0))
}

/// Returns the quantile of chi-squared at `probability` (0 to 1); NaN without degrees of freedom.
#[must_use]
pub fn chi_squared_quantile(probability: f64, freedom: f64) -> f64 {
    ChiSquared::new(freedom).map_or(f64::NAN, |distribution| {
        distribution.inverse_cdf(probability.clamp(0.0, 1.0))
    })
}

/// Returns the exact one-sided upper bound of a proportion, `events` of `trials` (Clopper and Pearson); 1 without trials.
#[must_use]
pub fn proportion_upper_bound(events: usize, trials: usize, confidence: f64) -> f64 {
    if events >= trials {
        return 1.0;
    }
    Beta::new(float(events + 1), float(trials - events))
        .map_or(1.0, |distribution| distribution.inverse_cdf(confidence.clamp(0.0, 1.0)))
}

/// Returns the exact one-sided lower bound of a proportion, `events` of `trials` (Clopper and Pearson).
#[must_use]
pub fn proportion_lower_bound(events: usize, trials: usize, confidence: f64) -> f64 {
    1.0 - proportion_upper_bound(trials.saturating_sub(events), trials, confidence)
}

/// Returns the exact probability of at least `events` of `trials` at a true `share` (0 to 1).
#[must_use]
pub fn proportion_at_least(events: u64, trials: u64, share: f64) -> f64 {
    if events == 0 {
        return 1.0;
    }
    if events > trials {
        return 0.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of requests stay far below 2^53")]
    let (a, b) = (events as f64, (trials - events) as f64 + 1.0);
    Beta::new(a, b).map_or(1.0, |distribution| distribution.cdf(share.clamp(0.0, 1.0)))
}

/// Returns the exact probability of at most `events` of `trials` at a true `share` (0 to 1).
#[must_use]
pub fn proportion_at_most(events: u64, trials: u64, share: f64) -> f64 {
    1.0 - proportion_at_least(events + 1, trials, share)
}

/// Returns Student's t statistic for a mean of 0: infinite, with the sign of the mean, for equal values; NaN for fewer than
/// two values or only zeros.
#[must_use]
pub fn t_statistic(values: &[f64]) -> f64 {
    // Below two values the deviation is NaN; 0 / 0 is NaN; x / 0 is infinite with the sign of x.
    mean(values) * float(values.len()).sqrt() / std_dev(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values from common printed tables.
    #[test]
    fn quantiles_match_published_tables() {
        for (probability, freedom, expected) in [
            (0.975, 1.0, 12.706),
            (0.975, 9.0, 2.262),
            (0.95, 15.0, 1.753),
            (0.995, 25.0, 2.787),
            (0.9995, 9.0, 4.781),
            (0.025, 9.0, -2.262),
        ] {
            let got = t_quantile(probability, freedom);
            assert!(
                (got - expected).abs() < 6e-4,
                "t({probability}, {freedom}) = {got}, expected {expected}"
            );
            assert!((t_upper_tail(got, freedom) - (1.0 - probability)).abs() < 1e-9);
        }
        assert!((chi_squared_quantile(0.95, 10.0) - 18.307).abs() < 1e-3);
        assert!((normal_quantile(0.975) - 1.959_964).abs() < 1e-6);
    }

    #[test]
    fn clopper_pearson_agrees_with_the_rule_of_three_and_a_known_value() {
        // No event in n trials: 1 - 0.05^(1/n).
        assert!((proportion_upper_bound(0, 1000, 0.95) - 0.002_991_3).abs() < 1e-6);
        assert!((proportion_upper_bound(18, 20, 0.95) - 0.981_931).abs() < 1e-4);
        assert!((proportion_lower_bound(18, 20, 0.95) - 0.717_382).abs() < 1e-4);
        assert!((proportion_upper_bound(20, 20, 0.95) - 1.0).abs() < 1e-12);
        assert!((proportion_upper_bound(0, 0, 0.95) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn edge_cases_do_not_panic() {
        assert!(t_statistic(&[]).is_nan() && t_statistic(&[3.0]).is_nan() && t_statistic(&[0.0; 3]).is_nan());
        assert!(t_statistic(&[1.0; 3]) > 1e15 && t_statistic(&[-1.0; 3]) < -1e15);
        for (t, p) in [(f64::NAN, 1.0), (f64::INFINITY, 0.0), (f64::NEG_INFINITY, 1.0)] {
            assert!((t_upper_tail(t, 2.0) - p).abs() < 1e-12);
        }
        assert!(t_quantile(0.975, 0.0).is_infinite());
    }
}
