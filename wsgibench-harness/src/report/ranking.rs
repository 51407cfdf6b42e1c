//! Who is best at what: one ranking for each scenario, parameter set and variant.

use super::figures::Figures;
use crate::{
    declare::Variant,
    load::Model,
    stats::{Contender, Metric, Pairing, rank},
    store::record::{CaseRecord, RunRecord, ServerRecord},
};

/// The servers of one scenario and parameter set, as far as they may be compared.
#[derive(Clone, Debug)]
pub struct Ranking {
    /// Scenario.
    pub scenario: String,
    /// Parameter set.
    pub param: String,
    /// Tuned and default set-ups are never ranked together.
    pub variant: Variant,
    /// What decides: throughput in a closed loop, p99 where a schedule sets the rate.
    pub by: Metric,
    /// From best to worst.
    pub rows: Vec<Row>,
    /// Indices into the run's cases of those that cannot be ranked.
    pub unranked: Vec<usize>,
}

/// A place in a ranking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Index into the run's cases.
    pub case: usize,
    /// The best rank it may have.
    pub best: usize,
    /// The worst rank it may have; servers that cannot be told apart overlap.
    pub worst: usize,
}

impl Row {
    /// `2`, or `1–3` where it cannot be told apart from its neighbours.
    #[must_use]
    pub fn place(&self) -> String {
        if self.best == self.worst {
            self.best.to_string()
        } else {
            format!("{}–{}", self.best, self.worst)
        }
    }
}

/// The server of a case, as it was resolved.
#[must_use]
pub fn server_of<'a>(run: &'a RunRecord, case: &CaseRecord) -> Option<&'a ServerRecord> {
    run.servers.iter().find(|s| s.spec.name == case.server)
}

/// All rankings of a run, in order of declaration; `figures` holds those of each case, in the order of the run's cases.
#[must_use]
pub fn rankings(run: &RunRecord, figures: &[Figures]) -> Vec<Ranking> {
    let mut rankings: Vec<Ranking> = Vec::new();
    let mut fields: Vec<Vec<usize>> = Vec::new();
    for (index, case) in run.cases.iter().enumerate() {
        // A server in trouble has no speed to be ranked by; what it lost is told beside its case.
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
    // Blocks cancel what they share only if all stood in the same ones, each once.
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
