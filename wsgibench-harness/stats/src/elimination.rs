//! Search for the best of several candidates by elimination, with an error rate for the whole search.
//!
//! The candidates are measured in blocks that contain each of them once. A look after [`MIN_BLOCKS`] blocks, and after each quarter
//! more, compares every pair of candidates by Student's t on the differences of the logarithms within blocks, and judges every
//! threshold. A candidate is dropped if it breaks a threshold, or if one that meets all thresholds is better. The search ends when a
//! candidate is certain to be within the margin of all that are left.
//!
//! All statements of a search hold together with a probability of at least [`CONFIDENCE`]: that a candidate is worse than another
//! one (over all ordered pairs), that one is within the margin of the best (over all candidates, since only the comparison with the
//! best can make it wrong), and that a threshold is met or broken have equal parts of the error rate, and the looks shares in the
//! proportion of 1, 1/2, 1/3 and so on. So identical candidates stay together, and the recommended one is within the margin of the
//! best that meets the thresholds.
//!
//! A search is a pure function of the blocks: an interrupted one is replayed from its recorded launches.

use std::{cell::RefCell, collections::BTreeMap};

use serde::{Deserialize, Serialize};

use super::{
    Direction, Threshold, ThresholdOutcome, ThresholdVerdict,
    distribution::t_quantile,
    sample::{float, mean, std_dev},
    threshold::{ThresholdSeries, judge_at},
};

/// Confidence of all statements of a search together.
pub const CONFIDENCE: f64 = 0.95;

/// Blocks before the first look. With fewer, the quantiles of Student's t exceed every real difference.
pub const MIN_BLOCKS: usize = 4;

/// Blocks after which a candidate is dropped whose launches have no figures.
const PATIENCE: usize = 3 * MIN_BLOCKS;

/// Blocks of the longest search by default.
pub const MAX_BLOCKS: usize = 30;

/// Smallest assumed standard deviation of the log between launches; equal launches are chance.
const LEAST_SPREAD: f64 = 0.001;

/// Costs within this share of the lowest are equal: what launches differ by.
const EQUAL_COST: f64 = 0.05;

/// A candidate with its launches, one entry for each block; `None` if the block has no figure of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Candidate {
    /// Name, unique in the search.
    pub name: String,
    /// Values of the goal, above 0.
    pub values: Vec<Option<f64>>,
    /// Cost, such as memory: decides among candidates that are equally good.
    pub costs: Vec<Option<f64>>,
    /// Values of the thresholds' metrics.
    pub thresholds: Vec<ThresholdValues>,
    /// Why it could not be measured further.
    pub failure: Option<Failed>,
}

/// The launches of a candidate for one threshold.
#[derive(Clone, Debug, PartialEq)]
pub struct ThresholdValues {
    /// Threshold.
    pub threshold: Threshold,
    /// Value in each block, in the metric's unit.
    pub launches: Vec<Option<f64>>,
    /// Failed and completed requests in each block.
    pub requests: Vec<(u64, u64)>,
}

/// The end of a candidate that could not be measured further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Complete blocks before.
    pub after: usize,
    /// Why.
    pub reason: String,
}

/// The rules of a search, fixed before its first block.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Direction of improvement of the goal.
    pub direction: Direction,
    /// Smallest difference that matters, as a share.
    pub margin: f64,
    /// Maximum number of blocks.
    pub most_blocks: usize,
    /// Index of the candidate in use. It is measured to the end, so that its distance from the best is known.
    pub present: Option<usize>,
    /// Whether the search also continues until the candidate in use is judged.
    pub judge_present: bool,
}

/// A difference between two candidates on the logarithm; positive if the first is worse.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Mean over the common blocks.
    pub point: f64,
    /// Lower bound; holds together with all statements of the search.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
    /// Upper bound if the second one is the best candidate.
    pub most: f64,
    /// Common blocks.
    pub blocks: usize,
}

impl Difference {
    /// Converts a difference on the logarithm to the loss of the worse candidate: the share that is lost of a rate, or added to a
    /// time.
    #[must_use]
    pub fn loss(log: f64, direction: Direction) -> f64 {
        match direction {
            Direction::HigherIsBetter => -(-log).exp_m1(),
            Direction::LowerIsBetter => log.exp_m1(),
        }
    }
}

/// Why a candidate was dropped.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// Another one, which meets all thresholds, is better.
    Worse {
        /// Index of the better candidate.
        than: usize,
        /// The difference.
        difference: Difference,
    },
    /// It breaks a threshold.
    Breaks(Box<ThresholdOutcome>),
    /// It could not be measured.
    Failed(String),
    /// Most of its launches have no figure of the goal, so that nothing is known about it.
    NoFigures,
}

/// The state of a candidate.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// It may be the best.
    Active {
        /// Whether all thresholds are met.
        meets: bool,
    },
    /// It is not the best.
    Dropped {
        /// Blocks after which it was dropped.
        after: usize,
        /// Why.
        reason: Reason,
    },
}

/// The verdict of a look on the candidate in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PresentVerdict {
    /// It is within the margin of the best.
    Good,
    /// It breaks a threshold, or is worse than the best by more than the margin.
    Worse,
    /// Neither is certain.
    Undecided,
    /// It could not be measured.
    Failed,
}

/// The progress of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Further blocks can decide.
    Open,
    /// A candidate is certain to be within the margin of the best.
    Found,
    /// No candidate is left.
    NothingLeft,
}

/// A search after a number of blocks.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Blocks.
    pub blocks: usize,
    /// State of each candidate.
    pub states: Vec<State>,
    /// Thresholds of each candidate as last judged.
    pub thresholds: Vec<Vec<ThresholdOutcome>>,
    /// The active candidate with the best mean; of those that meet all thresholds, if there are any.
    pub leader: Option<usize>,
    /// The cheapest of the candidates that are as good as the leader.
    pub recommended: Option<usize>,
    /// Whether the recommended one is certain to be within the margin of the best.
    pub certain: bool,
    /// Progress.
    pub progress: Progress,
    /// Verdict on the candidate in use, if there is one.
    pub present: Option<PresentVerdict>,
}

impl Standing {
    /// Returns whether a candidate is measured in the next block.
    #[must_use]
    pub fn measures(&self, candidate: usize, rules: &Rules) -> bool {
        match &self.states[candidate] {
            State::Active { .. } => true,
            State::Dropped { reason, .. } => rules.present == Some(candidate) && matches!(reason, Reason::Worse { .. }),
        }
    }

    /// Returns the active candidates.
    pub fn active(&self) -> impl Iterator<Item = usize> + '_ {
        let is_active = |&(_, state): &(usize, &State)| matches!(state, State::Active { .. });
        self.states.iter().enumerate().filter(is_active).map(|(index, _)| index)
    }

    fn meets(&self, candidate: usize) -> bool {
        matches!(self.states[candidate], State::Active { meets: true })
    }
}

/// Searches the first blocks of the candidates, look by look, until a look ends the search.
#[must_use]
pub fn search(candidates: &[Candidate], rules: &Rules, blocks: usize) -> Standing {
    let all = Search::of(candidates, rules);
    let mut standing = all.before();
    for block in 1..=blocks {
        all.advance(&mut standing, block, false);
        if all.is_over(&standing) {
            break;
        }
    }
    standing
}

/// Ends a search after these blocks: an interrupted or late search takes its next look at the blocks there are.
#[must_use]
pub fn conclude(candidates: &[Candidate], rules: &Rules, blocks: usize) -> Standing {
    let all = Search::of(candidates, rules);
    let mut standing = search(candidates, rules, blocks);
    if !all.is_over(&standing) && blocks > 0 {
        all.advance(&mut standing, blocks, true);
    }
    standing
}

/// Compares two candidates over the first blocks; `None` with fewer than three common ones. The bounds are those of the look.
#[must_use]
pub fn difference(
    candidates: &[Candidate],
    rules: &Rules,
    (one, other): (usize, usize),
    blocks: usize,
) -> Option<Difference> {
    Search::of(candidates, rules).difference(one, other, blocks)
}

struct Search<'a> {
    candidates: &'a [Candidate],
    rules: &'a Rules,
    /// Blocks after which the search looks.
    looks: Vec<usize>,
    /// Quantiles by look and number of common blocks; the pairs of a look share them.
    quantiles: RefCell<BTreeMap<(usize, usize), [f64; 2]>>,
}

impl<'a> Search<'a> {
    fn of(candidates: &'a [Candidate], rules: &'a Rules) -> Self {
        Self {
            candidates,
            rules,
            looks: looks(rules.most_blocks),
            quantiles: RefCell::default(),
        }
    }

    /// Returns the search before its first block.
    fn before(&self) -> Standing {
        let meets = |candidate: &Candidate| State::Active {
            meets: candidate.thresholds.is_empty(),
        };
        Standing {
            blocks: 0,
            states: self.candidates.iter().map(meets).collect(),
            thresholds: vec![Vec::new(); self.candidates.len()],
            leader: None,
            recommended: None,
            certain: false,
            progress: Progress::Open,
            present: self.rules.present.map(|_| PresentVerdict::Undecided),
        }
    }

    /// Adds a block, and a look if one is planned after it or it is the last.
    fn advance(&self, standing: &mut Standing, blocks: usize, last: bool) {
        standing.blocks = blocks;
        let last = last || blocks >= self.rules.most_blocks;
        self.drop_failed(standing, blocks, last);
        let looks = blocks >= MIN_BLOCKS && (last || self.looks.contains(&blocks));
        if looks {
            self.judge_thresholds(standing, blocks);
            self.drop_worse(standing, blocks);
        }
        self.recommend(standing, blocks, looks, last);
        if looks || standing.present != Some(PresentVerdict::Undecided) {
            standing.present = self
                .rules
                .present
                .map(|present| self.present(standing, present, blocks));
        }
        standing.progress = if standing.active().next().is_none() {
            Progress::NothingLeft
        } else if standing.certain {
            Progress::Found
        } else {
            Progress::Open
        };
    }

    fn is_over(&self, standing: &Standing) -> bool {
        match standing.progress {
            Progress::Open => false,
            Progress::NothingLeft => true,
            Progress::Found => !self.rules.judge_present || standing.present != Some(PresentVerdict::Undecided),
        }
    }

    /// Drops candidates that could not be measured. Figures may be missing for a while on a busy machine, and only a candidate without
    /// them is not compared.
    fn drop_failed(&self, standing: &mut Standing, blocks: usize, last: bool) {
        let patience = if last { MIN_BLOCKS } else { PATIENCE };
        for (state, candidate) in standing.states.iter_mut().zip(self.candidates) {
            if !matches!(state, State::Active { .. }) {
                continue;
            }
            let failed = candidate.failure.as_ref().filter(|failed| failed.after < blocks);
            let figures = candidate.values.iter().take(blocks).flatten().count();
            let dropped = match failed {
                Some(failed) => Some((failed.after, Reason::Failed(failed.reason.clone()))),
                None if blocks >= patience && figures * 2 < blocks => Some((blocks, Reason::NoFigures)),
                None => None,
            };
            if let Some((after, reason)) = dropped {
                *state = State::Dropped { after, reason };
            }
        }
    }

    /// Judges the thresholds of all candidates that are measured. A verdict stays, since all of them hold together.
    fn judge_thresholds(&self, standing: &mut Standing, blocks: usize) {
        let level = self.threshold_level(blocks);
        for (index, candidate) in self.candidates.iter().enumerate() {
            if !standing.measures(index, self.rules) {
                continue;
            }
            let earlier = std::mem::take(&mut standing.thresholds[index]);
            let judge = |(which, values): (usize, &ThresholdValues)| {
                let met = earlier.get(which).filter(|it| it.verdict == ThresholdVerdict::Met);
                met.cloned()
                    .unwrap_or_else(|| judge_at(&series(&candidate.name, values, blocks), level))
            };
            let outcomes: Vec<ThresholdOutcome> = candidate.thresholds.iter().enumerate().map(judge).collect();
            let broken = outcomes
                .iter()
                .find(|outcome| outcome.verdict == ThresholdVerdict::Broken);
            let meets = outcomes.iter().all(|outcome| outcome.verdict == ThresholdVerdict::Met);
            match (broken, &mut standing.states[index]) {
                (Some(outcome), state) => {
                    *state = State::Dropped {
                        after: blocks,
                        reason: Reason::Breaks(Box::new(outcome.clone())),
                    };
                }
                (None, State::Active { meets: known }) => *known = meets,
                (None, State::Dropped { .. }) => {}
            }
            standing.thresholds[index] = outcomes;
        }
    }

    fn drop_worse(&self, standing: &mut Standing, blocks: usize) {
        let active: Vec<usize> = standing.active().collect();
        let meeting: Vec<usize> = active.iter().copied().filter(|&index| standing.meets(index)).collect();
        for &one in &active {
            let better = meeting
                .iter()
                .filter(|&&other| other != one)
                .filter_map(|&other| Some((other, self.difference(one, other, blocks)?)))
                .filter(|(_, difference)| difference.low > 0.0)
                .max_by(|a, b| a.1.point.total_cmp(&b.1.point));
            if let Some((than, difference)) = better {
                standing.states[one] = State::Dropped {
                    after: blocks,
                    reason: Reason::Worse { than, difference },
                };
            }
        }
    }

    fn recommend(&self, standing: &mut Standing, blocks: usize, looks: bool, last: bool) {
        let worse = self.rules.direction.worse();
        let score = |index: &usize| {
            let logs = positive(&self.candidates[*index].values, blocks);
            (!logs.is_empty()).then(|| worse * mean(&logs))
        };
        let active: Vec<usize> = standing.active().collect();
        let best = |among: &dyn Fn(usize) -> bool| {
            active
                .iter()
                .copied()
                .filter(|&index| among(index))
                .filter_map(|index| Some((index, score(&index)?)))
                .min_by(|a, b| a.1.total_cmp(&b.1))
        };
        let leader = best(&|index| standing.meets(index)).or_else(|| best(&|_| true));
        standing.leader = leader.map(|(index, _)| index);
        standing.recommended = None;
        standing.certain = false;
        let Some((leader, leading)) = leader.filter(|(leader, _)| standing.meets(*leader)) else {
            return;
        };
        let as_good: Vec<usize> = active
            .iter()
            .copied()
            .filter(|&index| standing.meets(index))
            .filter(|index| score(index).is_some_and(|score| score - leading <= self.rules.margin.ln_1p()))
            .collect();
        let within = |index: usize| {
            active.iter().all(|&other| {
                other == index
                    || self
                        .difference(index, other, blocks)
                        .is_some_and(|it| it.most <= self.rules.margin.ln_1p())
            })
        };
        let cheapest = self.cheapest(&as_good, blocks, &score).unwrap_or(leader);
        standing.certain = looks && within(cheapest);
        standing.recommended = Some(cheapest);
        // More blocks might have made the cheapest one certain.
        if !standing.certain && looks && last {
            let certain: Vec<usize> = as_good.into_iter().filter(|&index| within(index)).collect();
            if let Some(cheapest) = self.cheapest(&certain, blocks, &score) {
                standing.recommended = Some(cheapest);
                standing.certain = true;
            }
        }
    }

    /// Returns the candidate with the lowest cost; of those with an equal cost, the best.
    fn cheapest(&self, among: &[usize], blocks: usize, score: &dyn Fn(&usize) -> Option<f64>) -> Option<usize> {
        let cost = |index: usize| {
            let logs = positive(&self.candidates[index].costs, blocks);
            (!logs.is_empty()).then(|| mean(&logs))
        };
        let lowest = among.iter().filter_map(|&index| cost(index)).min_by(f64::total_cmp);
        among
            .iter()
            .copied()
            .filter(|&index| match (cost(index), lowest) {
                (Some(cost), Some(lowest)) => cost - lowest <= EQUAL_COST.ln_1p(),
                (_, lowest) => lowest.is_none(),
            })
            .filter_map(|index| Some((index, score(&index)?)))
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .map(|(index, _)| index)
    }

    fn present(&self, standing: &Standing, present: usize, blocks: usize) -> PresentVerdict {
        match &standing.states[present] {
            State::Dropped {
                reason: Reason::Failed(_) | Reason::NoFigures,
                ..
            } => return PresentVerdict::Failed,
            State::Dropped {
                reason: Reason::Breaks(_),
                ..
            } => return PresentVerdict::Worse,
            _ => {}
        }
        if blocks < MIN_BLOCKS {
            return PresentVerdict::Undecided;
        }
        let margin = self.rules.margin.ln_1p();
        let others = || {
            standing
                .active()
                .filter(|&other| other != present)
                .map(|other| (other, self.difference(present, other, blocks)))
        };
        let is_worse = |(other, difference): (usize, Option<Difference>)| {
            standing.meets(other) && difference.is_some_and(|it| it.low > margin)
        };
        let meets = standing.thresholds[present]
            .iter()
            .all(|outcome| outcome.verdict == ThresholdVerdict::Met);
        if others().any(is_worse) {
            PresentVerdict::Worse
        } else if meets && others().all(|(_, difference)| difference.is_some_and(|it| it.most <= margin)) {
            PresentVerdict::Good
        } else {
            PresentVerdict::Undecided
        }
    }

    fn difference(&self, one: usize, other: usize, blocks: usize) -> Option<Difference> {
        let worse = self.rules.direction.worse();
        let (a, b) = (&self.candidates[one].values, &self.candidates[other].values);
        let logs: Vec<f64> = a
            .iter()
            .zip(b)
            .take(blocks)
            .filter_map(|(a, b)| Some(worse * (a.filter(|a| *a > 0.0)?.ln() - b.filter(|b| *b > 0.0)?.ln())))
            .collect();
        if logs.len() < MIN_BLOCKS - 1 {
            return None;
        }
        let point = mean(&logs);
        let error = std_dev(&logs).max(LEAST_SPREAD) / float(logs.len()).sqrt();
        let [reach, within] = self.quantiles(blocks, logs.len()).map(|quantile| quantile * error);
        Some(Difference {
            point,
            low: point - reach,
            high: point + reach,
            most: point + within,
            blocks: logs.len(),
        })
    }

    /// Quantiles of the differences of `common` blocks in a look: of all pairs, and of those with the best candidate.
    fn quantiles(&self, blocks: usize, common: usize) -> [f64; 2] {
        let count = self.candidates.len();
        let quantiles = || {
            let level = self.error_rate() * self.share(blocks);
            let others = float(count.saturating_sub(1)).max(1.0);
            [level / (others * float(count)), level / others]
                .map(|level| t_quantile(1.0 - level, float(common.saturating_sub(1))))
        };
        *self
            .quantiles
            .borrow_mut()
            .entry((blocks, common))
            .or_insert_with(quantiles)
    }

    /// Two-sided level of a threshold in a look.
    fn threshold_level(&self, blocks: usize) -> f64 {
        let thresholds: usize = self.candidates.iter().map(|candidate| candidate.thresholds.len()).sum();
        self.error_rate() * self.share(blocks) / float(thresholds.max(1))
    }

    /// Error rate of each kind of statement: worse than another one, within the margin, and about a threshold, if there are any.
    fn error_rate(&self) -> f64 {
        let any = self.candidates.iter().any(|candidate| !candidate.thresholds.is_empty());
        (1.0 - CONFIDENCE) / if any { 3.0 } else { 2.0 }
    }

    /// Share of a look in the error rate. All shares sum to 1. A search that ends between two looks takes the share of the next.
    fn share(&self, blocks: usize) -> f64 {
        let harmonic: f64 = (1..=self.looks.len()).map(|look| 1.0 / float(look)).sum();
        let look = self.looks.iter().filter(|look| **look < blocks).count() + 1;
        1.0 / float(look.min(self.looks.len())) / harmonic
    }
}

/// Returns the numbers of blocks after which a search of at most so many blocks looks.
fn looks(most_blocks: usize) -> Vec<usize> {
    let mut looks = vec![MIN_BLOCKS];
    let mut next = MIN_BLOCKS + 1;
    while next < most_blocks {
        looks.push(next);
        next = (next + 1).max(next + next / 4);
    }
    if most_blocks > MIN_BLOCKS {
        looks.push(most_blocks);
    }
    looks
}

/// Returns the logarithms of the positive values of the first blocks.
fn positive(values: &[Option<f64>], blocks: usize) -> Vec<f64> {
    values
        .iter()
        .take(blocks)
        .flatten()
        .filter(|value| **value > 0.0)
        .map(|value| value.ln())
        .collect()
}

fn series(name: &str, values: &ThresholdValues, blocks: usize) -> ThresholdSeries {
    let launches: Vec<f64> = values.launches.iter().take(blocks).flatten().copied().collect();
    let sum = |(failed, all): (u64, u64), (more, of): &(u64, u64)| (failed + more, all + of);
    let is_share = values.threshold.metric == super::Metric::ErrorShare;
    ThresholdSeries {
        case: name.to_owned(),
        threshold: values.threshold.clone(),
        requests: is_share.then(|| values.requests.iter().take(blocks).fold((0, 0), sum)),
        unusable: launches
            .is_empty()
            .then(|| format!("{} was not measured here", values.threshold.metric.title())),
        launches,
    }
}

#[cfg(test)]
#[path = "elimination_tests.rs"]
mod tests;
