//! The policy of a tuning: which settings are measured in the next block, and when the search ends.

use std::time::{Duration, Instant};

use super::{
    capacity,
    comparison::of_rounds,
    event::Event,
    job::RunPlan,
    runner::Policy,
    thresholds::{self, is_usable},
};
use crate::{
    stats::{
        Metric, Threshold,
        elimination::{
            self, Candidate, Difference, Failed, MIN_BLOCKS, PresentVerdict, Progress, Reason, Rules, Standing, State,
        },
        sample::{mean, median},
    },
    store::{
        arms::CANDIDATE,
        record::{CaseOutcome, CaseRecord, LaunchRecord, RunRecord, ValidityLevel},
        tuning::{DropReason, Goal, Loss, TuneEnd, TuneProgress},
    },
};

/// A planned tuning.
#[derive(Clone, Debug, PartialEq)]
pub struct TunePlan {
    /// The goal.
    pub goal: Goal,
    /// The rules of the search.
    pub rules: Rules,
    /// Time limit, without builds.
    pub budget: Duration,
}

/// Decides after each block which settings are measured further.
pub struct TunePolicy<'a> {
    plan: &'a TunePlan,
    /// Expected time of a launch, by case.
    times: Vec<(String, Duration)>,
    emit: &'a dyn Fn(Event),
    started: Option<Instant>,
    /// Launches that this session has planned.
    launched: u32,
    standing: Option<Standing>,
    cases: Vec<String>,
    ended: Option<TuneEnd>,
}

impl<'a> TunePolicy<'a> {
    /// Creates the policy of a tuning of the plan's jobs.
    #[must_use]
    pub fn new(plan: &'a TunePlan, order: &RunPlan, emit: &'a dyn Fn(Event)) -> Self {
        let time = |job: &super::Job| (job.case.id.clone(), order.launch_time(&job.case.work));
        Self {
            plan,
            times: order.jobs.iter().map(time).collect(),
            emit,
            started: None,
            launched: 0,
            standing: None,
            cases: order.jobs.iter().map(|job| job.case.id.clone()).collect(),
            ended: None,
        }
    }

    /// Returns why the search ended; `None` after an interruption.
    #[must_use]
    pub fn ended(&self) -> Option<TuneEnd> {
        self.ended
    }

    /// Returns the search after the last complete block.
    #[must_use]
    pub fn standing(&self) -> Option<&Standing> {
        self.standing.as_ref()
    }

    /// Returns the time since the first block of this session.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.map(|started| started.elapsed()).unwrap_or_default()
    }

    /// Returns the expected time of the next block.
    fn block_time(&self) -> Duration {
        let expected: Duration = self
            .times
            .iter()
            .filter(|(case, _)| self.measures(case))
            .map(|(_, time)| *time)
            .sum();
        // Servers that start slowly take longer than expected.
        let launches = self.times.iter().filter(|(case, _)| self.measures(case)).count();
        let so_far = self.elapsed().checked_div(self.launched).unwrap_or_default();
        expected.max(so_far * u32::try_from(launches).unwrap_or(u32::MAX))
    }

    fn is_out_of_time(&self) -> bool {
        self.elapsed() + self.block_time() > self.plan.budget
    }

    /// Emits the settings that the last block dropped.
    fn report(&self, run: &RunRecord, candidates: &[Candidate], before: Option<&Standing>, now: &Standing) {
        let was_active =
            |index: usize| before.is_none_or(|before| matches!(before.states[index], State::Active { .. }));
        let dropped = now
            .states
            .iter()
            .enumerate()
            .filter(|(index, _)| was_active(*index))
            .filter_map(|(index, state)| match state {
                State::Dropped { reason, .. } => Some((
                    candidates[index].name.clone(),
                    drop_reason(reason, index, candidates, &self.plan.rules, run),
                )),
                State::Active { .. } => None,
            })
            .collect();
        let best = now
            .leader
            .and_then(|leader| Some((candidates[leader].name.clone(), centre(&candidates[leader].values)?)));
        (self.emit)(Event::Tuning(Box::new(TuneProgress {
            blocks: now.blocks,
            left: now.active().count(),
            of: candidates.len(),
            metric: self.plan.goal.metric(),
            best,
            dropped,
        })));
    }
}

impl Policy for TunePolicy<'_> {
    fn blocks(&self) -> u32 {
        let most = u32::try_from(self.plan.rules.most_blocks).unwrap_or(u32::MAX);
        let done = self.standing.as_ref().map_or(0, |standing| standing.blocks);
        let done = u32::try_from(done).unwrap_or(u32::MAX);
        let left = self.plan.budget.saturating_sub(self.elapsed());
        let block = self.block_time().as_millis().max(1);
        let in_time = u32::try_from(left.as_millis() / block).unwrap_or(u32::MAX);
        let least = u32::try_from(MIN_BLOCKS).unwrap_or(u32::MAX);
        done.saturating_add(in_time).max(least).min(most)
    }

    fn more(&mut self, block: u32, run: &RunRecord) -> bool {
        let is_recorded = run
            .cases
            .iter()
            .flat_map(|case| &case.launches)
            .any(|launch| launch.block >= block);
        if self.started.is_none() && !is_recorded {
            // The budget begins with the first block that is not recorded by an interrupted run, after builds; what that run took
            // is expected time.
            let spent: Duration = self
                .times
                .iter()
                .map(|(id, time)| {
                    let launches = run.cases.iter().find(|case| case.id == *id);
                    *time * launches.map_or(0, |case| u32::try_from(case.launches.len()).unwrap_or(u32::MAX))
                })
                .sum();
            let now = Instant::now();
            self.started = Some(now.checked_sub(spent).unwrap_or(now));
            self.launched = u32::try_from(run.cases.iter().map(|case| case.launches.len()).sum::<usize>()).unwrap_or(0);
        }
        let candidates = candidates(run, &self.cases, self.plan.goal);
        let standing = elimination::search(&candidates, &self.plan.rules, block as usize);
        if block > 0 {
            self.report(run, &candidates, self.standing.as_ref(), &standing);
        }
        let progress = standing.progress;
        let judged = !self.plan.rules.judge_present || standing.present != Some(PresentVerdict::Undecided);
        self.standing = Some(standing);
        self.ended = match progress {
            Progress::Found if judged => Some(TuneEnd::Decided),
            Progress::NothingLeft => Some(TuneEnd::NothingLeft),
            _ if block as usize >= self.plan.rules.most_blocks => Some(TuneEnd::Blocks),
            // A budget that turns out to be too short still leaves a first look.
            _ if block as usize >= MIN_BLOCKS && !is_recorded && self.is_out_of_time() => Some(TuneEnd::Budget),
            _ => None,
        };
        if self.ended.is_none() && !is_recorded {
            let launches = self.cases.iter().filter(|case| self.measures(case)).count();
            self.launched = self
                .launched
                .saturating_add(u32::try_from(launches).unwrap_or(u32::MAX));
        }
        self.ended.is_none()
    }

    fn measures(&self, case: &str) -> bool {
        let Some(standing) = &self.standing else {
            return true;
        };
        let index = self.cases.iter().position(|known| known == case);
        index.is_some_and(|index| standing.measures(index, &self.plan.rules))
    }
}

/// Returns the candidates of a search: these cases of a run, with one entry for each complete or incomplete block.
#[must_use]
pub fn candidates(run: &RunRecord, cases: &[String], goal: Goal) -> Vec<Candidate> {
    let of = |id: &String| {
        let case = run.cases.iter().find(|case| case.id == *id);
        case.map_or_else(
            || Candidate {
                name: id.clone(),
                failure: Some(Failed {
                    after: 0,
                    reason: "not part of the run".to_owned(),
                }),
                ..Candidate::default()
            },
            |case| candidate(case, goal),
        )
    };
    cases.iter().map(of).collect()
}

fn candidate(case: &CaseRecord, goal: Goal) -> Candidate {
    let count = case.of_arm(CANDIDATE).map(|launch| launch.block as usize + 1).max();
    let mut by_block: Vec<Option<&LaunchRecord>> = vec![None; count.unwrap_or(0)];
    for launch in case.of_arm(CANDIDATE).filter(|launch| launch.error.is_none()) {
        by_block[launch.block as usize] = Some(launch);
    }
    let each = |value: &dyn Fn(&LaunchRecord) -> Option<f64>| -> Vec<Option<f64>> {
        by_block.iter().map(|launch| launch.and_then(value)).collect()
    };
    // The search of a capacity keeps the thresholds that limit the rate.
    let judged = |threshold: &&Threshold| goal != Goal::Capacity || !capacity::limits(threshold);
    let thresholds = case
        .load
        .thresholds
        .iter()
        .filter(judged)
        .map(|threshold| elimination::ThresholdValues {
            threshold: threshold.clone(),
            launches: each(&|launch| thresholds::of_launch(launch, threshold)),
            requests: by_block.iter().map(|launch| launch.map_or((0, 0), requests)).collect(),
        });
    Candidate {
        name: case.id.clone(),
        values: each(&|launch| goal_value(launch, goal)),
        costs: each(&|launch| valid_value(launch, Metric::PeakMemory)),
        thresholds: thresholds.collect(),
        failure: failure(case, &by_block),
    }
}

/// Returns why a case could not be measured further, and after how many launches.
fn failure(case: &CaseRecord, by_block: &[Option<&LaunchRecord>]) -> Option<Failed> {
    let reason = match &case.outcome {
        CaseOutcome::Failed(reason) => reason.clone(),
        CaseOutcome::NotAvailable(reason) => format!("not available here: {reason}"),
        CaseOutcome::Unsupported(reason) => format!("unsupported: {reason}"),
        CaseOutcome::Ignored(reason) => format!("ignored: {reason}"),
        CaseOutcome::Planned | CaseOutcome::Measured => return None,
    };
    let after = by_block.iter().take_while(|launch| launch.is_some()).count();
    Some(Failed { after, reason })
}

/// Returns the goal's value of a launch.
fn goal_value(launch: &LaunchRecord, goal: Goal) -> Option<f64> {
    match goal {
        Goal::Capacity => {
            let found: Vec<f64> = launch
                .rounds
                .iter()
                .filter(|round| is_usable(round))
                .filter_map(|round| round.capacity_per_second)
                .collect();
            (!found.is_empty()).then(|| median(&found))
        }
        _ => valid_value(launch, goal.metric()),
    }
}

/// Returns the median of the usable rounds of a launch.
#[must_use]
pub fn valid_value(launch: &LaunchRecord, metric: Metric) -> Option<f64> {
    of_rounds(launch, metric, is_usable).filter(|value| value.is_finite())
}

/// Returns the failed and the completed requests of a launch.
fn requests(launch: &LaunchRecord) -> (u64, u64) {
    let usable = launch.rounds.iter().filter(|round| is_usable(round));
    usable.fold((0, 0), |(failed, all), round| {
        let counts = &round.load.counts;
        let errors = counts.failed + counts.timed_out;
        (failed + errors, all + counts.done + errors)
    })
}

/// Returns the geometric mean of the values.
#[must_use]
pub fn centre(values: &[Option<f64>]) -> Option<f64> {
    let logs: Vec<f64> = values
        .iter()
        .flatten()
        .filter(|value| **value > 0.0)
        .map(|value| value.ln())
        .collect();
    (!logs.is_empty()).then(|| mean(&logs).exp())
}

/// Converts a difference on the logarithm to a loss.
#[must_use]
pub fn loss(difference: &Difference, rules: &Rules) -> Loss {
    let share = |log| Difference::loss(log, rules.direction);
    Loss {
        share: share(difference.point),
        low: share(difference.low),
        high: share(difference.high),
        blocks: difference.blocks,
    }
}

/// Converts the reason for dropping a candidate to its record.
#[must_use]
pub fn drop_reason(
    reason: &Reason,
    candidate: usize,
    candidates: &[Candidate],
    rules: &Rules,
    run: &RunRecord,
) -> DropReason {
    match reason {
        Reason::Worse { than, difference } => DropReason::Worse {
            than: candidates[*than].name.clone(),
            loss: loss(difference, rules),
        },
        Reason::Breaks(outcome) => DropReason::Breaks {
            outcome: outcome.clone(),
        },
        Reason::Failed(text) => DropReason::Failed { text: text.clone() },
        Reason::NoFigures => DropReason::Failed {
            text: invalid_finding(run, &candidates[candidate].name).map_or_else(
                || "most of its launches have no figure of the goal".to_owned(),
                |finding| format!("most of its launches are invalid: {finding}"),
            ),
        },
    }
}

/// Returns the first finding that makes rounds of a case invalid.
fn invalid_finding(run: &RunRecord, case: &str) -> Option<String> {
    let case = run.cases.iter().find(|known| known.id == case)?;
    let rounds = case.launches.iter().flat_map(|launch| &launch.rounds);
    let mut findings = rounds.flat_map(|round| &round.validity.findings);
    findings
        .find(|finding| finding.level == ValidityLevel::Invalid)
        .map(|finding| finding.text.clone())
}
