//! The family's decision at the planned looks.

use std::collections::BTreeSet;

use super::design::{Design, DesignError, EQUIVALENCE_CONFIDENCE};
use super::evidence::{Differences, Effort, Prepared, detectable, floor, mean_of, tails};
use super::{Outcome, Series, Shares, Verdict};
use crate::estimate::{Interval, t_interval};
use crate::metric::{Margin, Metric};
use crate::sample::{mean, std_dev};

/// The decision procedure of one [`Design`], applied to families of series.
#[derive(Clone, Debug)]
pub struct Decision {
    design: Design,
    prepared: Vec<Prepared>,
}

/// The next step of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// No decision yet.
    Continue {
        /// Number of blocks at the next look.
        next_look: usize,
    },
    /// The comparison has ended.
    Stop(StopReason),
}

/// The reason why a comparison ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// A gated regression is significant.
    Regression,
    /// Every gated pair is equivalent (only if the design stops on equivalence).
    Equivalent,
    /// The last planned look is reached.
    LastLook,
}

/// Returns the number of blocks in which every primary series has a usable value (every series, if none is primary).
#[must_use]
pub fn usable_blocks(series: &[Series]) -> usize {
    let any_primary = series.iter().any(|series| series.role.is_primary());
    series
        .iter()
        .filter(|series| series.role.is_primary() || !any_primary)
        .map(Differences::count)
        .min()
        .unwrap_or(0)
}

/// The test results of one series, before the adjustment for the family.
struct Judged {
    differences: Differences,
    /// Whether a look was reached.
    looked: bool,
    /// Usable blocks up to the last look reached.
    blocks: usize,
    /// Mean difference over these blocks; + is worse.
    mean: f64,
    /// One-sided p-value at the last look reached.
    p_worse: f64,
    p_better: f64,
    /// Smallest p-value over the looks, each divided by its share of the error rate.
    spent_worse: f64,
    spent_better: f64,
    equivalent: bool,
    interval: Option<Interval>,
}

impl Decision {
    /// Creates the decision procedure of a design.
    ///
    /// # Errors
    ///
    /// Returns an error if the design is invalid: see [`Design::check`].
    pub fn new(design: Design) -> Result<Self, DesignError> {
        design.check()?;
        let prepared = Prepared::of(&design);
        Ok(Self { design, prepared })
    }

    /// Returns the design.
    #[must_use]
    pub fn design(&self) -> &Design {
        &self.design
    }

    /// Returns the outcome of each series, in order. Blocks beyond the last look reached are not used: they belong to the next.
    #[must_use]
    pub fn decide(&self, series: &[Series]) -> Vec<Outcome> {
        let judged = self.judge_all(series, Effort::Full);
        let shares = shares(series);
        let (worse, better) = adjusted(&shares, &judged);
        let verdicts = self.verdicts_from(series, &judged, &worse, &better);
        verdicts
            .into_iter()
            .enumerate()
            .map(|(index, (verdict, notes))| {
                let judged = &judged[index];
                let adjusted_p = if judged.mean < 0.0 { better[index] } else { worse[index] };
                self.outcome(
                    &series[index],
                    judged,
                    verdict,
                    (adjusted_p, shares.weights()[index]),
                    notes,
                )
            })
            .collect()
    }

    /// Returns the verdicts alone, in order: the same as those of [`Decision::decide`], but much faster.
    #[must_use]
    pub fn verdicts(&self, series: &[Series]) -> Vec<Verdict> {
        let judged = self.judge_all(series, Effort::Verdicts);
        let (worse, better) = adjusted(&shares(series), &judged);
        self.verdicts_from(series, &judged, &worse, &better)
            .into_iter()
            .map(|(verdict, _)| verdict)
            .collect()
    }

    /// Returns whether the blocks so far end the comparison. A look is reached when every primary series has enough blocks
    /// (every series, if none is primary): a secondary one without figures does not prolong the run. A series whose blocks are
    /// all unusable never reaches a look, so the caller must limit its attempts and refuse an empty comparison beforehand.
    #[must_use]
    pub fn progress(&self, series: &[Series]) -> Progress {
        let blocks = usable_blocks(series);
        let Some(next) = self.design.looks.iter().find(|look| look.blocks > blocks) else {
            return Progress::Stop(StopReason::LastLook);
        };
        let any_gated = series.iter().any(|series| series.role.is_gated());
        let shares = shares(series);
        let counted: Vec<(&Series, Judged, f64)> = series
            .iter()
            .zip(shares.weights())
            .filter(|(series, _)| series.role.is_gated() || !any_gated)
            .map(|(series, weight)| (series, self.judge(series, Effort::Verdicts), *weight))
            .collect();
        let certainly_worse = |(series, judged, weight): &(&Series, Judged, f64)| {
            judged.mean > floor(series.margin) && judged.spent_worse <= self.design.alpha * weight
        };
        if any_gated && counted.iter().any(certainly_worse) {
            return Progress::Stop(StopReason::Regression);
        }
        let is_equivalent = |(_, judged, _): &(&Series, Judged, f64)| judged.equivalent;
        if self.design.stop_when_equivalent && !counted.is_empty() && counted.iter().all(is_equivalent) {
            return Progress::Stop(StopReason::Equivalent);
        }
        Progress::Continue { next_look: next.blocks }
    }

    fn judge_all(&self, series: &[Series], effort: Effort) -> Vec<Judged> {
        series.iter().map(|series| self.judge(series, effort)).collect()
    }

    fn judge(&self, series: &Series, effort: Effort) -> Judged {
        let differences = Differences::of(series);
        let (mut p_worse, mut p_better, mut spent_worse, mut spent_better) = (1.0, 1.0, 1.0_f64, 1.0_f64);
        let (mut looked, mut blocks) = (false, differences.values.len());
        let mut equivalent = false;
        for prepared in &self.prepared {
            let look = prepared.look;
            let Some(values) = differences.values.get(..look.blocks) else {
                break;
            };
            let found = tails(values, series.margin, prepared, self.design.seed, effort);
            (p_worse, p_better) = (found.worse, found.better);
            spent_worse = spent_worse.min(found.worse / look.share);
            spent_better = spent_better.min(found.better / look.share);
            equivalent = prepared.equivalent(values, series.margin);
            (looked, blocks) = (true, look.blocks);
        }
        let used = &differences.values[..blocks];
        let wanted = effort == Effort::Full && used.len() > 1;
        let interval = wanted.then(|| t_interval(used, EQUIVALENCE_CONFIDENCE).0);
        let mean = mean_of(used, blocks);
        Judged {
            differences,
            looked,
            blocks,
            mean,
            p_worse,
            p_better,
            spent_worse,
            spent_better,
            equivalent,
            interval,
        }
    }

    fn verdicts_from(
        &self,
        series: &[Series],
        judged: &[Judged],
        worse: &[f64],
        better: &[f64],
    ) -> Vec<(Verdict, Vec<String>)> {
        let more_errors = cases_with_more_errors(series, judged);
        let verdict = |index: usize| {
            let (series, judged) = (&series[index], &judged[index]);
            let floor = floor(series.margin);
            let mut notes = Vec::new();
            let certain = worse[index].min(better[index]) <= self.design.alpha;
            if worse[index] <= self.design.alpha && judged.mean > floor {
                return (Verdict::Regression, notes);
            }
            if better[index] <= self.design.alpha && judged.mean < -floor {
                if more_errors.contains(series.case.as_str()) {
                    notes.push("better, but not an improvement: the case's error share rose".to_owned());
                } else if series.validity_worse {
                    notes.push(
                        "better, but not an improvement: the candidate's validity is lower than the base's".to_owned(),
                    );
                } else {
                    return (Verdict::Improvement, notes);
                }
                return (Verdict::Inconclusive, notes);
            }
            if certain {
                notes.push("a significant change, but within half the margin".to_owned());
            }
            let verdict = if judged.equivalent {
                Verdict::Equivalent
            } else {
                Verdict::Inconclusive
            };
            (verdict, notes)
        };
        (0..series.len()).map(verdict).collect()
    }

    fn outcome(
        &self,
        series: &Series,
        judged: &Judged,
        verdict: Verdict,
        (adjusted_p, weight): (f64, f64),
        mut notes: Vec<String>,
    ) -> Outcome {
        let relative = matches!(series.margin, Margin::Relative(_));
        let sign = series.metric.direction().worse();
        let natural = |difference: f64| {
            if relative {
                (sign * difference).exp_m1()
            } else {
                sign * difference
            }
        };
        let used = &judged.differences.used[..judged.blocks];
        let arm = |pick: fn(&(f64, f64)) -> f64| {
            let values: Vec<f64> = used
                .iter()
                .map(|block| if relative { pick(block).ln() } else { pick(block) })
                .collect();
            (!values.is_empty()).then(|| if relative { mean(&values).exp() } else { mean(&values) })
        };
        let interval = judged.interval.map(|found| {
            let (a, b) = (natural(found.low), natural(found.high));
            Interval {
                low: a.min(b),
                high: a.max(b),
                ..found
            }
        });
        let spread = (judged.blocks > 1).then(|| std_dev(&judged.differences.values[..judged.blocks]));
        let mde = spread.and_then(|spread| detectable(spread, series.margin, &self.design, weight));
        // A change for the worse is a rise, or a fall if higher values are better.
        let mde = mde.map(|found| natural(found).abs());
        let undecided = self.undecided(series, judged, verdict, weight);
        notes.extend(undecided.clone());
        if undecided.is_none() && mde.is_none() && verdict == Verdict::Inconclusive && judged.looked {
            notes.push(format!(
                "no change, however large, is significant after {} blocks",
                judged.blocks
            ));
        }
        if judged.differences.unusable > 0 {
            notes.push(match judged.differences.unusable {
                1 => "1 block lacks an arm or a usable value".to_owned(),
                many => format!("{many} blocks lack an arm or a usable value"),
            });
        }
        Outcome {
            case: series.case.clone(),
            metric: series.metric,
            gated: series.role.is_gated(),
            primary: series.role.is_primary(),
            weight,
            verdict,
            base: arm(|block| block.0),
            candidate: arm(|block| block.1),
            change: (!used.is_empty()).then(|| natural(judged.mean)),
            interval,
            p: if judged.mean < 0.0 {
                judged.p_better
            } else {
                judged.p_worse
            },
            adjusted_p,
            margin: series.margin,
            mde,
            spread,
            blocks: judged.blocks,
            unusable_blocks: judged.differences.unusable,
            undecided: undecided.is_some(),
            notes,
        }
    }

    /// Returns the reason why a pair is undecided, which fails a gate.
    ///
    /// A primary pair is undecided if it has too few blocks for any look, or for the first look at which its weight allows a
    /// rejection (earlier looks would miss a regression of any size). A secondary pair is undecided only if most blocks lack
    /// the figure, not if its blocks are too few for a rejection.
    fn undecided(&self, series: &Series, judged: &Judged, verdict: Verdict, weight: f64) -> Option<String> {
        let blocks = judged.blocks;
        if series.role.is_gated() && !series.role.is_primary() {
            let all = series.blocks.len();
            let usable = judged.differences.values.len();
            return (!judged.looked && 2 * usable < all)
                .then(|| format!("undecided: {} of {all} blocks lack a usable value", all - usable));
        }
        if !judged.looked {
            let needed = self.design.looks.first().map_or(0, |look| look.blocks);
            return Some(format!(
                "undecided: {blocks} usable blocks, but the first look needs {needed}"
            ));
        }
        let decidable = self.design.decidable_at(weight);
        let is_too_early = series.role.is_primary() && decidable.is_none_or(|needed| blocks < needed);
        (is_too_early && verdict == Verdict::Inconclusive).then(|| {
            let needed = decidable.map_or_else(|| "more than planned".to_owned(), |blocks| blocks.to_string());
            format!(
                "undecided: {blocks} usable blocks, and the first look that can tell a change from chance among so many cases \
                 needs {needed}"
            )
        })
    }
}

/// Returns each series' share of its family's error rate.
fn shares(series: &[Series]) -> Shares {
    Shares::of(series.iter().map(|series| series.role))
}

/// Returns p-values adjusted within the gated and the advisory family: (worse, better).
fn adjusted(shares: &Shares, judged: &[Judged]) -> (Vec<f64>, Vec<f64>) {
    let adjust = |pick: fn(&Judged) -> f64| shares.adjust(&judged.iter().map(pick).collect::<Vec<f64>>());
    (
        adjust(|judged| judged.spent_worse),
        adjust(|judged| judged.spent_better),
    )
}

/// Returns the cases whose mean error share rose by more than its margin, significantly or not.
fn cases_with_more_errors<'a>(series: &'a [Series], judged: &[Judged]) -> BTreeSet<&'a str> {
    let rose = |(series, judged): &(&Series, &Judged)| {
        series.metric == Metric::ErrorShare && judged.mean > floor(series.margin)
    };
    series
        .iter()
        .zip(judged)
        .filter(rose)
        .map(|(series, _)| series.case.as_str())
        .collect()
}

#[cfg(test)]
#[path = "decision_tests.rs"]
mod tests;
