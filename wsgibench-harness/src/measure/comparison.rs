//! Builds the paired series of a comparison from the launches of a run.

use std::collections::BTreeMap;

use crate::{
    stats::{
        Family, Series,
        disturbance::{Disturbance, Guard},
        metric::{Margin, Metric},
        sample::median,
    },
    store::{
        arms::{BASE, CANDIDATE},
        record::{CaseOutcome, CaseRecord, LaunchRecord, RoundRecord, RunRecord, ValidityLevel},
    },
};

/// The pairing of cases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pairing {
    /// The candidate arm of a case against its base arm.
    Arms,
    /// Each server's case against the named server's case of the same scenario and parameters.
    Versus(String),
}

/// A comparison: its pairs, the gated metrics and the margins.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The pairing of cases.
    pub pairing: Pairing,
    /// Metrics whose regression fails the gate.
    pub gated: Vec<Metric>,
    /// Margins that differ from the default.
    pub margins: BTreeMap<Metric, Margin>,
    /// Error rate of the whole family, 0 to 1.
    pub alpha: f64,
}

impl Judged {
    /// Returns the margin of a metric.
    #[must_use]
    pub fn margin(&self, metric: Metric) -> Margin {
        self.margins
            .get(&metric)
            .copied()
            .unwrap_or_else(|| metric.default_margin())
    }

    /// Returns the gated family of `cases` compared cases.
    #[must_use]
    pub fn family(&self, cases: usize) -> Family {
        Family::new(&self.gated, cases)
    }

    /// Returns the series of all compared cases and metrics with their roles in the family, without disturbed blocks.
    #[must_use]
    pub fn series(&self, run: &RunRecord, family: &Family) -> Vec<Series> {
        self.series_of(run, family, &Metric::ALL)
    }

    /// The same of chosen metrics.
    #[must_use]
    pub fn series_of(&self, run: &RunRecord, family: &Family, metrics: &[Metric]) -> Vec<Series> {
        let blocks = calm_blocks(run);
        let mut all = Vec::new();
        for case in run.cases.iter().filter(|case| !is_ignored(case)) {
            let Some((base, base_arm)) = self.base_of(run, case) else {
                continue;
            };
            // Skip cases that are not available in either arm. (A case that is missing in only one arm has failed.)
            if is_away(case) && is_away(base) {
                continue;
            }
            let believed = (believed(case, CANDIDATE), believed(base, base_arm));
            for &metric in metrics {
                let pairs: Vec<(f64, f64)> = blocks
                    .iter()
                    .map(|&block| {
                        (
                            value(base, base_arm, block, metric),
                            value(case, CANDIDATE, block, metric),
                        )
                    })
                    .collect();
                // Skip metrics that neither arm has (without accounting), except primary ones, whose absence a gate must report.
                let role = family.role(metric);
                if !role.is_primary() && pairs.iter().all(|(a, b)| a.is_nan() && b.is_nan()) {
                    continue;
                }
                all.push(Series {
                    case: case.id.clone(),
                    metric,
                    margin: self.margin(metric),
                    role,
                    validity_worse: believed.0 > believed.1,
                    blocks: pairs,
                });
            }
        }
        all
    }

    /// Returns the series to which another block can add values: without cases that failed or are not available in an arm.
    #[must_use]
    pub fn open_series(&self, run: &RunRecord, family: &Family) -> Vec<Series> {
        let goes_on = |case: &CaseRecord| matches!(case.outcome, CaseOutcome::Planned | CaseOutcome::Measured);
        let mut series = self.series(run, family);
        series.retain(|series| {
            let case = run.cases.iter().find(|case| case.id == series.case);
            let both = case.and_then(|case| Some((case, self.base_of(run, case)?.0)));
            both.is_some_and(|(case, base)| goes_on(case) && goes_on(base))
        });
        series
    }

    fn base_of<'a>(&self, run: &'a RunRecord, case: &'a CaseRecord) -> Option<(&'a CaseRecord, &'static str)> {
        match &self.pairing {
            Pairing::Arms => Some((case, BASE)),
            Pairing::Versus(server) if case.server == *server => None,
            Pairing::Versus(server) => run
                .cases
                .iter()
                .find(|c| c.scenario == case.scenario && c.param == case.param && c.server == *server && !is_ignored(c))
                .map(|c| (c, CANDIDATE)),
        }
    }
}

/// Returns whether the case is not available on this machine.
fn is_away(case: &CaseRecord) -> bool {
    matches!(case.outcome, CaseOutcome::NotAvailable(_))
}

/// Returns whether the case is ignored by its declaration, in both arms.
fn is_ignored(case: &CaseRecord) -> bool {
    matches!(case.outcome, CaseOutcome::Ignored(_))
}

/// Returns the numbers of the undisturbed blocks, in order.
#[must_use]
pub fn calm_blocks(run: &RunRecord) -> Vec<u32> {
    let references = references(run);
    // A run without any reference does not measure them.
    if references.values().all(Vec::is_empty) {
        return references.into_keys().collect();
    }
    let each: Vec<&[f64]> = references.values().map(Vec::as_slice).collect();
    let disturbed = Guard::default().disturbed(&each);
    references
        .keys()
        .zip(disturbed)
        .filter(|(_, disturbed)| !disturbed)
        .map(|(block, _)| *block)
        .collect()
}

/// Returns the number of disturbed blocks and the judgement of the run.
#[must_use]
pub fn disturbance(run: &RunRecord) -> Disturbance {
    let blocks = references(run).len();
    Guard::default().judge(blocks - calm_blocks(run).len(), blocks)
}

/// Returns the reference rates of each block.
fn references(run: &RunRecord) -> BTreeMap<u32, Vec<f64>> {
    let mut by_block: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    for launch in run.cases.iter().flat_map(|c| &c.launches) {
        by_block.entry(launch.block).or_default().extend(&launch.reference);
    }
    by_block
}

/// Returns a launch's value: the median of its rounds, or NaN if there is none.
fn value(case: &CaseRecord, arm: &str, block: u32, metric: Metric) -> f64 {
    case.of_arm(arm)
        .find(|l| l.block == block)
        .and_then(|launch| of_launch(launch, metric))
        .unwrap_or(f64::NAN)
}

/// Returns a launch's value in the metric's unit: the median of its rounds.
#[must_use]
pub fn of_launch(launch: &LaunchRecord, metric: Metric) -> Option<f64> {
    of_rounds(launch, metric, |_| true)
}

/// Returns a launch's value from the rounds that are usable.
#[must_use]
pub fn of_rounds(launch: &LaunchRecord, metric: Metric, usable: impl Fn(&RoundRecord) -> bool) -> Option<f64> {
    if metric == Metric::StartUpTime {
        return launch.start_up_seconds;
    }
    median_of_rounds(launch, usable, |round| round.metrics.get(metric.id()).copied())
}

/// Returns the median over the usable rounds of a launch that have the value.
pub(super) fn median_of_rounds(
    launch: &LaunchRecord,
    usable: impl Fn(&RoundRecord) -> bool,
    value: impl Fn(&RoundRecord) -> Option<f64>,
) -> Option<f64> {
    let usable = launch.rounds.iter().filter(|round| usable(round));
    let values: Vec<f64> = usable.filter_map(value).collect();
    (!values.is_empty()).then(|| median(&values))
}

/// Returns the validity that at least half of an arm's rounds have, so that one bad round in many has no effect.
fn believed(case: &CaseRecord, arm: &str) -> ValidityLevel {
    let rounds = case.of_arm(arm).flat_map(|l| &l.rounds);
    let mut levels: Vec<ValidityLevel> = rounds.map(|round| round.validity.level).collect();
    levels.sort_unstable();
    levels.get(levels.len() / 2).copied().unwrap_or_default()
}
