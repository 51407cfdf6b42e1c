//! Builds the series that the statistics judge: which figure of which launch is compared with which.

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
        record::{CaseOutcome, CaseRecord, LaunchRecord, RunRecord, ValidityLevel},
    },
};

/// Which cases are compared with which.
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
    /// Which cases are compared with which.
    pub pairing: Pairing,
    /// Metrics whose regression fails the gate.
    pub gated: Vec<Metric>,
    /// Margins that differ from the default.
    pub margins: BTreeMap<Metric, Margin>,
}

impl Judged {
    /// The margin of a metric.
    #[must_use]
    pub fn margin(&self, metric: Metric) -> Margin {
        self.margins
            .get(&metric)
            .copied()
            .unwrap_or_else(|| metric.default_margin())
    }

    /// The gated family of `cases` compared cases.
    #[must_use]
    pub fn family(&self, cases: usize) -> Family {
        Family::new(&self.gated, cases)
    }

    /// The series of all compared cases and metrics, with their parts in the family. Blocks that the reference load calls
    /// disturbed are left out.
    #[must_use]
    pub fn series(&self, run: &RunRecord, family: &Family) -> Vec<Series> {
        let blocks = calm_blocks(run);
        let mut all = Vec::new();
        for case in run.cases.iter().filter(|case| !is_ignored(case)) {
            let Some((base, base_arm)) = self.base_of(run, case) else {
                continue;
            };
            // There is nothing to compare where neither side can be had. (A case that one arm alone lacks has failed.)
            if is_away(case) && is_away(base) {
                continue;
            }
            let believed = (believed(case, CANDIDATE), believed(base, base_arm));
            for metric in Metric::ALL {
                let pairs: Vec<(f64, f64)> = blocks
                    .iter()
                    .map(|&block| {
                        (
                            value(base, base_arm, block, metric),
                            value(case, CANDIDATE, block, metric),
                        )
                    })
                    .collect();
                // A figure that neither arm has (no accounting there) cannot be compared. A gate that lacks a primary one has to
                // say so.
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

    /// The series to which another block can still add: without the cases that failed or are not available in an arm.
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

/// It cannot be had on this machine.
fn is_away(case: &CaseRecord) -> bool {
    matches!(case.outcome, CaseOutcome::NotAvailable(_))
}

/// Left out by its declaration, in both arms.
fn is_ignored(case: &CaseRecord) -> bool {
    matches!(case.outcome, CaseOutcome::Ignored(_))
}

/// Numbers of the blocks that count, in order.
#[must_use]
pub fn calm_blocks(run: &RunRecord) -> Vec<u32> {
    let references = references(run);
    // Without any reference in the whole run none was asked for.
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

/// How many blocks the reference load calls disturbed.
#[must_use]
pub fn disturbance(run: &RunRecord) -> Disturbance {
    let blocks = references(run).len();
    Guard::default().judge(blocks - calm_blocks(run).len(), blocks)
}

/// The reference rates of each block.
fn references(run: &RunRecord) -> BTreeMap<u32, Vec<f64>> {
    let mut by_block: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    for launch in run.cases.iter().flat_map(|c| &c.launches) {
        by_block.entry(launch.block).or_default().extend(&launch.reference);
    }
    by_block
}

/// A launch's figure: the median of its rounds. NaN where there is none.
fn value(case: &CaseRecord, arm: &str, block: u32, metric: Metric) -> f64 {
    case.of_arm(arm)
        .find(|l| l.block == block)
        .and_then(|launch| of_launch(launch, metric))
        .unwrap_or(f64::NAN)
}

/// A launch's figure in the metric's unit: the median of its rounds.
#[must_use]
pub fn of_launch(launch: &LaunchRecord, metric: Metric) -> Option<f64> {
    if metric == Metric::StartUpTime {
        return (launch.start_up_seconds > 0.0).then_some(launch.start_up_seconds);
    }
    let values: Vec<f64> = launch
        .rounds
        .iter()
        .filter_map(|round| round.metrics.get(metric.id()).copied())
        .collect();
    (!values.is_empty()).then(|| median(&values))
}

/// The validity that half of an arm's rounds have at least: one bad round in many makes an arm no less believable.
fn believed(case: &CaseRecord, arm: &str) -> ValidityLevel {
    let rounds = case.of_arm(arm).flat_map(|l| &l.rounds);
    let mut levels: Vec<ValidityLevel> = rounds.map(|round| round.validity.level).collect();
    levels.sort_unstable();
    levels.get(levels.len() / 2).copied().unwrap_or_default()
}
