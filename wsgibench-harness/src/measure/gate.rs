//! A comparison while it is measured: how many blocks, and when to stop.

use std::time::{Duration, Instant};

use super::{
    comparison::{Judged, calm_blocks, disturbance},
    runner::Policy,
};
use crate::{
    stats::{
        Decision, Design, Outcome, Progress, StopReason,
        disturbance::{Disturbance, Guard},
    },
    store::record::RunRecord,
};

/// The plan cannot do what was asked; refused before anything is measured.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Nothing to compare.
    #[error("the gate has nothing to compare: {0}")]
    Nothing(String),
    /// The budget holds too few blocks for any decision.
    #[error(
        "no decision can be reached in {}: a block of all cases takes about {}, and {blocks} blocks are the fewest that can \
         tell a change from chance here; give --budget {} or more, or choose fewer cases",
        human(*budget), human(*block), human(*needed)
    )]
    Budget {
        /// As given.
        budget: Duration,
        /// One block.
        block: Duration,
        /// The fewest blocks.
        blocks: usize,
        /// What it takes.
        needed: Duration,
    },
}

fn human(time: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(time.as_secs().max(1)))
}

/// Plans a comparison of `cases` cases.
///
/// # Errors
/// Nothing to compare; a budget in which no decision can be reached.
pub fn plan(judged: &Judged, cases: usize, block: Duration, budget: Option<Duration>) -> Result<Design, PlanError> {
    let family = judged.family(cases);
    if cases == 0 {
        return Err(PlanError::Nothing(
            "no case is in both arms; look at --list here and at the reference".to_owned(),
        ));
    }
    if family == 0 {
        return Err(PlanError::Nothing("no metric is gated; give --gate-metric".to_owned()));
    }
    let standard = Design::standard(family);
    let Some(budget) = budget else {
        return Ok(standard);
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a positive quotient of times; a float cast saturates"
    )]
    let fit = (budget.as_secs_f64() / block.as_secs_f64().max(1e-3)) as usize;
    if let Some(design) = Design::within(fit, family).filter(|design| design.decidable_at().is_some()) {
        return Ok(design);
    }
    let blocks = (fit + 1..=26)
        .find(|&blocks| Design::within(blocks, family).is_some_and(|d| d.decidable_at().is_some()))
        .unwrap_or(26);
    Err(PlanError::Budget {
        budget,
        block,
        blocks,
        needed: block * u32::try_from(blocks).unwrap_or(u32::MAX) + Duration::from_secs(1),
    })
}

/// Why a comparison ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// As the statistics say.
    Decided(StopReason),
    /// The machine was too unsteady.
    Disturbed,
    /// A gated figure was missing in too many blocks, or nothing is left to compare.
    Missing,
    /// The budget is spent.
    Budget,
}

/// Goes on until the statistics have what they need.
pub struct GatePolicy {
    judged: Judged,
    decision: Decision,
    budget: Option<Duration>,
    deadline: Option<Instant>,
    ended: Option<Ended>,
}

impl GatePolicy {
    /// A policy for a planned design.
    ///
    /// # Errors
    /// A design that is none.
    pub fn new(
        judged: Judged,
        design: Design,
        budget: Option<Duration>,
    ) -> Result<Self, crate::stats::compare::DesignError> {
        Ok(Self {
            judged,
            decision: Decision::new(design)?,
            budget,
            deadline: None,
            ended: None,
        })
    }

    /// Why it ended, once it has.
    #[must_use]
    pub fn ended(&self) -> Option<Ended> {
        self.ended
    }

    /// The outcomes so far.
    #[must_use]
    pub fn outcomes(&self, run: &RunRecord) -> Vec<Outcome> {
        self.decision.decide(&self.judged.series(run))
    }

    /// How the blocks fared.
    #[must_use]
    pub fn disturbance(&self, run: &RunRecord) -> Disturbance {
        disturbance(run)
    }
}

impl Policy for GatePolicy {
    fn blocks(&self) -> u32 {
        u32::try_from(self.decision.design().last_blocks()).unwrap_or(u32::MAX)
    }

    fn more(&mut self, block: u32, run: &RunRecord) -> bool {
        if block == 0 {
            // The budget is for measuring: images and ceilings are done by now.
            self.deadline = self.budget.map(|budget| Instant::now() + budget);
            return true;
        }
        let series = self.judged.open_series(run);
        self.ended = match self.decision.progress(&series) {
            _ if series.is_empty() => Some(Ended::Missing),
            // A regression found early in a run with too many repeats is waited with: more blocks may make it count.
            Progress::Stop(reason) if reason == StopReason::LastLook || !disturbance(run).invalid => {
                Some(Ended::Decided(reason))
            }
            _ if self.enough(block) && self.is_calm(run) => Some(Ended::Missing),
            _ if self.enough(block) => Some(Ended::Disturbed),
            _ if self.deadline.is_some_and(|at| Instant::now() >= at) => Some(Ended::Budget),
            _ => None,
        };
        self.ended.is_none()
    }
}

impl GatePolicy {
    /// Repeats are bounded: so many blocks more than planned as may be repeats, and one.
    fn enough(&self, block: u32) -> bool {
        let planned = f64::from(self.blocks());
        f64::from(block) >= planned / (1.0 - Guard::default().max_repeat_share) + 1.0
    }

    fn is_calm(&self, run: &RunRecord) -> bool {
        calm_blocks(run).len() >= self.blocks() as usize
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;
    use crate::{
        measure::comparison::Pairing,
        stats::metric::Metric,
        store::{
            arms::{BASE, CANDIDATE},
            record::CaseOutcome,
            samples,
        },
    };

    fn judged() -> Judged {
        Judged {
            pairing: Pairing::Arms,
            gated: vec![Metric::CpuPerRequest, Metric::ErrorShare],
            margins: BTreeMap::new(),
        }
    }

    #[test]
    fn a_budget_without_a_decision_is_refused_with_what_it_takes() {
        let block = Duration::from_secs(10);
        assert!(plan(&judged(), 1, block, None).is_ok());
        let error = plan(&judged(), 1, block, Some(Duration::from_secs(30))).unwrap_err();
        assert!(matches!(error, PlanError::Budget { blocks: 10, .. }), "{error}");
        assert!(error.to_string().contains("--budget 1m 41s"), "{error}");
        let design = plan(&judged(), 1, block, Some(Duration::from_secs(170))).unwrap();
        assert_eq!(design.last_blocks(), 16);
    }

    /// A case whose arms took so many seconds to start, block by block; 0 is a figure that is missing. In the first blocks, as
    /// many as are `disturbed`, the reference loads lie apart.
    fn case(server: &str, outcome: &CaseOutcome, blocks: u32, candidate: f64, disturbed: u32) -> Value {
        let launch = |block: u32, arm: &str, seconds: f64| {
            let wobble = 1.0 + 0.001 * f64::from(block % 7);
            let last = if block < disturbed { 30.0 } else { 101.0 };
            samples::launch(block, arm, seconds * wobble, [100.0, last])
        };
        let launches: Vec<Value> = (0..blocks)
            .flat_map(|block| [launch(block, BASE, 1.0), launch(block, CANDIDATE, candidate)])
            .collect();
        samples::case(server, outcome, &launches)
    }

    fn policy(cases: usize) -> GatePolicy {
        let judged = Judged {
            gated: vec![Metric::StartUpTime],
            ..judged()
        };
        GatePolicy::new(judged, Design::standard(cases), None).expect("a design")
    }

    /// What the policy says after so many blocks.
    fn after(block: u32, cases: &[Value]) -> (bool, Option<Ended>) {
        let mut policy = policy(cases.len());
        let more = policy.more(block, &samples::run("r", cases));
        (more, policy.ended())
    }

    #[test]
    fn a_figure_that_never_comes_ends_the_run_all_the_same() {
        let lacking = |blocks| [case("a", &CaseOutcome::Measured, blocks, 0.0, 0)];
        assert_eq!(after(30, &lacking(30)), (true, None));
        assert_eq!(after(36, &lacking(36)), (false, Some(Ended::Missing)));
    }

    #[test]
    fn a_lost_case_holds_up_no_other() {
        let lost = case("a", &CaseOutcome::Failed("it died".into()), 1, 1.0, 0);
        let fine = |blocks| case("b", &CaseOutcome::Measured, blocks, 1.0, 0);
        assert_eq!(after(25, &[lost.clone(), fine(25)]), (true, None));
        let end = Some(Ended::Decided(StopReason::LastLook));
        assert_eq!(after(26, &[lost.clone(), fine(26)]), (false, end));
        assert_eq!(after(1, &[lost]), (false, Some(Ended::Missing)));
    }

    #[test]
    fn a_case_that_cannot_be_had_here_is_no_part_of_the_gate() {
        let away = |outcome: CaseOutcome| case("a", &outcome, 0, 1.0, 0);
        let fine = case("b", &CaseOutcome::Measured, 26, 1.0, 0);
        for outcome in [
            CaseOutcome::NotAvailable("no apache2 here".into()),
            CaseOutcome::Ignored("broken since 3.0".into()),
        ] {
            let run = samples::run("r", &[away(outcome), fine.clone()]);
            let outcomes = policy(2).outcomes(&run);
            assert!(
                outcomes.iter().all(|outcome| outcome.case.contains("/b/")),
                "{outcomes:?}"
            );
            assert!(outcomes.iter().any(|outcome| outcome.gated && !outcome.undecided));
        }
        // Perhaps of one arm only: that would be a change, and is undecided.
        let unsupported = away(CaseOutcome::Unsupported("it loses chunked bodies".into()));
        let run = samples::run("r", &[unsupported, fine]);
        let undecided = |outcome: &Outcome| outcome.gated && outcome.undecided && outcome.case.contains("/a/");
        assert!(policy(2).outcomes(&run).iter().any(undecided));
    }

    #[test]
    fn beside_another_server_only_what_both_lack_is_no_part_of_the_gate() {
        let away = |server| case(server, &CaseOutcome::NotAvailable("no apache2 here".into()), 0, 1.0, 0);
        let there = |server| case(server, &CaseOutcome::Measured, 26, 1.0, 0);
        let judged = Judged {
            pairing: Pairing::Versus("base".into()),
            ..judged()
        };
        let gated = |cases: [Value; 2]| {
            judged
                .series(&samples::run("r", &cases))
                .iter()
                .any(|series| series.gated)
        };
        assert!(gated([away("a"), there("base")]) && gated([there("a"), away("base")]));
        assert!(!gated([away("a"), away("base")]));
    }

    #[test]
    fn an_early_regression_amid_too_many_repeats_is_waited_with() {
        let slower = |blocks, disturbed| [case("a", &CaseOutcome::Measured, blocks, 2.0, disturbed)];
        let certain = Some(Ended::Decided(StopReason::Regression));
        assert_eq!(after(13, &slower(13, 3)), (false, certain));
        assert_eq!(after(14, &slower(14, 4)), (true, None));
        assert_eq!(after(16, &slower(16, 4)), (false, certain));
        assert_eq!(after(36, &slower(36, 12)), (false, Some(Ended::Disturbed)));
    }

    #[test]
    fn a_gate_on_nothing_is_refused() {
        assert!(matches!(
            plan(&judged(), 0, Duration::from_secs(1), None),
            Err(PlanError::Nothing(_))
        ));
    }
}
