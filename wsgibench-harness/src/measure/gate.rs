//! The plan of a comparison, and the policy that decides after each block whether to continue.

use std::time::{Duration, Instant};

use super::{
    comparison::{Judged, calm_blocks, disturbance},
    runner::Policy,
};
use crate::{
    stats::{
        Decision, Design, Family, Metric, Outcome, Progress, Series, StopReason,
        compare::usable_blocks,
        disturbance::{Disturbance, Guard},
    },
    store::record::RunRecord,
};

/// Maximum number of cases named in an error.
const NAMED_CASES: usize = 20;

/// An error while planning a comparison.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// There is nothing to compare.
    #[error("the gate has nothing to compare: {0}")]
    Nothing(String),
    /// The budget allows too few blocks for a decision on the primary metrics.
    #[error(
        "a budget of {} is too short to decide on {} of {}: a block of {} takes about {} and {blocks} blocks are needed; give \
         `--budget {}` or more, or select fewer cases. The cases: {}",
        human(*budget),
        titles(metrics),
        counted(cases.len()),
        if cases.len() == 1 { "it" } else { "them all" },
        human(*block),
        human(*needed),
        listed(cases)
    )]
    Budget {
        /// The budget.
        budget: Duration,
        /// Time of one block of all cases.
        block: Duration,
        /// The smallest number of blocks after which the metrics can be decided.
        blocks: usize,
        /// Time of these blocks.
        needed: Duration,
        /// The metrics that must be decided.
        metrics: Vec<Metric>,
        /// Ids of the compared cases.
        cases: Vec<String>,
    },
}

fn human(time: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(time.as_secs().max(1)))
}

/// Joins the metrics' names with commas.
fn titles(metrics: &[Metric]) -> String {
    metrics
        .iter()
        .map(|metric| metric.title())
        .collect::<Vec<_>>()
        .join(", ")
}

fn counted(cases: usize) -> String {
    if cases == 1 {
        "1 case".to_owned()
    } else {
        format!("{cases} cases")
    }
}

fn listed(cases: &[String]) -> String {
    let named = cases[..cases.len().min(NAMED_CASES)].join(", ");
    match cases.len().saturating_sub(NAMED_CASES) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// A planned comparison.
#[derive(Clone, Debug)]
pub struct GatePlan {
    /// The looks and the error rate.
    pub design: Design,
    /// The gated metrics and the number of cases.
    pub family: Family,
}

impl GatePlan {
    /// Returns a message with the gated metrics that cannot fail in a plan this short, and the remedy; `None` if all can fail.
    #[must_use]
    pub fn limits(&self) -> Option<String> {
        let lost = self.family.cannot_fail(&self.design);
        let blocks = self.design.last_blocks();
        let needed = blocks_for_all_metrics(&self.family, self.design.alpha);
        let remedy = needed.map_or_else(
            || "select fewer cases".to_owned(),
            |needed| format!("{needed} blocks are needed for them (a larger `--budget`)"),
        );
        (!lost.is_empty()).then(|| {
            format!(
                "in a plan of {blocks} blocks for {} these gated metrics cannot fail, whatever their change: {}; {remedy}",
                counted(self.family.cases()),
                titles(&lost)
            )
        })
    }
}

/// Returns the smallest number of blocks in which every gated metric can fail; `None` if the standard plan is too short.
#[must_use]
pub fn blocks_for_all_metrics(family: &Family, alpha: f64) -> Option<usize> {
    let standard = Design::standard();
    standard
        .looks
        .iter()
        .map(|look| look.blocks)
        .find(|&blocks| Design::within(blocks).is_some_and(|design| family.cannot_fail(&design.at(alpha)).is_empty()))
}

/// Plans a comparison of the cases with these ids. A block of all of them takes `block`.
///
/// # Errors
/// Returns an error if there is nothing to compare, or the budget is too short to decide on the primary metrics.
pub fn plan(
    judged: &Judged,
    cases: &[String],
    block: Duration,
    budget: Option<Duration>,
) -> Result<GatePlan, PlanError> {
    let family = judged.family(cases.len());
    if cases.is_empty() {
        return Err(PlanError::Nothing(
            "no case is in both arms; compare --list in both".to_owned(),
        ));
    }
    if family.is_empty() {
        return Err(PlanError::Nothing(
            "no metric is gated; use --gate-metric, or --ungate fewer metrics".to_owned(),
        ));
    }
    let Some(budget) = budget else {
        let design = Design::standard().at(judged.alpha);
        return Ok(GatePlan { design, family });
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a positive quotient of times; a float cast saturates"
    )]
    let fit = (budget.as_secs_f64() / block.as_secs_f64().max(1e-3)) as usize;
    let within = |blocks: usize| Design::within(blocks).map(|design| design.at(judged.alpha));
    let decides = |blocks: usize| within(blocks).filter(|design| family.is_decidable(design));
    if let Some(design) = decides(fit) {
        return Ok(GatePlan { design, family });
    }
    let last = Design::standard().last_blocks();
    let blocks = (fit + 1..=last)
        .find(|&blocks| decides(blocks).is_some())
        .unwrap_or(last);
    Err(PlanError::Budget {
        budget,
        block,
        blocks,
        needed: block * u32::try_from(blocks).unwrap_or(u32::MAX) + Duration::from_secs(1),
        metrics: family.primary(),
        cases: cases.to_vec(),
    })
}

/// The reason why a comparison ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The statistics reached a decision or the last look.
    Decided(StopReason),
    /// The machine was too unsteady.
    Disturbed,
    /// A gated metric was missing in too many blocks, or nothing is left to compare.
    Missing,
    /// The budget is spent.
    Budget,
}

/// The policy of a comparison: continues until the statistics reach a decision, within its limits.
pub struct GatePolicy {
    judged: Judged,
    family: Family,
    decision: Decision,
    budget: Option<Duration>,
    deadline: Option<Instant>,
    ended: Option<Ended>,
}

impl GatePolicy {
    /// Creates the policy of a planned comparison.
    ///
    /// # Errors
    /// Returns an error if the design is invalid.
    pub fn new(
        judged: Judged,
        plan: GatePlan,
        budget: Option<Duration>,
    ) -> Result<Self, crate::stats::compare::DesignError> {
        Ok(Self {
            judged,
            family: plan.family,
            decision: Decision::new(plan.design)?,
            budget,
            deadline: None,
            ended: None,
        })
    }

    /// Returns the reason why the comparison ended; `None` before its end.
    #[must_use]
    pub fn ended(&self) -> Option<Ended> {
        self.ended
    }

    /// Returns the outcomes so far. If the time ended the comparison between two looks, the blocks there are belong to the next.
    #[must_use]
    pub fn outcomes(&self, run: &RunRecord) -> Vec<Outcome> {
        let series = self.judged.series(run, &self.family);
        match self.cut_short(&series).map(Decision::new) {
            Some(Ok(decision)) => decision.decide(&series),
            _ => self.decision.decide(&series),
        }
    }

    /// Returns the design of a comparison that ended before the last planned look without a decision.
    fn cut_short(&self, series: &[Series]) -> Option<Design> {
        matches!(self.ended, Some(Ended::Budget | Ended::Disturbed | Ended::Missing))
            .then(|| self.decision.design().ended_after(usable_blocks(series)))
    }

    /// Returns a message about gated metrics that could have failed in the planned blocks, but not in those that were measured.
    #[must_use]
    pub fn lost(&self, run: &RunRecord) -> Option<String> {
        let series = self.judged.series(run, &self.family);
        let (planned, reached) = (self.decision.design(), self.cut_short(&series)?);
        let before = self.family.cannot_fail(planned);
        let mut lost = self.family.cannot_fail(&reached);
        lost.retain(|metric| !before.contains(metric));
        (!lost.is_empty()).then(|| {
            format!(
                "{} of {} planned blocks are usable, in which these gated metrics cannot fail, whatever their change: {}; give a larger \
                 `--budget`, or ungate them",
                usable_blocks(&series),
                planned.last_blocks(),
                titles(&lost)
            )
        })
    }

    /// Returns the disturbances so far.
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
            // The budget begins with the first block, after building images and measuring ceilings.
            self.deadline = self.budget.map(|budget| Instant::now() + budget);
            return true;
        }
        let series = self.judged.open_series(run, &self.family);
        self.ended = match self.decision.progress(&series) {
            _ if series.is_empty() => Some(Ended::Missing),
            // Continue after an early regression if the run has too many repeats: more blocks may make it valid.
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
    /// Returns whether the limit is reached: the planned blocks, the allowed number of repeats, and one.
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
        store::{
            arms::{BASE, CANDIDATE},
            record::CaseOutcome,
            samples,
        },
    };

    fn judged() -> Judged {
        Judged {
            pairing: Pairing::Arms,
            gated: Metric::gated(),
            margins: BTreeMap::new(),
            alpha: crate::stats::compare::design::ALPHA,
        }
    }

    fn ids(cases: usize) -> Vec<String> {
        (0..cases).map(|case| format!("ping/a/c{case}")).collect()
    }

    fn planned(cases: usize, budget: Option<u64>) -> Result<GatePlan, PlanError> {
        plan(
            &judged(),
            &ids(cases),
            Duration::from_secs(10),
            budget.map(Duration::from_secs),
        )
    }

    #[test]
    fn plan_spends_the_error_rate_of_its_comparison() {
        let after_counts = Judged {
            alpha: 0.008,
            ..judged()
        };
        for budget in [None, Some(Duration::from_secs(16))] {
            let plan = plan(&after_counts, &ids(1), Duration::from_secs(1), budget).expect("a plan");
            assert!((plan.design.alpha - 0.008).abs() < f64::EPSILON);
        }
    }

    #[test]
    fn budget_determines_the_number_of_blocks() {
        let blocks = |budget| planned(1, budget).unwrap().design.last_blocks();
        assert_eq!(blocks(None), 26);
        assert_eq!(blocks(Some(100)), 10);
        assert_eq!(blocks(Some(170)), 16);
        assert_eq!(planned(1, None).unwrap().limits(), None);
        assert_eq!(planned(1, Some(170)).unwrap().limits(), None);
    }

    #[test]
    fn a_plan_of_ten_blocks_names_the_metrics_that_cannot_fail() {
        let limits = planned(1, Some(100)).unwrap().limits().expect("a limit");
        for metric in Metric::gated() {
            assert_eq!(
                limits.contains(metric.title()),
                metric != Metric::CpuPerRequest,
                "{limits}"
            );
        }
        assert!(
            limits.contains("10 blocks") && limits.contains("16 blocks are needed"),
            "{limits}"
        );
    }

    #[test]
    fn a_budget_too_short_for_cpu_is_an_error_that_names_the_cases() {
        let error = planned(1, Some(30)).unwrap_err();
        assert!(matches!(error, PlanError::Budget { blocks: 10, .. }), "{error}");
        assert!(error.to_string().contains("--budget 1m 41s"), "{error}");
        // Ten blocks are enough for one case; two need sixteen.
        let error = planned(2, Some(150)).unwrap_err().to_string();
        for part in [
            "server CPU per request of 2 cases",
            "16 blocks are needed",
            "ping/a/c0, ping/a/c1",
            "--budget 2m 41s",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
        let error = planned(30, Some(150)).unwrap_err().to_string();
        assert!(
            error.contains("30 cases") && error.contains("ping/a/c19 and 10 more"),
            "{error}"
        );
        // In sixteen blocks, the other metrics of this many cases cannot fail; the plan is accepted.
        assert!(planned(98, Some(170)).unwrap().limits().is_some());
    }

    /// Creates a case whose candidate takes `candidate` seconds to start in each block; 0 is a missing value. The first
    /// `disturbed` blocks have different references.
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
        let plan = plan(&judged, &ids(cases), Duration::from_secs(1), None).expect("a plan");
        GatePolicy::new(judged, plan, None).expect("a design")
    }

    /// Returns the decision of the policy after this many blocks.
    fn after(block: u32, cases: &[Value]) -> (bool, Option<Ended>) {
        let mut policy = policy(cases.len());
        let more = policy.more(block, &samples::run("r", cases));
        (more, policy.ended())
    }

    #[test]
    fn a_metric_that_stays_missing_ends_the_run() {
        let lacking = |blocks| [case("a", &CaseOutcome::Measured, blocks, 0.0, 0)];
        assert_eq!(after(30, &lacking(30)), (true, None));
        assert_eq!(after(36, &lacking(36)), (false, Some(Ended::Missing)));
    }

    #[test]
    fn a_failed_case_does_not_delay_the_others() {
        let lost = case("a", &CaseOutcome::Failed("it died".into()), 1, 1.0, 0);
        let fine = |blocks| case("b", &CaseOutcome::Measured, blocks, 1.0, 0);
        assert_eq!(after(25, &[lost.clone(), fine(25)]), (true, None));
        let end = Some(Ended::Decided(StopReason::LastLook));
        assert_eq!(after(26, &[lost.clone(), fine(26)]), (false, end));
        assert_eq!(after(1, &[lost]), (false, Some(Ended::Missing)));
    }

    #[test]
    fn unavailable_and_ignored_cases_are_not_gated() {
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
        // Perhaps unsupported in only one arm, which would be a change: undecided.
        let unsupported = away(CaseOutcome::Unsupported("it loses chunked bodies".into()));
        let run = samples::run("r", &[unsupported, fine]);
        let undecided = |outcome: &Outcome| outcome.gated && outcome.undecided && outcome.case.contains("/a/");
        assert!(policy(2).outcomes(&run).iter().any(undecided));
    }

    #[test]
    fn under_versus_only_cases_that_both_servers_lack_are_not_gated() {
        let away = |server| case(server, &CaseOutcome::NotAvailable("no apache2 here".into()), 0, 1.0, 0);
        let there = |server| case(server, &CaseOutcome::Measured, 26, 1.0, 0);
        let judged = Judged {
            pairing: Pairing::Versus("base".into()),
            ..judged()
        };
        let gated = |cases: [Value; 2]| {
            judged
                .series(&samples::run("r", &cases), &judged.family(1))
                .iter()
                .any(|series| series.role.is_gated())
        };
        assert!(gated([away("a"), there("base")]) && gated([there("a"), away("base")]));
        assert!(!gated([away("a"), away("base")]));
    }

    #[test]
    fn an_early_regression_with_too_many_repeats_does_not_end_the_run() {
        let slower = |blocks, disturbed| [case("a", &CaseOutcome::Measured, blocks, 2.0, disturbed)];
        let certain = Some(Ended::Decided(StopReason::Regression));
        assert_eq!(after(13, &slower(13, 3)), (false, certain));
        assert_eq!(after(14, &slower(14, 4)), (true, None));
        assert_eq!(after(16, &slower(16, 4)), (false, certain));
        assert_eq!(after(36, &slower(36, 12)), (false, Some(Ended::Disturbed)));
    }

    /// Sixteen blocks were planned for twenty cases, of which one starts slower.
    fn out_of_time(blocks: u32) -> (Vec<Outcome>, Option<String>) {
        let mut cases: Vec<Value> = (1..20)
            .map(|index| case(&format!("s{index}"), &CaseOutcome::Measured, blocks, 1.0, 0))
            .collect();
        cases.push(case("slower", &CaseOutcome::Measured, blocks, 1.5, 0));
        let run = samples::run("r", &cases);
        let mut policy = policy(20);
        policy.ended = Some(Ended::Budget);
        (policy.outcomes(&run), policy.lost(&run))
    }

    #[test]
    fn blocks_after_the_last_look_in_time_decide() {
        let regressions = |outcomes: &[Outcome]| -> Vec<String> {
            let gated = outcomes.iter().filter(|outcome| outcome.gated);
            gated
                .filter(|outcome| outcome.verdict == crate::stats::Verdict::Regression)
                .map(|outcome| outcome.case.clone())
                .collect()
        };
        let (outcomes, lost) = out_of_time(15);
        assert_eq!(regressions(&outcomes).len(), 1, "{outcomes:?}");
        assert!(regressions(&outcomes)[0].contains("slower"));
        assert_eq!(lost, None);
        // No change is significant in ten blocks of that many cases, and the gate says so instead of passing.
        let (outcomes, lost) = out_of_time(10);
        assert_eq!(regressions(&outcomes), [] as [String; 0]);
        let lost = lost.expect("a metric that cannot fail");
        assert!(
            lost.contains("10 of 26 planned blocks") && lost.contains("start-up time"),
            "{lost}"
        );
    }

    #[test]
    fn a_gate_without_cases_or_metrics_is_an_error() {
        assert!(matches!(
            plan(&judged(), &[], Duration::from_secs(1), None),
            Err(PlanError::Nothing(_))
        ));
    }
}
