//! Compares a new run with earlier runs. Advisory, never a gate: conditions change from day to day, and only several runs
//! show by how much.

use serde::{Deserialize, Serialize};

use super::compare::evidence::floor;
use super::distribution::t_quantile;
use super::estimate::{Interval, Method};
use super::metric::{Margin, Metric};
use super::sample::{float, logs, mean, std_dev};

/// Coverage of the prediction interval for an unchanged server.
pub const CONFIDENCE: f64 = 0.99;

/// The position of the new run relative to the earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Worse than the prediction interval, and by more than half the margin.
    Worse,
    /// Better than the prediction interval, and by more than half the margin.
    Better,
    /// Within the prediction interval, or too small a change to matter.
    AsExpected,
    /// Too few launches for a prediction interval.
    Unknown,
}

/// The baseline comparison of one metric of one case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Advice {
    /// The metric.
    pub metric: Metric,
    /// The position of the new run.
    pub standing: Standing,
    /// New / expected - 1, or new - expected if the margin is absolute.
    pub change: f64,
    /// The earlier runs' geometric mean in the metric's unit (arithmetic mean if the margin is absolute).
    pub baseline: f64,
    /// The new run's mean, computed in the same way.
    pub new: f64,
    /// Prediction interval for the new run, in the metric's unit.
    pub expected: Option<Interval>,
    /// Number of earlier runs.
    pub runs: usize,
    /// Number of launches of the earlier runs.
    pub launches: usize,
    /// Between-run standard deviation of the log, beyond the variance between launches; `None` below two runs, where
    /// the interval excludes day-to-day changes and is too narrow.
    pub day_to_day: Option<f64>,
}

/// Values that cannot be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BaselineError {
    /// The new run has no launches.
    #[error("the new run has no launch of this metric")]
    NothingNew,
    /// The earlier runs have no launches.
    #[error("the baseline has no launch of this metric")]
    NothingBefore,
    /// A value is not finite, or not positive although a ratio is required.
    #[error("a value is not a positive, finite number, which a ratio requires")]
    Unusable,
}

/// Compares the launches of a `new` run with those of `earlier` runs (one inner vector for each run, in any order; runs
/// without launches are ignored).
///
/// # Errors
///
/// Returns an error if there is nothing to compare, or if a value does not allow a ratio.
pub fn advise(metric: Metric, margin: Margin, earlier: &[Vec<f64>], new: &[f64]) -> Result<Advice, BaselineError> {
    let relative = matches!(margin, Margin::Relative(_));
    let scale = |values: &[f64]| {
        let plain = || values.iter().all(|value| value.is_finite()).then(|| values.to_vec());
        if relative { logs(values) } else { plain() }.ok_or(BaselineError::Unusable)
    };
    let natural = |value: f64| if relative { value.exp() } else { value };
    let new = scale(new)?;
    let runs: Vec<Vec<f64>> = earlier
        .iter()
        .filter(|run| !run.is_empty())
        .map(|run| scale(run))
        .collect::<Result<_, _>>()?;
    if new.is_empty() {
        return Err(BaselineError::NothingNew);
    }
    if runs.is_empty() {
        return Err(BaselineError::NothingBefore);
    }

    let past = Past::of(&runs);
    let difference = mean(&new) - past.centre;
    let reach = past.prediction(new.len());
    let worse = difference * metric.direction().worse();
    let standing = match reach {
        None => Standing::Unknown,
        Some(reach) if worse > reach && worse > floor(margin) => Standing::Worse,
        Some(reach) if worse < -reach && worse < -floor(margin) => Standing::Better,
        Some(_) => Standing::AsExpected,
    };
    let expected = reach.map(|reach| Interval {
        low: natural(past.centre - reach),
        high: natural(past.centre + reach),
        confidence: CONFIDENCE,
        method: Method::StudentT,
    });
    Ok(Advice {
        metric,
        standing,
        change: if relative { difference.exp_m1() } else { difference },
        baseline: natural(past.centre),
        new: natural(mean(&new)),
        expected,
        runs: runs.len(),
        launches: runs.iter().map(Vec::len).sum(),
        day_to_day: past.day_to_day(),
    })
}

/// Summary statistics of the earlier runs, on the scale of the comparison.
struct Past {
    /// Mean of the runs' means: each run has the same weight, whatever its number of launches.
    centre: f64,
    runs: usize,
    launches: usize,
    /// Pooled within-run standard deviation of launches; `None` if no run has two launches.
    within: Option<f64>,
    /// Standard deviation of the runs' means; `None` below two runs.
    between: Option<f64>,
    /// Mean of 1 / launches over the runs.
    thinness: f64,
}

impl Past {
    fn of(runs: &[Vec<f64>]) -> Self {
        let means: Vec<f64> = runs.iter().map(|run| mean(run)).collect();
        let launches: usize = runs.iter().map(Vec::len).sum();
        let freedom = launches - runs.len();
        let squares: f64 = runs
            .iter()
            .filter(|run| run.len() > 1)
            .map(|run| std_dev(run).powi(2) * float(run.len() - 1))
            .sum();
        let thinness: Vec<f64> = runs.iter().map(|run| 1.0 / float(run.len())).collect();
        Self {
            centre: mean(&means),
            runs: runs.len(),
            launches,
            within: (freedom > 0).then(|| (squares / float(freedom)).sqrt()),
            between: (runs.len() > 1).then(|| std_dev(&means)),
            thinness: mean(&thinness),
        }
    }

    /// Returns the half-width of the prediction interval for the mean of `launches` new launches: the wider of the
    /// within-run estimate (a lower bound) and the between-run estimate (which includes day-to-day changes).
    fn prediction(&self, launches: usize) -> Option<f64> {
        let probability = 0.5 + 0.5 * CONFIDENCE;
        let from_launches = self.within.map(|within| {
            let error = within * (self.thinness / float(self.runs) + 1.0 / float(launches)).sqrt();
            t_quantile(probability, float(self.launches - self.runs)) * error
        });
        let from_runs = self.between.map(|between| {
            t_quantile(probability, float(self.runs - 1)) * between * (1.0 + 1.0 / float(self.runs)).sqrt()
        });
        match (from_launches, from_runs) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        }
    }

    /// Returns the between-run standard deviation after subtracting the variance between launches.
    fn day_to_day(&self) -> Option<f64> {
        let launches_part = self.within.map_or(0.0, |within| within.powi(2) * self.thinness);
        self.between
            .map(|between| (between.powi(2) - launches_part).max(0.0).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CPU: Metric = Metric::CpuPerRequest;

    fn advise_cpu(earlier: &[&[f64]], new: &[f64]) -> Advice {
        let earlier: Vec<Vec<f64>> = earlier.iter().map(|run| run.to_vec()).collect();
        advise(CPU, CPU.default_margin(), &earlier, new).expect("usable values")
    }

    #[test]
    fn one_earlier_run_gives_a_prediction_without_day_to_day_variation() {
        let before: &[f64] = &[40.0, 40.4, 39.8, 40.2, 39.9, 40.1];
        let same = advise_cpu(&[before], &[40.1, 39.9, 40.3]);
        assert_eq!(
            (same.standing, same.day_to_day, same.runs),
            (Standing::AsExpected, None, 1)
        );
        let worse = advise_cpu(&[before], &[42.1, 41.9, 42.3]);
        assert_eq!(worse.standing, Standing::Worse);
        assert!((worse.change - 0.05).abs() < 0.005, "{worse:?}");
        assert_eq!(advise_cpu(&[before], &[38.0, 38.1]).standing, Standing::Better);
    }

    #[test]
    fn variation_between_days_widens_the_prediction() {
        let days: [&[f64]; 4] = [
            &[40.0, 40.2, 39.9],
            &[43.0, 43.2, 42.9],
            &[38.0, 38.3, 38.1],
            &[41.0, 41.1, 41.3],
        ];
        let advice = advise_cpu(&days, &[42.5, 42.4]);
        assert_eq!(advice.standing, Standing::AsExpected);
        assert!(advice.day_to_day.expect("four runs") > 0.03, "{advice:?}");
        assert_eq!(advise_cpu(&days[..1], &[42.5, 42.4]).standing, Standing::Worse);
    }

    #[test]
    fn a_single_earlier_launch_gives_no_prediction() {
        let advice = advise_cpu(&[&[40.0]], &[80.0]);
        assert_eq!((advice.standing, advice.expected), (Standing::Unknown, None));
        assert!((advice.change - 1.0).abs() < 1e-9);
    }

    #[test]
    fn more_throughput_is_better() {
        let metric = Metric::Throughput;
        let before = vec![vec![1000.0, 1010.0, 990.0, 1005.0, 995.0]];
        let advice = advise(metric, metric.default_margin(), &before, &[1200.0, 1210.0]).expect("usable");
        assert_eq!(advice.standing, Standing::Better);
    }

    #[test]
    fn shares_are_compared_by_difference() {
        let metric = Metric::ErrorShare;
        let before = vec![vec![0.0, 0.0001, 0.0, 0.0]];
        let advice = advise(metric, metric.default_margin(), &before, &[0.02, 0.021]).expect("usable");
        assert_eq!(advice.standing, Standing::Worse);
        assert!((advice.change - 0.0205).abs() < 1e-3);
    }

    #[test]
    fn values_without_a_ratio_are_an_error() {
        let judge = |earlier: &[Vec<f64>], new: &[f64]| advise(CPU, CPU.default_margin(), earlier, new);
        assert_eq!(judge(&[vec![1.0]], &[]), Err(BaselineError::NothingNew));
        assert_eq!(judge(&[vec![]], &[1.0]), Err(BaselineError::NothingBefore));
        assert_eq!(judge(&[vec![0.0]], &[1.0]), Err(BaselineError::Unusable));
        assert_eq!(judge(&[vec![1.0]], &[f64::NAN]), Err(BaselineError::Unusable));
    }

    /// The interval for the mean of k new launches after n old ones: t x s x sqrt(1/n + 1/k).
    #[test]
    fn prediction_of_one_run_matches_the_textbook_formula() {
        let before = [1.0_f64, 1.02, 0.98, 1.01, 0.99];
        let advice = advise_cpu(&[&before], &[1.0, 1.0]);
        let on_logs = logs(&before).expect("positive");
        let reach = t_quantile(0.995, 4.0) * std_dev(&on_logs) * (1.0_f64 / 5.0 + 1.0 / 2.0).sqrt();
        let expected = advice.expected.expect("five launches");
        assert!((expected.high.ln() - expected.low.ln() - 2.0 * reach).abs() < 1e-12);
    }
}
