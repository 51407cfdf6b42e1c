//! History of each case over several runs, or over the runs of a baseline.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Baseline;
use crate::{
    report::{
        charts::{Axis, Chart, Kind, Point, Quantity, Series, slug, wide},
        display, faults,
        figures::Figures,
        units,
    },
    stats::{Estimate, Metric, summarise},
    store::{
        BaselineRun, Fingerprint,
        record::{RunRecord, ValidityLevel},
    },
};

/// A table with one row per case and metric and one column per run, and the same as charts.
#[derive(Clone, Debug, Serialize)]
pub(super) struct History {
    anchor: String,
    title: String,
    /// Differences in environment or settings.
    differences: Vec<String>,
    /// The runs, oldest first.
    runs: Vec<Heading>,
    pub(super) groups: Vec<Group>,
}

/// A scenario and parameter set.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Group {
    title: String,
    pub(super) charts: Vec<Chart>,
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
    /// Values from the first run with the case to the last.
    change: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct Cell {
    text: String,
    interval: Option<String>,
    level: &'static str,
}

/// The results of one run.
struct Column {
    heading: Heading,
    cases: BTreeMap<String, BTreeMap<Metric, Figure>>,
    /// Case ids in order of declaration.
    order: Vec<String>,
}

/// A figure with its validity issues.
struct Figure {
    estimate: Estimate,
    level: ValidityLevel,
    why: Option<String>,
}

/// A case of a group.
struct Member<'a> {
    id: &'a str,
    /// Index of its server, which selects its colour.
    color: usize,
    server: &'a str,
}

const METRICS: [Metric; 3] = [Metric::Throughput, Metric::P99, Metric::CpuPerRequest];

/// Returns the history of runs in chronological order; `None` for a single run.
pub(super) fn of_runs(runs: &[&RunRecord]) -> Option<History> {
    if runs.len() < 2 {
        return None;
    }
    let last = runs.last()?;
    let now = Fingerprint::of(last);
    let differences = runs
        .iter()
        .filter_map(|run| differs(&run.id, &Fingerprint::of(run), &now))
        .collect();
    let columns: Vec<Column> = runs.iter().map(|run| of_run(run)).collect();
    Some(build(
        "runs",
        format!("{} runs side by side", runs.len()),
        differences,
        &columns,
        last,
    ))
}

/// Returns the history of a baseline's runs, followed by this one.
pub(super) fn of_baseline(baseline: &Baseline, run: &RunRecord) -> Option<History> {
    let earlier: Vec<&BaselineRun> = baseline.runs.iter().filter(|kept| kept.run != run.id).collect();
    if earlier.is_empty() {
        return None;
    }
    let now = Fingerprint::of(run);
    let differences = earlier
        .iter()
        .filter_map(|kept| differs(&kept.run, &kept.fingerprint, &now))
        .collect();
    let mut columns: Vec<Column> = earlier.into_iter().map(of_kept).collect();
    columns.push(of_run(run));
    let title = format!("History of baseline {}", baseline.name);
    Some(build("baseline", title, differences, &columns, run))
}

fn differs(id: &str, then: &Fingerprint, now: &Fingerprint) -> Option<String> {
    let differences = then.differences(now);
    (!differences.is_empty()).then(|| format!("{id}: {}", differences.join("; ")))
}

fn of_run(run: &RunRecord) -> Column {
    // Cases with faults have no comparable speed.
    let whole = || run.cases.iter().filter(|case| !faults::has(case));
    let cases = whole().map(|case| {
        let figures = Figures::of(case);
        let why = (figures.level == ValidityLevel::Suspect).then(|| {
            let reasons: Vec<&str> = figures.findings.iter().map(|f| f.text.as_str()).collect();
            format!("suspect: {}", reasons.join("; "))
        });
        let ranked = figures.ranked();
        let metrics = METRICS.into_iter().filter(|_| ranked).filter_map(|metric| {
            let figure = Figure {
                estimate: figures.metrics.get(&metric)?.mean,
                level: figures.level,
                why: why.clone(),
            };
            Some((metric, figure))
        });
        (case.id.clone(), metrics.collect())
    });
    Column {
        heading: Heading {
            id: run.id.clone(),
            started: run.started.strftime("%Y-%m-%d %H:%M").to_string(),
            commit: run.environment.commit.clone(),
        },
        cases: cases.collect(),
        order: whole().map(|case| case.id.clone()).collect(),
    }
}

fn of_kept(kept: &BaselineRun) -> Column {
    let figure = |values: &Vec<f64>| {
        let launches: Vec<Vec<f64>> = values.iter().map(|v| vec![*v]).collect();
        let summary = summarise(&launches).ok()?;
        Some(Figure {
            estimate: summary.mean,
            level: ValidityLevel::Valid,
            why: None,
        })
    };
    let metrics = |known: &BTreeMap<String, Vec<f64>>| -> BTreeMap<Metric, Figure> {
        METRICS
            .into_iter()
            .filter_map(|metric| Some((metric, figure(known.get(metric.id())?)?)))
            .collect()
    };
    let started: Result<jiff::Timestamp, _> = kept.started.parse();
    Column {
        heading: Heading {
            id: kept.run.clone(),
            started: started.map_or_else(|_| kept.started.clone(), |at| at.strftime("%Y-%m-%d %H:%M").to_string()),
            commit: None,
        },
        cases: kept
            .cases
            .iter()
            .map(|(id, known)| (id.clone(), metrics(known)))
            .collect(),
        order: kept.cases.keys().cloned().collect(),
    }
}

fn build(anchor: &str, title: String, differences: Vec<String>, columns: &[Column], last: &RunRecord) -> History {
    // Cases in the order of the newest run, then those of older runs only.
    let mut ids: Vec<&str> = Vec::new();
    for id in columns.iter().rev().flat_map(|column| &column.order) {
        if !ids.contains(&id.as_str()) {
            ids.push(id);
        }
    }
    let mut names: Vec<&str> = last.servers.iter().map(|s| s.spec.name.as_str()).collect();
    let mut grouped: Vec<((&str, &str), Vec<Member>)> = Vec::new();
    for id in ids {
        let mut parts = id.splitn(3, '/');
        let (scenario, server, param) = (
            parts.next().unwrap_or(id),
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
        );
        let color = names.iter().position(|name| *name == server).unwrap_or_else(|| {
            names.push(server);
            names.len() - 1
        });
        match grouped.iter_mut().find(|(key, _)| *key == (scenario, param)) {
            Some((_, members)) => members.push(Member { id, color, server }),
            None => grouped.push(((scenario, param), vec![Member { id, color, server }])),
        }
    }
    let groups = grouped
        .into_iter()
        .map(|((scenario, param), members)| Group {
            title: format!("{scenario} {param}"),
            charts: METRICS
                .into_iter()
                .filter_map(|metric| {
                    let id = format!("{anchor}-{}-{}-{}", slug(scenario), slug(param), metric.id());
                    chart(id, metric, &format!("{scenario} {param}"), &members, columns)
                })
                .collect(),
            rows: members
                .iter()
                .flat_map(|member| METRICS.into_iter().map(|metric| row(member.id, metric, columns)))
                .filter(|row| row.cells.iter().any(Option::is_some))
                .collect(),
        })
        .filter(|group| !group.rows.is_empty())
        .collect();
    History {
        anchor: anchor.to_owned(),
        title,
        differences,
        runs: columns.iter().map(|column| column.heading.clone()).collect(),
        groups,
    }
}

fn chart(id: String, metric: Metric, of: &str, members: &[Member], columns: &[Column]) -> Option<Chart> {
    let (quantity, scale) = match metric {
        Metric::Throughput => (Quantity::Rate, 1.0),
        _ => (Quantity::Nanoseconds, 1e3),
    };
    let mut series: Vec<Series> = Vec::new();
    for member in members {
        let points: Vec<Point> = columns
            .iter()
            .enumerate()
            .filter_map(|(index, column)| {
                let figure = column.cases.get(member.id)?.get(&metric)?;
                Some(Point {
                    x: units::float_len(index),
                    y: figure.estimate.point * scale,
                    low: figure.estimate.interval.map(|i| i.low * scale),
                    high: figure.estimate.interval.map(|i| i.high * scale),
                    why: figure.why.clone(),
                })
            })
            .collect();
        if !points.is_empty() {
            series.push(Series {
                name: member.server.to_owned(),
                color: member.color,
                points,
            });
        }
    }
    if series.is_empty() {
        return None;
    }
    let log = wide(series.iter().flat_map(|s| s.points.iter().map(|p| p.y)));
    Some(Chart {
        id,
        title: format!("{} over the runs, {of}", capitalised(metric.title())),
        about: "Each run's 95 % confidence interval over its launches, without day-to-day variation.".into(),
        param: None,
        kind: Kind::Lines,
        marks: Vec::new(),
        x: Axis::new("run", Quantity::Count),
        y: Axis::new(metric.title(), quantity).log(log),
        categories: columns.iter().map(|column| column.heading.started.clone()).collect(),
        series,
    })
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn row(id: &str, metric: Metric, columns: &[Column]) -> Row {
    let figures: Vec<Option<&Figure>> = columns
        .iter()
        .map(|column| column.cases.get(id)?.get(&metric))
        .collect();
    let known: Vec<f64> = figures.iter().flatten().map(|f| f.estimate.point).collect();
    let change = match known.as_slice() {
        [first, .., last] if *first > 0.0 => Some(units::change(last / first - 1.0)),
        _ => None,
    };
    let cell = |figure: &Figure| Cell {
        text: units::metric(metric, figure.estimate.point),
        interval: figure
            .estimate
            .interval
            .map(|i| format!("{} to {}", units::metric(metric, i.low), units::metric(metric, i.high))),
        level: display::level(figure.level),
    };
    Row {
        case: id.to_owned(),
        metric: metric.title(),
        cells: figures.into_iter().map(|figure| figure.map(cell)).collect(),
        change,
    }
}
