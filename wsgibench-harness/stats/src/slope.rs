//! The slope of a series over time, with an interval that allows for autocorrelation.

use serde::{Deserialize, Serialize};

use super::distribution::t_quantile;

/// Number of pieces of a series. The means of neighbouring pieces are nearly independent, unlike single samples.
const PIECES: usize = 20;
/// Share of the series that is skipped at its beginning, while a server fills its pools.
const WARMING: f64 = 0.1;
/// Confidence level of the interval.
const CONFIDENCE: f64 = 0.95;

/// A rate of change with its interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Slope {
    /// Change per second.
    pub per_second: f64,
    /// Lower bound of the 95 % interval.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
    /// Length of the series, seconds.
    pub seconds: f64,
}

impl Slope {
    /// Returns whether the slope is significantly positive.
    #[must_use]
    pub fn grows(&self) -> bool {
        self.low > 0.0
    }
}

/// Returns the slope of (seconds, value) samples in order of time, by least squares over the means of twenty pieces, without
/// the first tenth. `None` for fewer than two samples per piece.
#[must_use]
pub fn slope(samples: &[(f64, f64)]) -> Option<Slope> {
    let (first, last) = (samples.first()?.0, samples.last()?.0);
    let from = first + (last - first) * WARMING;
    let kept: Vec<(f64, f64)> = samples.iter().copied().filter(|(at, _)| *at >= from).collect();
    if kept.len() < 2 * PIECES {
        return None;
    }
    let points: Vec<(f64, f64)> = (0..PIECES)
        .map(|piece| {
            let part = &kept[kept.len() * piece / PIECES..kept.len() * (piece + 1) / PIECES];
            (mean(part.iter().map(|p| p.0)), mean(part.iter().map(|p| p.1)))
        })
        .collect();
    let (x, y) = (mean(points.iter().map(|p| p.0)), mean(points.iter().map(|p| p.1)));
    let spread: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
    if spread <= 0.0 {
        return None;
    }
    let per_second = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum::<f64>() / spread;
    let residuals: f64 = points.iter().map(|p| (p.1 - y - per_second * (p.0 - x)).powi(2)).sum();
    #[expect(clippy::cast_precision_loss, reason = "twenty pieces")]
    let freedom = (PIECES - 2) as f64;
    let half = t_quantile(f64::midpoint(1.0, CONFIDENCE), freedom) * (residuals / freedom / spread).sqrt();
    Some(Slope {
        per_second,
        low: per_second - half,
        high: per_second + half,
        seconds: last - from,
    })
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (count, sum) = values.fold((0_u32, 0.0), |(n, sum), value| (n + 1, sum + value));
    sum / f64::from(count.max(1))
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;

    /// Simulates a number of seconds of samples with autocorrelated noise.
    fn noisy(seconds: u32, per_second: f64, seed: u64) -> Vec<(f64, f64)> {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut noise = 0.0;
        (0..seconds)
            .map(|s| {
                noise = 0.8 * noise + rng.random_range(-1.0..1.0);
                (f64::from(s), 1_000.0 + per_second * f64::from(s) + noise)
            })
            .collect()
    }

    #[test]
    fn slope_of_a_straight_line_is_exact() {
        let line: Vec<(f64, f64)> = (0..100).map(|n| (f64::from(n), 5.0 + 3.0 * f64::from(n))).collect();
        let found = slope(&line).unwrap();
        assert!((found.per_second - 3.0).abs() < 1e-9 && found.grows(), "{found:?}");
        assert!((found.high - found.low).abs() < 1e-6);
    }

    #[test]
    fn an_initial_rise_is_not_growth() {
        let series: Vec<(f64, f64)> = (0..300)
            .map(|n| (f64::from(n), if n < 25 { 40.0 * f64::from(n) } else { 1_000.0 }))
            .collect();
        let found = slope(&series).unwrap();
        assert!(found.per_second.abs() < 1e-9 && !found.grows(), "{found:?}");
    }

    #[test]
    fn too_few_samples_give_no_slope() {
        assert_eq!(slope(&[]), None);
        assert_eq!(slope(&noisy(30, 1.0, 1)), None);
        assert_eq!(slope(&vec![(0.0, 1.0); 200]), None);
    }

    #[test]
    fn the_interval_has_its_nominal_coverage() {
        let runs = 400;
        let covered = (0..runs)
            .filter(|seed| {
                let found = slope(&noisy(600, 0.01, *seed)).unwrap();
                found.low <= 0.01 && 0.01 <= found.high
            })
            .count();
        // 95 % by design; autocorrelation reduces it a little.
        assert!(covered * 100 >= 90 * 400, "{covered} of {runs}");
        assert!(covered < 400, "an interval that is never wrong says nothing");
    }
}
