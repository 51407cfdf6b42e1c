//! Descriptive statistics of one sample.

/// Converts a count to a float.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts of launches and blocks stay far below 2^52"
)]
#[must_use]
pub fn float(count: usize) -> f64 {
    count as f64
}

/// Returns the arithmetic mean; NaN for an empty sample.
#[must_use]
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / float(values.len())
}

/// Returns the standard deviation with `n - 1`; NaN for fewer than two values.
#[must_use]
pub fn std_dev(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return f64::NAN;
    }
    let centre = mean(values);
    let squares: f64 = values.iter().map(|value| (value - centre).powi(2)).sum();
    (squares / float(values.len() - 1)).sqrt()
}

/// Returns the median; NaN for an empty sample.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    quantile(&sorted(values), 0.5)
}

/// Returns the median absolute deviation from the median, scaled by 1.4826 (as in criterion) to estimate the standard
/// deviation of a normal sample.
#[must_use]
pub fn median_abs_dev(values: &[f64]) -> f64 {
    let centre = median(values);
    let deviations: Vec<f64> = values.iter().map(|value| (value - centre).abs()).collect();
    1.4826 * median(&deviations)
}

/// Returns a sorted copy.
#[must_use]
pub fn sorted(values: &[f64]) -> Vec<f64> {
    let mut copy = values.to_vec();
    copy.sort_unstable_by(f64::total_cmp);
    copy
}

/// Returns a quantile (0 to 1) of a *sorted* sample by linear interpolation; NaN for an empty sample.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the position is clamped to the sample's indices"
)]
#[must_use]
pub fn quantile(sorted: &[f64], probability: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let position = (probability.clamp(0.0, 1.0)) * float(last);
    let below = position.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * (position - position.floor())
}

/// Returns the logarithms if every value is positive and finite.
#[must_use]
pub fn logs(values: &[f64]) -> Option<Vec<f64>> {
    values
        .iter()
        .map(|&value| (value > 0.0 && value.is_finite()).then(|| value.ln()))
        .collect()
}

/// Returns the standard deviation of the logarithm; `None` for fewer than two values or if one is not positive.
#[must_use]
pub fn spread(values: &[f64]) -> Option<f64> {
    (values.len() > 1)
        .then(|| logs(values).map(|logs| std_dev(&logs)))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_of_a_known_sample() {
        let values = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
        assert!((mean(&values) - 5.0).abs() < 1e-12);
        assert!((std_dev(&values) - (32.0_f64 / 7.0).sqrt()).abs() < 1e-12);
        assert!((median(&values) - 4.5).abs() < 1e-12);
        assert!((median_abs_dev(&values) - 1.4826 * 0.5).abs() < 1e-12);
        assert!((quantile(&sorted(&values), 0.25) - 4.0).abs() < 1e-12);
        assert!((quantile(&sorted(&values), 1.0) - 9.0).abs() < 1e-12);
    }

    #[test]
    fn spread_is_relative_and_needs_two_positive_values() {
        let small = spread(&[1.0, 1.1]).expect("two positive values");
        let large = spread(&[1000.0, 1100.0]).expect("two positive values");
        assert!((small - large).abs() < 1e-12);
        assert!(spread(&[1.0]).is_none());
        assert!(spread(&[0.0, 1.0]).is_none());
    }

    #[test]
    fn statistics_of_an_empty_sample_are_nan_or_none() {
        assert!(mean(&[]).is_nan());
        assert!(median(&[]).is_nan());
        assert!(quantile(&[], 0.5).is_nan());
        assert!(std_dev(&[1.0]).is_nan());
    }
}
