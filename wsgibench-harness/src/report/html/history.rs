//! Several runs beside each other: each case over the runs that have it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    report::{figures::Figures, units},
    stats::{Estimate, Metric},
    store::record::RunRecord,
};

/// A table: one row a case and metric, one column a run.
#[derive(Clone, Debug, Serialize)]
pub(super) struct History {
    /// The runs, the oldest first.
    runs: Vec<Heading>,
    rows: Vec<Row>,
}

#[derive(Clone, Debug, Serialize)]
struct Heading {
    id: String,
    started: String,
    commit: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct Row {
    case: String,
    metric: &'static str,
    cells: Vec<Option<Cell>>,
    /// From the first run that has it to the last.
    change: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct Cell {
    text: String,
    interval: Option<String>,
    level: &'static str,
}

const METRICS: [Metric; 3] = [Metric::Throughput, Metric::P99, Metric::CpuPerRequest];

/// Of runs in order of time; `None` of a single one.
pub(super) fn of(runs: &[&RunRecord]) -> Option<History> {
    if runs.len() < 2 {
        return None;
    }
    let mut ids: Vec<&str> = Vec::new();
    let mut figures: Vec<BTreeMap<&str, Figures>> = Vec::new();
    for run in runs {
        for case in &run.cases {
            if !ids.contains(&case.id.as_str()) {
                ids.push(&case.id);
            }
        }
        figures.push(run.cases.iter().map(|c| (c.id.as_str(), Figures::of(c))).collect());
    }
    let rows = ids
        .into_iter()
        .flat_map(|id| METRICS.into_iter().map(move |metric| (id, metric)))
        .map(|(id, metric)| row(id, metric, &figures))
        .filter(|row| row.cells.iter().any(Option::is_some))
        .collect();
    let headings = runs.iter().map(|run| Heading {
        id: run.id.clone(),
        started: run.started.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        commit: run.environment.commit.clone(),
    });
    Some(History {
        runs: headings.collect(),
        rows,
    })
}

fn row(id: &str, metric: Metric, runs: &[BTreeMap<&str, Figures>]) -> Row {
    let estimates: Vec<Option<(Estimate, &Figures)>> = runs
        .iter()
        .map(|run| {
            let figures = run.get(id).filter(|f| f.ranked())?;
            Some((figures.metrics.get(&metric)?.mean, figures))
        })
        .collect();
    let known: Vec<f64> = estimates.iter().flatten().map(|(e, _)| e.point).collect();
    let change = match known.as_slice() {
        [first, .., last] if *first > 0.0 => Some(units::change(last / first - 1.0)),
        _ => None,
    };
    let cell = |(estimate, figures): (Estimate, &Figures)| Cell {
        text: units::metric(metric, estimate.point),
        interval: estimate
            .interval
            .map(|i| format!("{} to {}", units::metric(metric, i.low), units::metric(metric, i.high))),
        level: crate::report::words::level(figures.level),
    };
    Row {
        case: id.to_owned(),
        metric: metric.title(),
        cells: estimates.into_iter().map(|e| e.map(cell)).collect(),
        change,
    }
}
