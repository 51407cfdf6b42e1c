//! The family's decision at the planned looks.

use std::collections::BTreeSet;

use super::design::{Design, DesignError, EQUIVALENCE_CONFIDENCE};
use super::evidence::{Differences, Effort, Prepared, detectable, floor, mean_of, tails};
use super::{Outcome, Series, Verdict};
use crate::stats::estimate::{Interval, t_interval};
use crate::stats::holm;
use crate::stats::metric::{Margin, Metric};
use crate::stats::sample::{mean, std_dev};

/// Judges families of series by one [`Design`].
#[derive(Clone, Debug)]
pub struct Decision {
    design: Design,
    prepared: Vec<Prepared>,
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing is decided yet.
    Continue {
        /// Blocks at which to ask again.
        next_look: usize,
    },
    /// Measure no more.
    Stop(StopReason),
}

/// Why a comparison ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// A regression is certain.
    Regression,
    /// Every gated pair is equivalent (only where the design allows to stop on it).
    Equivalent,
    /// The last planned look is reached.
    LastLook,
}

/// One series, judged alone.
struct Judged {
    differences: Differences,
    /// Whether a look was reached.
    looked: bool,
    /// Blocks that count.
    blocks: usize,
    /// Mean difference over them, + is worse.
    mean: f64,
    /// At the last look reached.
    p_worse: f64,
    p_better: f64,
    /// Smallest over the looks, each divided by its share.
    spent_worse: f64,
    spent_better: f64,
    equivalent: bool,
    interval: Option<Interval>,
}

impl Decision {
    /// A decision by that design.
    ///
    /// # Errors
    ///
    /// When the design is none: see [`Design::check`].
    pub fn new(design: Design) -> Result<Self, DesignError> {
        design.check()?;
        let prepared = Prepared::of(&design);
        Ok(Self { design, prepared })
    }

    /// Its design.
    #[must_use]
    pub fn design(&self) -> &Design {
        &self.design
    }

    /// The outcome of each series, in order. Blocks beyond the last look reached are not used: they belong to the next.
    #[must_use]
    pub fn decide(&self, series: &[Series]) -> Vec<Outcome> {
        let judged = self.judge_all(series, Effort::Full);
        let (worse, better) = self.adjusted(series, &judged);
        let verdicts = self.verdicts_from(series, &judged, &worse, &better);
        let advisory = series.iter().filter(|series| !series.gated).count();
        let each = series
            .iter()
            .zip(&judged)
            .zip(verdicts)
            .zip(worse.into_iter().zip(better));
        each.map(|(((series, judged), (verdict, notes)), (worse, better))| {
            let adjusted_p = if judged.mean < 0.0 { better } else { worse };
            let family = self.family(series.gated, if series.gated { 0 } else { advisory });
            self.outcome(series, judged, verdict, (adjusted_p, family), notes)
        })
        .collect()
    }

    /// The verdicts alone, in order: the same as those of [`Decision::decide`], much faster.
    #[must_use]
    pub fn verdicts(&self, series: &[Series]) -> Vec<Verdict> {
        let judged = self.judge_all(series, Effort::Verdicts);
        let (worse, better) = self.adjusted(series, &judged);
        self.verdicts_from(series, &judged, &worse, &better)
            .into_iter()
            .map(|(verdict, _)| verdict)
            .collect()
    }

    /// Whether the blocks so far end the comparison. A look is reached when every gated series has its blocks (every
    /// series, where none is gated). A series whose blocks stay unusable never reaches one: the caller bounds its attempts,
    /// and refuses a comparison of nothing beforehand.
    #[must_use]
    pub fn progress(&self, series: &[Series]) -> Progress {
        let any_gated = series.iter().any(|series| series.gated);
        let counted: Vec<&Series> = series.iter().filter(|series| series.gated || !any_gated).collect();
        let blocks = counted
            .iter()
            .map(|series| Differences::count(series))
            .min()
            .unwrap_or(0);
        let Some(next) = self.design.looks.iter().find(|look| look.blocks > blocks) else {
            return Progress::Stop(StopReason::LastLook);
        };
        let judged: Vec<Judged> = counted
            .iter()
            .map(|series| self.judge(series, Effort::Verdicts))
            .collect();
        let certainly_worse = |(series, judged): (&&Series, &Judged)| {
            let family = crate::stats::sample::float(self.family(series.gated, counted.len()));
            judged.mean > floor(series.margin) && judged.spent_worse * family <= self.design.alpha
        };
        if any_gated && counted.iter().zip(&judged).any(certainly_worse) {
            return Progress::Stop(StopReason::Regression);
        }
        if self.design.stop_when_equivalent && !judged.is_empty() && judged.iter().all(|judged| judged.equivalent) {
            return Progress::Stop(StopReason::Equivalent);
        }
        Progress::Continue { next_look: next.blocks }
    }

    /// The verdicts of a recording, asked for at the looks as a run would: blocks after an early stop are not seen.
    #[must_use]
    pub fn replay(&self, series: &[Series]) -> Vec<Verdict> {
        let mut seen: Vec<Series> = series
            .iter()
            .map(|one| Series {
                blocks: Vec::with_capacity(one.blocks.len()),
                ..one.clone()
            })
            .collect();
        let most = series.iter().map(|one| one.blocks.len()).max().unwrap_or(0);
        for look in &self.design.looks {
            for (seen, all) in seen.iter_mut().zip(series) {
                let upto = look.blocks.min(all.blocks.len());
                seen.blocks.extend_from_slice(&all.blocks[seen.blocks.len()..upto]);
            }
            if look.blocks >= most || matches!(self.progress(&seen), Progress::Stop(_)) {
                break;
            }
        }
        self.verdicts(&seen)
    }

    /// Pairs that could be missing count too in the gate's family; the advisory one has what it has.
    fn family(&self, gated: bool, present: usize) -> usize {
        if gated {
            present.max(self.design.family)
        } else {
            present
        }
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

    /// Holm over the gated family and over the advisory one, for the worse and for the better.
    fn adjusted(&self, series: &[Series], judged: &[Judged]) -> (Vec<f64>, Vec<f64>) {
        let (mut worse, mut better) = (vec![1.0; series.len()], vec![1.0; series.len()]);
        for gated in [true, false] {
            let members: Vec<usize> = (0..series.len())
                .filter(|&index| series[index].gated == gated)
                .collect();
            let family = self.family(gated, members.len());
            let adjust = |pick: fn(&Judged) -> f64| {
                let raw: Vec<f64> = members.iter().map(|&index| pick(&judged[index])).collect();
                holm::adjust(&raw, family)
            };
            for (&index, adjusted) in members.iter().zip(adjust(|judged| judged.spent_worse)) {
                worse[index] = adjusted;
            }
            for (&index, adjusted) in members.iter().zip(adjust(|judged| judged.spent_better)) {
                better[index] = adjusted;
            }
        }
        (worse, better)
    }

    fn verdicts_from(
        &self,
        series: &[Series],
        judged: &[Judged],
        worse: &[f64],
        better: &[f64],
    ) -> Vec<(Verdict, Vec<String>)> {
        let spoilt = cases_with_more_errors(series, judged);
        let verdict = |index: usize| {
            let (series, judged) = (&series[index], &judged[index]);
            let floor = floor(series.margin);
            let mut notes = Vec::new();
            let certain = worse[index].min(better[index]) <= self.design.alpha;
            if worse[index] <= self.design.alpha && judged.mean > floor {
                return (Verdict::Regression, notes);
            }
            if better[index] <= self.design.alpha && judged.mean < -floor {
                if spoilt.contains(series.case.as_str()) {
                    notes.push("better, yet no improvement: the case's error share rose".to_owned());
                } else if series.validity_worse {
                    notes.push("better, yet no improvement: the candidate's measurement is less believable".to_owned());
                } else {
                    return (Verdict::Improvement, notes);
                }
                return (Verdict::Inconclusive, notes);
            }
            if certain {
                notes.push("a certain change, but within half the margin".to_owned());
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
        (adjusted_p, family): (f64, usize),
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
        let design = Design {
            family,
            ..self.design.clone()
        };
        let mde = spread.and_then(|spread| detectable(spread, series.margin, &design));
        // For the worse: a rise, or a fall where more is better.
        let mde = mde.map(|found| natural(found).abs());
        // A look too early for so large a family could have called nothing a regression: it counts as if it had not been.
        let decidable = self.design.decidable_at();
        let too_early = series.gated && decidable.is_none_or(|needed| judged.blocks < needed);
        let undecided = !judged.looked || (too_early && verdict == Verdict::Inconclusive);
        if !judged.looked {
            let needed = self.design.looks.first().map_or(0, |look| look.blocks);
            notes.push(format!(
                "undecided: {} usable blocks, and the first look needs {needed}",
                judged.blocks
            ));
        } else if undecided {
            let needed = decidable.map_or_else(|| "more than are planned".to_owned(), |blocks| blocks.to_string());
            notes.push(format!(
                "undecided: {} usable blocks, and the first look that could tell any change among so many gated pairs needs {needed}",
                judged.blocks
            ));
        } else if mde.is_none() && verdict == Verdict::Inconclusive {
            notes.push("no change could be told from chance in so few blocks with so many gated pairs".to_owned());
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
            gated: series.gated,
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
            undecided,
            notes,
        }
    }
}

/// The cases whose error share rose by more than its margin on the mean, certain or not.
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
