//! Judges two arms of counted launches.
//!
//! Launches are exchangeable: each is a fresh start, and counts do not drift with the machine's speed. So arms are compared by
//! permuting launches between them, exactly, and by Student's t on logarithms with a standard error of at least
//! 0.1 %/sqrt(n); the larger p-value decides. The floor keeps arms that agree to the last instruction from calling a change of
//! a few instructions certain.

use serde::{Deserialize, Serialize};

use crate::stats::{
    GateRole, Interval, Margin, Method, Metric, Outcome, Shares, Verdict,
    compare::evidence::floor,
    distribution,
    sample::{float, mean, std_dev},
};

/// Smallest standard deviation of the log that a standard error is computed from.
pub const SD_FLOOR: f64 = 0.001;
/// A metric whose log scatters by more than this between launches cannot be counted.
pub const MAX_SD: f64 = 0.01;
/// Fewest launches of an arm in a gate.
pub const MIN_LAUNCHES: usize = 7;
/// Most launches of an arm.
pub const MAX_LAUNCHES: usize = 12;
/// Confidence of the interval of a change, two-sided.
const CONFIDENCE: f64 = 0.9;
/// Added to counts before the log, so that a count of 0 has one.
pub(super) const OFFSET: f64 = 1e-3;

/// One (case, metric) pair to judge: a figure of each launch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CountSeries {
    /// Case id.
    pub case: String,
    /// Metric.
    pub metric: Metric,
    /// The smallest change that matters.
    pub margin: Margin,
    /// Role in the gate.
    pub role: GateRole,
    /// Launches of the base.
    pub base: Vec<f64>,
    /// Launches of the candidate.
    pub candidate: Vec<f64>,
}

/// Returns the number of launches of each arm with which all of `pairs` can be decided at `alpha`.
///
/// With n launches of each arm the smallest p-value is 1 / C(2n, n): 1/252 at five, 1/3432 at seven. `None` if even
/// [`MAX_LAUNCHES`] are too few.
#[must_use]
pub fn launches_needed(pairs: usize, alpha: f64) -> Option<usize> {
    let reach = |launches: &usize| 1.0 / binomial(2 * launches, *launches) <= alpha / float(pairs.max(1));
    (MIN_LAUNCHES..=MAX_LAUNCHES).find(reach)
}

/// Binomial coefficient.
fn binomial(n: usize, k: usize) -> f64 {
    (1..=k).map(|i| float(n - k + i) / float(i)).product()
}

/// Judges all pairs as one family with error rate `alpha`.
#[must_use]
pub fn decide(all: &[CountSeries], alpha: f64) -> Vec<Outcome> {
    let judged: Vec<Judged> = all.iter().map(Judged::of).collect();
    let shares = Shares::of(all.iter().map(|series| series.role));
    let adjusted = |p: fn(&Judged) -> f64| shares.adjust(&judged.iter().map(p).collect::<Vec<f64>>());
    let (worse, better) = (adjusted(|j| j.worse), adjusted(|j| j.better));
    all.iter()
        .zip(judged)
        .zip(worse.into_iter().zip(better))
        .map(|((series, judged), (worse, better))| judged.outcome(series, worse, better, alpha))
        .collect()
}

/// Statistics of one pair, before the family is accounted for.
#[derive(Debug)]
struct Judged {
    launches: usize,
    /// Means of the logs.
    means: Option<(f64, f64)>,
    difference: f64,
    error: f64,
    freedom: f64,
    spread: f64,
    worse: f64,
    better: f64,
    cannot: Option<String>,
}

impl Judged {
    fn of(series: &CountSeries) -> Self {
        let log = |values: &[f64]| -> Vec<f64> {
            let usable = values.iter().filter(|value| value.is_finite() && **value >= 0.0);
            usable.map(|value| (value + OFFSET).ln()).collect()
        };
        let (base, candidate) = (log(&series.base), log(&series.candidate));
        let launches = base.len().min(candidate.len());
        let cannot = cannot_be_counted(&series.base)
            .map(|why| format!("base: {why}"))
            .or_else(|| cannot_be_counted(&series.candidate).map(|why| format!("candidate: {why}")));
        if launches < 2 {
            return Self {
                launches,
                means: None,
                difference: f64::NAN,
                error: f64::NAN,
                freedom: 0.0,
                spread: f64::NAN,
                worse: 1.0,
                better: 1.0,
                cannot,
            };
        }
        let difference = mean(&candidate) - mean(&base);
        let variance = |values: &[f64]| std_dev(values).max(SD_FLOOR).powi(2) / float(values.len());
        let (a, b) = (variance(&base), variance(&candidate));
        let error = (a + b).sqrt();
        // Welch and Satterthwaite.
        let freedom = (a + b).powi(2) / (a * a / float(base.len() - 1) + b * b / float(candidate.len() - 1));
        let t = difference / error;
        let tail = |t: f64| distribution::t_upper_tail(t, freedom);
        let (above, below) = permutation(&base, &candidate);
        Self {
            launches,
            means: Some((mean(&base), mean(&candidate))),
            difference,
            error,
            freedom,
            spread: std_dev(&base).max(std_dev(&candidate)),
            worse: tail(t).max(above),
            better: tail(-t).max(below),
            cannot,
        }
    }

    fn outcome(self, series: &CountSeries, worse: f64, better: f64, alpha: f64) -> Outcome {
        let margin = series.margin.value();
        let change = |log: f64| log.exp() - 1.0;
        let half = t_quantile_two_sided(self.freedom) * self.error;
        let interval = self.means.map(|_| Interval {
            low: change(self.difference - half),
            high: change(self.difference + half),
            confidence: CONFIDENCE,
            method: Method::StudentT,
        });
        let rises = self.difference > 0.0;
        let beyond = |difference: f64| difference > floor(series.margin);
        let undecided = self.cannot.is_some() || self.launches < 2;
        let within = interval
            .as_ref()
            .is_some_and(|interval| interval.low > -margin && interval.high < margin);
        let verdict = if undecided {
            Verdict::Inconclusive
        } else if worse <= alpha && beyond(self.difference) {
            Verdict::Regression
        } else if better <= alpha && beyond(-self.difference) {
            Verdict::Improvement
        } else if within {
            Verdict::Equivalent
        } else {
            Verdict::Inconclusive
        };
        let weight = series.role.weight();
        let quantile = |p: f64| distribution::t_quantile(1.0 - p, self.freedom);
        let share = if weight > 0.0 { alpha * weight } else { alpha };
        let mde = change((quantile(share) + quantile(0.2)) * self.error);
        Outcome {
            case: series.case.clone(),
            metric: series.metric,
            gated: series.role.is_gated(),
            primary: series.role.is_primary(),
            weight,
            verdict,
            base: self.means.map(|(base, _)| base.exp() - OFFSET),
            candidate: self.means.map(|(_, candidate)| candidate.exp() - OFFSET),
            change: self.means.map(|_| change(self.difference)),
            interval,
            p: if rises { self.worse } else { self.better },
            adjusted_p: if rises { worse } else { better },
            margin: series.margin,
            mde: mde.is_finite().then_some(mde),
            spread: self.spread.is_finite().then_some(self.spread),
            blocks: self.launches,
            unusable_blocks: series.base.len().max(series.candidate.len()) - self.launches,
            // Only the primary metric has to be decided; another that cannot be counted is named and fails nothing.
            undecided: undecided && series.role.is_primary(),
            notes: self
                .cannot
                .map(|why| format!("cannot be counted: {why}"))
                .into_iter()
                .collect(),
        }
    }
}

fn t_quantile_two_sided(freedom: f64) -> f64 {
    distribution::t_quantile(0.5 + CONFIDENCE / 2.0, freedom)
}

/// Returns why an arm's launches are no count: they scatter, or fall into two groups.
#[must_use]
pub fn cannot_be_counted(launches: &[f64]) -> Option<String> {
    let mut logs: Vec<f64> = launches
        .iter()
        .filter(|value| value.is_finite())
        .map(|value| (value.max(0.0) + OFFSET).ln())
        .collect();
    logs.sort_by(f64::total_cmp);
    if let Some((lower, gap)) = two_groups(&logs) {
        return Some(format!(
            "its launches fall into two groups, {lower} and {} of them, {:.2} % apart",
            logs.len() - lower,
            gap.exp_m1() * 100.0
        ));
    }
    let spread = std_dev(&logs);
    (spread > MAX_SD).then(|| {
        format!(
            "its launches scatter by {:.1} % (standard deviation; at most {:.0} %)",
            spread * 100.0,
            MAX_SD * 100.0
        )
    })
}

/// Finds a gap of at least [`SD_FLOOR`] x 4 that is three times as wide as each of the groups that it separates, of two launches or
/// more each.
/// Returns the size of the lower group, and the gap.
fn two_groups(sorted: &[f64]) -> Option<(usize, f64)> {
    let last = sorted.len().checked_sub(1)?;
    (2..last)
        .map(|at| (at, sorted[at] - sorted[at - 1]))
        .filter(|&(at, gap)| {
            let widths = (sorted[at - 1] - sorted[0]).max(sorted[last] - sorted[at]);
            gap >= 4.0 * SD_FLOOR && gap >= 3.0 * widths
        })
        .max_by(|a, b| a.1.total_cmp(&b.1))
}

/// One-sided exact p-values of the difference of means, above and below: the share of all divisions of the launches into two
/// arms that differ at least as much.
fn permutation(base: &[f64], candidate: &[f64]) -> (f64, f64) {
    let pooled: Vec<f64> = base.iter().chain(candidate).copied().collect();
    let observed: f64 = candidate.iter().sum();
    // The sum of an arm decides its mean. Equal sums differ by rounding.
    let tolerance = 1e-12 * pooled.iter().map(|value| value.abs()).sum::<f64>().max(1e-9);
    let mut tally = Tally {
        observed,
        tolerance,
        ..Tally::default()
    };
    tally.visit(&pooled, candidate.len(), 0.0);
    let share = |count: u64| {
        #[expect(clippy::cast_precision_loss, reason = "at most C(24, 12) divisions")]
        let share = count as f64 / tally.all.max(1) as f64;
        share
    };
    (share(tally.above), share(tally.below))
}

#[derive(Default)]
struct Tally {
    observed: f64,
    tolerance: f64,
    all: u64,
    above: u64,
    below: u64,
}

impl Tally {
    /// Chooses `count` more of `values`, whose chosen predecessors sum to `sum`.
    fn visit(&mut self, values: &[f64], count: usize, sum: f64) {
        if count == 0 {
            self.all += 1;
            self.above += u64::from(sum >= self.observed - self.tolerance);
            self.below += u64::from(sum <= self.observed + self.tolerance);
            return;
        }
        for at in 0..=values.len() - count {
            self.visit(&values[at + 1..], count - 1, sum + values[at]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(base: &[f64], candidate: &[f64]) -> CountSeries {
        CountSeries {
            case: "ping/a/c1".into(),
            metric: Metric::InstructionsPerRequest,
            margin: Metric::InstructionsPerRequest.default_margin(),
            role: GateRole::Primary(0.5),
            base: base.to_vec(),
            candidate: candidate.to_vec(),
        }
    }

    /// Seven launches around `mean`, 0.05 % apart at most.
    fn around(mean: f64) -> Vec<f64> {
        [-0.3, 0.1, 0.0, 0.4, -0.1, 0.2, -0.5]
            .iter()
            .map(|wobble| mean * (1.0 + wobble * 1e-3))
            .collect()
    }

    fn verdict(base: &[f64], candidate: &[f64]) -> Outcome {
        decide(&[series(base, candidate)], 0.01).remove(0)
    }

    #[test]
    fn plans_grow_with_the_family() {
        assert!((binomial(10, 5) - 252.0).abs() < 1e-9 && (binomial(14, 7) - 3_432.0).abs() < 1e-6);
        assert_eq!(launches_needed(1, 0.01), Some(7));
        assert_eq!(launches_needed(34, 0.01), Some(7));
        assert_eq!(launches_needed(35, 0.01), Some(8));
        assert_eq!(launches_needed(2, 0.002), Some(7));
        assert_eq!(launches_needed(100_000, 0.01), None);
    }

    #[test]
    fn half_a_percent_more_is_a_regression_and_less_an_improvement() {
        let (base, more) = (around(13_574.0), around(13_574.0 * 1.005));
        let outcome = verdict(&base, &more);
        assert_eq!(outcome.verdict, Verdict::Regression, "{outcome:?}");
        // No division of the launches separates them further.
        assert!((outcome.p - 1.0 / 3_432.0).abs() < 1e-9, "{outcome:?}");
        assert_eq!(verdict(&more, &base).verdict, Verdict::Improvement);
        let same = verdict(&base, &around(13_574.0));
        assert_eq!(same.verdict, Verdict::Equivalent, "{same:?}");
        assert!(same.p >= 0.5);
    }

    #[test]
    fn certain_but_small_changes_are_equivalent() {
        // Certain to the last instruction, 0.03 % apart: within the floor of the standard error.
        let outcome = verdict(&[10_000.0; 7], &[10_003.0; 7]);
        assert_eq!(outcome.verdict, Verdict::Equivalent);
        assert!(outcome.p > 0.1, "{outcome:?}");
        // Certain, 0.2 %: less than half the margin.
        let outcome = verdict(&[10_000.0; 7], &[10_020.0; 7]);
        assert!(outcome.adjusted_p <= 0.01);
        assert_eq!(outcome.verdict, Verdict::Equivalent);
    }

    #[test]
    fn bimodal_and_scattered_arms_are_not_decided() {
        let mut two = around(10_000.0);
        two[..3].fill(10_200.0);
        let outcome = verdict(&around(10_000.0), &two);
        assert!(outcome.undecided && outcome.verdict == Verdict::Inconclusive);
        assert!(outcome.notes[0].contains("two groups, 4 and 3"), "{:?}", outcome.notes);
        let scattered: Vec<f64> = (0..7).map(|i| 10_000.0 + 150.0 * float(i)).collect();
        assert!(cannot_be_counted(&scattered).unwrap().contains("scatter by 3"));
        // One launch that differs is no group.
        let mut one = around(10_000.0);
        one[0] = 10_050.0;
        assert_eq!(cannot_be_counted(&one), None);
        // Groups a few instructions apart are one count.
        assert_eq!(cannot_be_counted(&[100_000.0, 100_000.0, 100_020.0, 100_020.0]), None);
        // A secondary metric that cannot be counted blocks nothing.
        let mut secondary = series(&around(10_000.0), &two);
        secondary.role = GateRole::Secondary(0.5);
        let outcome = decide(&[secondary], 0.01).remove(0);
        assert!(!outcome.undecided && outcome.verdict == Verdict::Inconclusive);
    }

    #[test]
    fn missing_launches_and_zero_counts() {
        let outcome = verdict(&[], &around(1.0));
        assert!(outcome.undecided && outcome.change.is_none());
        // The first statement of an application that had none.
        let mut statements = series(&[0.0; 7], &[1.0; 7]);
        statements.margin = Metric::StatementsPerRequest.default_margin();
        assert_eq!(decide(&[statements], 0.01)[0].verdict, Verdict::Regression);
    }

    #[test]
    fn permutation_is_exact() {
        let (above, below) = permutation(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]);
        assert!((above - 1.0 / 20.0).abs() < 1e-12 && (below - 1.0).abs() < 1e-12);
        let (above, below) = permutation(&[1.0; 4], &[1.0; 4]);
        assert!((above - 1.0).abs() < 1e-12 && (below - 1.0).abs() < 1e-12);
    }
}
