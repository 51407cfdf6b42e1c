//! Thresholds: limits of a metric, and whether launches show that they are met or broken.
//!
//! The mean of the logarithms of the launches is tested against the logarithm of the limit with Student's t, two-sided; an error
//! share, which may be 0, on its own scale and with the exact binomial test of all requests. All thresholds of a run are one
//! family (Holm): with a probability of at least [`CONFIDENCE`], no threshold is called met or broken wrongly.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    Direction, Interval, Metric,
    distribution::{
        proportion_at_least, proportion_at_most, proportion_lower_bound, proportion_upper_bound, t_quantile,
        t_upper_tail,
    },
    estimate::{Method, t_interval},
    holm,
    sample::{float, logs, mean, std_dev},
};

/// Confidence of all verdicts of a run together.
pub const CONFIDENCE: f64 = 0.95;

/// Smallest assumed standard deviation of the log between launches. A metric with steps, such as peak memory in pages, can be
/// equal in two launches by chance.
const LEAST_SPREAD: f64 = 0.001;

/// A limit of a metric, below which it must stay; of throughput, above.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Threshold {
    /// The metric.
    pub metric: Metric,
    /// The limit, in the metric's unit.
    pub limit: f64,
    /// The request of a mix, such as `GET /health`, or the step of a script; `None` for all requests together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

impl Threshold {
    /// Returns a threshold of the median latency.
    #[must_use]
    pub fn p50_below(limit: Duration) -> Self {
        Self::new(Metric::P50, limit.as_secs_f64() * 1e6)
    }

    /// Returns a threshold of the 99th percentile of latency.
    #[must_use]
    pub fn p99_below(limit: Duration) -> Self {
        Self::new(Metric::P99, limit.as_secs_f64() * 1e6)
    }

    /// Returns a threshold of the failed and timed-out requests as a share of the completed ones, 0 to 1.
    #[must_use]
    pub fn errors_below(share: f64) -> Self {
        Self::new(Metric::ErrorShare, share)
    }

    /// Returns a threshold of the peak memory of the server's sandbox, bytes.
    #[must_use]
    pub fn memory_below(bytes: u64) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "no machine has 2^53 bytes of memory")]
        let limit = bytes as f64;
        Self::new(Metric::PeakMemory, limit)
    }

    /// Returns a threshold of the server's CPU time per request.
    #[must_use]
    pub fn cpu_below(per_request: Duration) -> Self {
        Self::new(Metric::CpuPerRequest, per_request.as_secs_f64() * 1e6)
    }

    /// Returns a threshold of the successful requests per second.
    #[must_use]
    pub fn throughput_above(per_second: impl Into<f64>) -> Self {
        Self::new(Metric::Throughput, per_second.into())
    }

    /// Returns a threshold of the time from the start to readiness.
    #[must_use]
    pub fn start_up_below(limit: Duration) -> Self {
        Self::new(Metric::StartUpTime, limit.as_secs_f64())
    }

    fn new(metric: Metric, limit: f64) -> Self {
        Self {
            metric,
            limit,
            request: None,
        }
    }

    /// Limits the threshold, of p50 or p99, to one request of a mix (method and path as declared, `GET /health`) or to one named
    /// step of a script.
    #[must_use]
    pub fn of_request(mut self, name: impl Into<String>) -> Self {
        self.request = Some(name.into());
        self
    }

    /// Returns the problem of the limit, if it has one.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let metric = self.metric;
        if metric.is_count() {
            return Some(format!(
                "threshold `{self}`: {metric} is counted, and thresholds judge timed runs; use --count --check-counts"
            ));
        }
        if !self.limit.is_finite() || self.limit <= 0.0 {
            return Some(format!("threshold `{self}`: the limit must be a number above 0"));
        }
        if let Some(name) = &self.request {
            if name.is_empty() {
                return Some(format!("threshold `{self}`: the request has no name"));
            }
            if !matches!(metric, Metric::P50 | Metric::P99) {
                return Some(format!(
                    "threshold `{self}`: {metric} is not measured per request; use p50 or p99"
                ));
            }
        }
        (metric == Metric::ErrorShare && self.limit >= 1.0)
            .then(|| format!("threshold `{self}`: a share of errors is below 100 %"))
    }

    /// Returns the first metric with two thresholds, as an error.
    #[must_use]
    pub fn contradiction(thresholds: &[Self]) -> Option<String> {
        thresholds.iter().enumerate().find_map(|(index, one)| {
            let other = thresholds[..index].iter().find(|other| other.is_about_the_same(one))?;
            Some(format!(
                "{} has two thresholds, `{other}` and `{one}`; leave one out",
                one.subject()
            ))
        })
    }

    /// Whether both limit the same metric of the same requests.
    #[must_use]
    pub fn is_about_the_same(&self, other: &Self) -> bool {
        self.metric == other.metric && self.request == other.request
    }

    /// The metric, with the request: `p99{GET /health}`.
    fn subject(&self) -> String {
        match &self.request {
            Some(name) => format!("{}{{{name}}}", self.metric),
            None => self.metric.to_string(),
        }
    }

    fn sign(&self) -> char {
        match self.metric.direction() {
            Direction::LowerIsBetter => '<',
            Direction::HigherIsBetter => '>',
        }
    }
}

/// Formats it as the command line does: `p99<50ms`, `p99{GET /health}<50ms`.
impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = match self.metric {
            Metric::P50 | Metric::P99 | Metric::CpuPerRequest => time(self.limit * 1e3),
            Metric::StartUpTime => time(self.limit * 1e9),
            Metric::PeakMemory => largest(self.limit, &BYTES),
            Metric::ErrorShare => format!("{}%", number(self.limit * 100.0)),
            _ => number(self.limit),
        };
        write!(f, "{}{}{limit}", self.subject(), self.sign())
    }
}

const TIMES: [(&str, f64); 4] = [("s", 1e9), ("ms", 1e6), ("us", 1e3), ("ns", 1.0)];
const BYTES: [(&str, f64); 4] = [
    ("GiB", 1_073_741_824.0),
    ("MiB", 1_048_576.0),
    ("KiB", 1_024.0),
    ("B", 1.0),
];
/// Further units that are read.
const DECIMAL_BYTES: [(&str, f64); 3] = [("GB", 1e9), ("MB", 1e6), ("kB", 1e3)];

fn time(nanoseconds: f64) -> String {
    largest(nanoseconds, &TIMES)
}

fn scale(unit: &str, units: &[(&str, f64)]) -> Option<f64> {
    units.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale)
}

/// Formats a value in the largest unit of which it has at least one.
fn largest(value: f64, units: &[(&str, f64)]) -> String {
    let fits = units.iter().find(|(_, scale)| value.abs() >= *scale);
    let (unit, scale) = fits.or(units.last()).copied().unwrap_or(("", 1.0));
    format!("{}{unit}", number(value / scale))
}

fn number(value: f64) -> String {
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// An invalid threshold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ThresholdError(String);

const EXAMPLES: &str = "as in `p99<50ms`, `errors<0.1%`, `memory<512MiB`, `throughput>2000`";

impl FromStr for Threshold {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Self, ThresholdError> {
        let text = text.trim();
        // A value has neither, but a request's path may.
        let Some(at) = text.rfind(['<', '>']) else {
            return Err(ThresholdError(format!(
                "`{text}` is not a threshold; write METRIC<VALUE, {EXAMPLES}"
            )));
        };
        let (name, rest) = text.split_at(at);
        let (of, request) = match name.split_once('{') {
            None => (name, None),
            Some((of, request)) => {
                let request = request.trim_end().strip_suffix('}').ok_or_else(|| {
                    ThresholdError(format!(
                        "`{text}`: a request's name is in braces, as in `p99{{GET /health}}<50ms`"
                    ))
                })?;
                (of, Some(request.trim().to_owned()))
            }
        };
        let metric: Metric = of.parse().map_err(|e| ThresholdError(format!("`{text}`: {e}")))?;
        let value = rest[1..].trim_start_matches('=').trim();
        let mut threshold = Self::new(
            metric,
            limit(metric, value).map_err(|problem| ThresholdError(format!("`{text}`: {problem}, {EXAMPLES}")))?,
        );
        threshold.request = request;
        if !rest.starts_with(threshold.sign()) {
            return Err(ThresholdError(format!(
                "`{text}`: {} {metric} is better; write `{name}{}{value}`",
                match metric.direction() {
                    Direction::LowerIsBetter => "lower",
                    Direction::HigherIsBetter => "higher",
                },
                threshold.sign(),
                name = name.trim()
            )));
        }
        match threshold.problem() {
            Some(problem) => Err(ThresholdError(problem)),
            None => Ok(threshold),
        }
    }
}

/// Parses a limit to the metric's unit.
fn limit(metric: Metric, text: &str) -> Result<f64, String> {
    let digits = text
        .find(|c: char| !(c.is_ascii_digit() || "._-+".contains(c)))
        .unwrap_or(text.len());
    let (number, unit) = (text[..digits].replace('_', ""), text[digits..].trim());
    let number: f64 = number
        .parse()
        .map_err(|_| format!("`{text}` is not a number with a unit; write METRIC<VALUE"))?;
    let scaled = |units: &[(&str, f64)]| scale(unit, units).map(|scale| number * scale);
    let value = match metric {
        Metric::P50 | Metric::P99 | Metric::CpuPerRequest | Metric::StartUpTime => {
            let per_unit = if metric == Metric::StartUpTime { 1e9 } else { 1e3 };
            let nanoseconds = scaled(&TIMES).or_else(|| scaled(&[("µs", 1e3)]));
            nanoseconds
                .map(|value| value / per_unit)
                .ok_or("a time needs a unit: s, ms, us or ns")
        }
        Metric::PeakMemory => scaled(&BYTES)
            .or_else(|| scaled(&DECIMAL_BYTES))
            .ok_or("memory needs a unit: GiB, MiB, KiB, B, GB, MB or kB"),
        Metric::ErrorShare if unit == "%" => Ok(number / 100.0),
        Metric::ErrorShare => Err("a share of errors is given in percent"),
        _ if unit.is_empty() || unit == "/s" => Ok(number),
        _ => Err("this metric has no unit"),
    };
    value.map_err(str::to_owned)
}

/// The launches of one case for one threshold.
#[derive(Clone, Debug, PartialEq)]
pub struct ThresholdSeries {
    /// Case.
    pub case: String,
    /// Threshold.
    pub threshold: Threshold,
    /// One value for each launch, in the metric's unit.
    pub launches: Vec<f64>,
    /// Failed and completed requests of all launches, for an error share.
    pub requests: Option<(u64, u64)>,
    /// Why the launches cannot be judged.
    pub unusable: Option<String>,
}

/// The verdict on a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ThresholdVerdict {
    /// The launches show that it is met.
    Met,
    /// The launches show that it is broken.
    Broken,
    /// The launches show neither.
    Undecided,
}

impl ThresholdVerdict {
    /// Returns the word in files and reports.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Broken => "broken",
            Self::Undecided => "undecided",
        }
    }
}

/// A judged threshold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct ThresholdOutcome {
    /// Case.
    pub case: String,
    /// Metric.
    pub metric: Metric,
    /// Limit, in the metric's unit.
    pub limit: f64,
    /// The threshold as text, e.g. `p99<50ms`.
    pub threshold: String,
    /// Verdict.
    pub verdict: ThresholdVerdict,
    /// Centre of the launches, in the metric's unit: the geometric mean; of an error share, the share of all requests.
    pub estimate: Option<f64>,
    /// Interval over launches at the confidence of this test: the limit is outside if and only if there is a verdict.
    pub interval: Option<Interval>,
    /// Two-sided p-value; 1 without figures.
    pub p: f64,
    /// The same, adjusted for the family of all thresholds: there is a verdict if it is at most 1 - [`CONFIDENCE`].
    pub adjusted_p: f64,
    /// Number of launches.
    pub launches: usize,
    /// Why it cannot be judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unusable: Option<String>,
}

/// All judged thresholds of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct ThresholdReport {
    /// Confidence of all verdicts together (Holm).
    pub confidence: f64,
    /// The outcomes, by case.
    pub outcomes: Vec<ThresholdOutcome>,
}

/// Judges all thresholds of a run as one family.
#[must_use]
pub fn judge(series: &[ThresholdSeries]) -> ThresholdReport {
    let tests: Vec<Test> = series.iter().map(Test::of).collect();
    let p: Vec<f64> = tests.iter().map(Test::p).collect();
    let adjusted = holm::adjust(&p, &holm::equal_weights(p.len()));
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    // The error rate at which Holm's procedure tests each threshold; from the first that is not decided on, it stays.
    let mut levels = vec![0.0; p.len()];
    let (mut level, mut stopped) = (0.0, false);
    for (rank, &index) in order.iter().enumerate() {
        if !stopped {
            level = (1.0 - CONFIDENCE) / float(p.len() - rank);
            stopped = p[index] > level;
        }
        levels[index] = level;
    }
    let outcomes = series.iter().zip(&tests).enumerate().map(|(index, (series, test))| {
        let decided = p[index] <= levels[index] && adjusted[index] <= 1.0 - CONFIDENCE + 1e-12;
        ThresholdOutcome {
            case: series.case.clone(),
            metric: series.threshold.metric,
            limit: series.threshold.limit,
            threshold: series.threshold.to_string(),
            verdict: match test {
                _ if !decided => ThresholdVerdict::Undecided,
                test if test.met < test.broken => ThresholdVerdict::Met,
                _ => ThresholdVerdict::Broken,
            },
            estimate: test.estimate,
            interval: Test::interval(series, 1.0 - levels[index]),
            p: p[index],
            adjusted_p: adjusted[index],
            launches: series.launches.len(),
            unusable: series
                .unusable
                .clone()
                .or_else(|| (series.launches.len() < 2).then(|| "a verdict needs at least 2 launches".to_owned())),
        }
    });
    ThresholdReport {
        confidence: CONFIDENCE,
        outcomes: outcomes.collect(),
    }
}

/// Judges one threshold at a level of its own, two-sided, such as that of one look of a search. `adjusted_p` relates the p-value to
/// this level: there is a verdict if it is at most 1 - [`CONFIDENCE`].
#[must_use]
pub fn judge_at(series: &ThresholdSeries, level: f64) -> ThresholdOutcome {
    let test = Test::of(series);
    let p = test.p();
    ThresholdOutcome {
        case: series.case.clone(),
        metric: series.threshold.metric,
        limit: series.threshold.limit,
        threshold: series.threshold.to_string(),
        verdict: match &test {
            _ if p > level => ThresholdVerdict::Undecided,
            test if test.met < test.broken => ThresholdVerdict::Met,
            _ => ThresholdVerdict::Broken,
        },
        estimate: test.estimate,
        interval: Test::interval(series, 1.0 - level),
        p,
        adjusted_p: (p * (1.0 - CONFIDENCE) / level).min(1.0),
        launches: series.launches.len(),
        unusable: series
            .unusable
            .clone()
            .or_else(|| (series.launches.len() < 2).then(|| "a verdict needs at least 2 launches".to_owned())),
    }
}

/// One-sided p-values of one threshold.
struct Test {
    /// Of the hypothesis that it is broken: small if it is met.
    met: f64,
    /// Of the hypothesis that it is met: small if it is broken.
    broken: f64,
    estimate: Option<f64>,
}

impl Test {
    fn of(series: &ThresholdSeries) -> Self {
        let (values, limit) = (&series.launches, series.threshold.limit);
        let without = |estimate| Self {
            met: 1.0,
            broken: 1.0,
            estimate,
        };
        let is_share = series.threshold.metric == Metric::ErrorShare;
        let estimate = match (logs(values), series.requests.filter(|(_, all)| is_share && *all > 0)) {
            _ if values.is_empty() => None,
            (_, Some((failed, all))) => Some(count(failed) / count(all)),
            (Some(logs), None) => Some(mean(&logs).exp()),
            (None, None) => Some(mean(values)),
        };
        if values.len() < 2 || series.unusable.is_some() {
            return without(estimate);
        }
        let freedom = float(values.len() - 1);
        let (above, below) = match logs(values).filter(|_| !is_share) {
            Some(logs) => tails(mean(&logs) - limit.ln(), std_dev(&logs).max(LEAST_SPREAD), freedom),
            None => tails(mean(values) - limit, std_dev(values), freedom),
        };
        // `above`: the p-value of the mean's not being above the limit.
        let (above, below) = match series.requests.filter(|_| is_share) {
            Some((failed, all)) => (
                above.max(proportion_at_least(failed, all, limit)),
                below.max(proportion_at_most(failed, all, limit)),
            ),
            None => (above, below),
        };
        let (met, broken) = match series.threshold.metric.direction() {
            Direction::LowerIsBetter => (below, above),
            Direction::HigherIsBetter => (above, below),
        };
        Self { met, broken, estimate }
    }

    fn p(&self) -> f64 {
        (2.0 * self.met.min(self.broken)).min(1.0)
    }

    /// Returns the interval whose bounds the two tests cannot tell from the centre.
    fn interval(series: &ThresholdSeries, confidence: f64) -> Option<Interval> {
        let values = &series.launches;
        if values.len() < 2 || series.unusable.is_some() {
            return None;
        }
        let is_share = series.threshold.metric == Metric::ErrorShare;
        let Some(logs) = logs(values).filter(|_| !is_share) else {
            let (mut interval, _) = t_interval(values, confidence);
            if let Some((failed, all)) = series.requests.filter(|_| is_share) {
                let (failed, all, one_sided) = (size(failed), size(all), 0.5 + 0.5 * confidence);
                interval.low = interval
                    .low
                    .min(proportion_lower_bound(failed, all, one_sided))
                    .max(0.0);
                interval.high = interval.high.max(proportion_upper_bound(failed, all, one_sided));
            }
            return Some(interval);
        };
        let centre = mean(&logs);
        let error = std_dev(&logs).max(LEAST_SPREAD) / float(logs.len()).sqrt();
        let reach = t_quantile(0.5 + 0.5 * confidence, float(logs.len() - 1)) * error;
        Some(Interval {
            low: (centre - reach).exp(),
            high: (centre + reach).exp(),
            confidence,
            method: Method::StudentT,
        })
    }
}

/// Returns the one-sided p-values of a mean difference above and below 0.
fn tails(difference: f64, spread: f64, freedom: f64) -> (f64, f64) {
    let t = difference / (spread / (freedom + 1.0).sqrt());
    (t_upper_tail(t, freedom), t_upper_tail(-t, freedom))
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests stay far below 2^53")]
fn count(requests: u64) -> f64 {
    requests as f64
}

fn size(requests: u64) -> usize {
    usize::try_from(requests).unwrap_or(usize::MAX)
}

#[cfg(test)]
#[path = "threshold_tests.rs"]
mod tests;
