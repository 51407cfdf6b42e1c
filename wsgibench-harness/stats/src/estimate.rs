//! Estimates over launches, with confidence intervals by Student's t on the logarithms.

use serde::{Deserialize, Serialize};

use super::distribution::{chi_squared_quantile, t_quantile};
use super::sample::{float, logs, mean, median, median_abs_dev, quantile, sorted, spread, std_dev};

/// The confidence level of printed intervals.
pub const CONFIDENCE: f64 = 0.95;

/// The method of an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Method {
    /// Student's t, on the logarithms if every value is positive.
    StudentT,
    /// The chi-squared interval of a normal sample's standard deviation.
    ChiSquared,
    /// The bias-corrected and accelerated bootstrap. Found only in runs and verdicts of earlier versions.
    BootstrapBca,
}

/// A confidence interval, or a prediction interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Interval {
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
    /// Confidence level (0 to 1).
    pub confidence: f64,
    /// The method.
    pub method: Method,
}

impl Interval {
    /// Returns the interval, widened if necessary to include `point`.
    fn holding(self, point: f64) -> Self {
        Self {
            low: self.low.min(point),
            high: self.high.max(point),
            ..self
        }
    }
}

/// An estimate, with an interval if it is based on more than one launch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Estimate {
    /// The point estimate.
    pub point: f64,
    /// The interval; none for a single launch, which does not show how much launches differ.
    pub interval: Option<Interval>,
    /// The standard error, in the unit of the estimate.
    pub standard_error: Option<f64>,
}

impl Estimate {
    /// Returns an estimate without an interval.
    #[must_use]
    pub fn bare(point: f64) -> Self {
        Self {
            point,
            interval: None,
            standard_error: None,
        }
    }

    /// Returns the lower bound, or the point estimate without an interval.
    #[must_use]
    pub fn low(&self) -> f64 {
        self.interval.map_or(self.point, |interval| interval.low)
    }

    /// Returns the upper bound, or the point estimate without an interval.
    #[must_use]
    pub fn high(&self) -> f64 {
        self.interval.map_or(self.point, |interval| interval.high)
    }
}

/// The summary of one metric of one case over its launches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Summary {
    /// Number of launches (replicates).
    pub launches: usize,
    /// Mean of the launches.
    pub mean: Estimate,
    /// Median of the launches.
    pub median: Estimate,
    /// Standard deviation of the launches, in the metric's unit; none for a single launch.
    pub std_dev: Option<Estimate>,
    /// Median absolute deviation (x 1.4826), in the metric's unit; none for a single launch.
    pub median_abs_dev: Option<Estimate>,
    /// Lowest launch.
    pub min: f64,
    /// Highest launch.
    pub max: f64,
    /// Standard deviation of the log between launches; none for a single launch or if a value is not positive.
    pub spread_between: Option<f64>,
    /// Standard deviation of the log between rounds of a launch, pooled over launches; none if no launch has two rounds.
    pub spread_within: Option<f64>,
}

/// An error in the launches to summarise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError {
    /// There is no launch.
    #[error("there is no launch to summarise")]
    Empty,
    /// A launch has no measured round.
    #[error("launch {launch} has no measured round")]
    NoRounds {
        /// Index of the launch, from 0.
        launch: usize,
    },
    /// A value is NaN or infinite.
    #[error("launch {launch} has a value that is not a finite number")]
    NotFinite {
        /// Index of the launch, from 0.
        launch: usize,
    },
}

/// Summarises launches. Each inner vector holds the rounds of one launch, in the metric's unit. A launch counts once, with
/// the median of its rounds.
///
/// # Errors
///
/// Returns an error if there is no launch, a launch has no round, or a value is not finite.
///
/// ```
/// let launches = [vec![101.0, 99.0, 100.0], vec![104.0], vec![103.0]];
/// let summary = wsgibench_harness::stats::summarise(&launches)?;
/// assert_eq!(summary.launches, 3);
/// assert!(summary.mean.low() < 102.0 && 102.0 < summary.mean.high());
/// # Ok::<(), wsgibench_harness::stats::estimate::SampleError>(())
/// ```
pub fn summarise(launches: &[Vec<f64>]) -> Result<Summary, SampleError> {
    for (launch, rounds) in launches.iter().enumerate() {
        if rounds.is_empty() {
            return Err(SampleError::NoRounds { launch });
        }
        if rounds.iter().any(|value| !value.is_finite()) {
            return Err(SampleError::NotFinite { launch });
        }
    }
    let values: Vec<f64> = launches.iter().map(|rounds| median(rounds)).collect();
    if values.is_empty() {
        return Err(SampleError::Empty);
    }
    let sorted = sorted(&values);
    Ok(Summary {
        launches: values.len(),
        mean: centre(&values, mean),
        median: centre(&values, median),
        std_dev: (values.len() > 1).then(|| deviation(&values)),
        median_abs_dev: (values.len() > 1).then(|| Estimate::bare(median_abs_dev(&values))),
        min: sorted[0],
        max: sorted[sorted.len() - 1],
        spread_between: spread(&values),
        spread_within: spread_within(launches),
    })
}

/// Returns a mean or a median of launches with its interval; without an interval for fewer than two launches.
///
/// Both have the interval of the mean of the logarithms (of the values, if one is not positive), widened if the point
/// estimate lies outside. It is an interval for the median of a log-normal population and has its nominal coverage at any
/// number of launches, unlike a bootstrap of 10 to 26 launches: see `docs/statistics.md`.
fn centre(values: &[f64], statistic: impl Fn(&[f64]) -> f64) -> Estimate {
    let point = statistic(values);
    if values.len() < 2 {
        return Estimate::bare(point);
    }
    let (interval, standard_error) = match logs(values) {
        Some(logs) => {
            let (interval, error) = t_interval(&logs, CONFIDENCE);
            (
                Interval {
                    low: interval.low.exp(),
                    high: interval.high.exp(),
                    ..interval
                },
                error * point,
            )
        }
        None => t_interval(values, CONFIDENCE),
    };
    Estimate {
        point,
        interval: Some(interval.holding(point)),
        standard_error: Some(standard_error),
    }
}

/// Returns Student's t interval of a mean and its standard error, for at least two values.
#[must_use]
pub fn t_interval(values: &[f64], confidence: f64) -> (Interval, f64) {
    let error = std_dev(values) / float(values.len()).sqrt();
    let reach = t_quantile(0.5 + 0.5 * confidence, float(values.len()) - 1.0) * error;
    let centre = mean(values);
    (
        Interval {
            low: centre - reach,
            high: centre + reach,
            confidence,
            method: Method::StudentT,
        },
        error,
    )
}

/// Returns the standard deviation with its chi-squared interval, for at least two values.
fn deviation(values: &[f64]) -> Estimate {
    let point = std_dev(values);
    let freedom = float(values.len() - 1);
    let end = |probability: f64| point * (freedom / chi_squared_quantile(probability, freedom)).sqrt();
    let tail = 0.5 * (1.0 - CONFIDENCE);
    let interval = Interval {
        low: end(1.0 - tail),
        high: end(tail),
        confidence: CONFIDENCE,
        method: Method::ChiSquared,
    };
    Estimate {
        point,
        interval: Some(interval),
        standard_error: Some(point / (2.0 * freedom).sqrt()),
    }
}

fn spread_within(launches: &[Vec<f64>]) -> Option<f64> {
    let (mut squares, mut freedom) = (0.0, 0);
    for rounds in launches.iter().filter(|rounds| rounds.len() > 1) {
        squares += spread(rounds)?.powi(2) * float(rounds.len() - 1);
        freedom += rounds.len() - 1;
    }
    (freedom > 0).then(|| (squares / float(freedom)).sqrt())
}

/// Tukey's fences, as in criterion's `tukey.json`: values beyond the inner two are mild outliers, beyond the outer two
/// severe ones.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Tukey {
    /// First quartile minus 3 times the interquartile range.
    pub low_severe: f64,
    /// First quartile minus 1.5 times the interquartile range.
    pub low_mild: f64,
    /// Third quartile plus 1.5 times the interquartile range.
    pub high_mild: f64,
    /// Third quartile plus 3 times the interquartile range.
    pub high_severe: f64,
}

impl Tukey {
    /// Computes the fences of a sample; `None` for an empty one.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        let sorted = sorted(values);
        let (first, third) = (quantile(&sorted, 0.25), quantile(&sorted, 0.75));
        let distance = third - first;
        Some(Self {
            low_severe: first - 3.0 * distance,
            low_mild: first - 1.5 * distance,
            high_mild: third + 1.5 * distance,
            high_severe: third + 3.0 * distance,
        })
    }

    /// Returns the fences in the order of criterion's file.
    #[must_use]
    pub fn fences(&self) -> [f64; 4] {
        [self.low_severe, self.low_mild, self.high_mild, self.high_severe]
    }
}

#[cfg(test)]
#[path = "estimate_tests.rs"]
mod tests;
