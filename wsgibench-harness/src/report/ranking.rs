//! Rankings: one per scenario, parameter set and variant.

use super::figures::Figures;
use crate::{
    declare::Variant,
    load::Model,
    stats::{Contender, Metric, Pairing, rank},
    store::record::{CaseRecord, RunRecord, ServerRecord},
};

/// The ranked servers of one scenario and parameter set.
#[derive(Clone, Debug)]
pub struct Ranking {
    /// Scenario.
    pub scenario: String,
    /// Parameter set.
    pub param: String,
    /// Variant: tuned and default configurations are ranked separately.
    pub variant: Variant,
    /// The deciding metric: throughput in a closed loop, p99 in an open loop.
    pub by: Metric,
    /// Ranked cases, best first.
    pub rows: Vec<Row>,
    /// Indices into the run's cases of those without a rank.
    pub unranked: Vec<usize>,
}

/// An entry of a ranking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Index into the run's cases.
    pub case: usize,
    /// The best possible rank.
    pub best: usize,
    /// The worst possible rank; ranks overlap where servers do not differ significantly.
    pub worst: usize,
}

impl Row {
    /// Formats `2`, or `1–3` if the rank is not determined exactly.
    #[must_use]
    pub fn place(&self) -> String {
        if self.best == self.worst {
            self.best.to_string()
        } else {
            format!("{}–{}", self.best, self.worst)
        }
    }
}

/// Returns the resolved server of a case.
#[must_use]
pub fn server_of<'a>(run: &'a RunRecord, case: &CaseRecord) -> Option<&'a ServerRecord> {
    run.servers.iter().find(|s| s.spec.name == case.server)
}

/// Ranks all cases of a run in order of declaration; `figures` holds the figures of each case in the order of the run's
/// cases.
#[must_use]
pub fn rankings(run: &RunRecord, figures: &[Figures]) -> Vec<Ranking> {
    let mut rankings: Vec<Ranking> = Vec::new();
    let mut fields: Vec<Vec<usize>> = Vec::new();
    for (index, case) in run.cases.iter().enumerate() {
        // Cases with faults are not ranked; their losses are reported with the case.
        if super::faults::has(case) {
            continue;
        }
        let variant = server_of(run, case).map_or_else(Variant::default, |s| s.spec.variant);
        let same = |r: &Ranking| r.scenario == case.scenario && r.param == case.param && r.variant == variant;
        let place = rankings.iter().position(same).unwrap_or_else(|| {
            rankings.push(Ranking {
                scenario: case.scenario.clone(),
                param: case.param.clone(),
                variant,
                by: match case.load.model {
                    Model::Closed { .. } => Metric::Throughput,
                    Model::Open { .. } | Model::Users { .. } => Metric::P99,
                },
                rows: Vec::new(),
                unranked: Vec::new(),
            });
            fields.push(Vec::new());
            rankings.len() - 1
        });
        let by = rankings[place].by;
        if figures[index].ranked() && figures[index].metrics.contains_key(&by) {
            fields[place].push(index);
        } else {
            rankings[place].unranked.push(index);
        }
    }
    for (ranking, field) in rankings.iter_mut().zip(fields) {
        ranking.rows = places(&field, figures, ranking.by);
    }
    rankings
}

fn places(field: &[usize], figures: &[Figures], by: Metric) -> Vec<Row> {
    let mut launches: Vec<Vec<(u32, f64)>> = field.iter().map(|&i| figures[i].launches[&by].clone()).collect();
    for one in &mut launches {
        one.sort_by_key(|(block, _)| *block);
    }
    let blocks = |one: &Vec<(u32, f64)>| one.iter().map(|(block, _)| *block).collect::<Vec<_>>();
    // Blocks cancel shared effects only if all servers ran in the same blocks, once each.
    let shared = launches.windows(2).all(|pair| blocks(&pair[0]) == blocks(&pair[1]))
        && launches.iter().all(|one| one.windows(2).all(|w| w[0].0 != w[1].0));
    let contenders: Vec<Contender> = field
        .iter()
        .zip(&launches)
        .map(|(index, one)| Contender {
            name: index.to_string(),
            launches: one.iter().map(|(_, value)| *value).collect(),
        })
        .collect();
    let pairing = if shared { Pairing::Blocks } else { Pairing::Independent };
    rank(&contenders, by.direction(), pairing)
        .into_iter()
        .filter_map(|place| {
            Some(Row {
                case: place.name.parse().ok()?,
                best: place.best,
                worst: place.worst,
            })
        })
        .collect()
}
