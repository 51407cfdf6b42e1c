//! Builds the charts of one scenario.

use std::collections::BTreeMap;

use super::{Axis, Chart, Kind, Point, Quantity, Series, over_time, percentiles, requests, settings, slug};
use crate::{
    declare::Setting,
    load::{Model, Quantile},
    report::{display, faults, figures::Figures, intervals, units::float_len},
    stats::{Metric, Summary},
    store::record::{CaseRecord, RunRecord, ValidityLevel},
};

/// One case with its figures.
pub(super) struct Item<'a> {
    pub(super) case: &'a CaseRecord,
    pub(super) figures: &'a Figures,
    /// Index of the server in the run, which selects its colour.
    pub(super) color: usize,
    /// Parameters of its server, if that has parameters.
    pub(super) setting: Option<&'a Setting>,
}

impl Item<'_> {
    /// Returns the reason for drawing its points hollow: it is suspect.
    pub(super) fn why(&self) -> Option<String> {
        (self.figures.level == ValidityLevel::Suspect).then(|| {
            let reasons: Vec<&str> = self.figures.findings.iter().map(|f| f.text.as_str()).collect();
            format!("suspect: {}", reasons.join("; "))
        })
    }
}

/// Selects the wanted cases of a scenario that are valid enough to draw.
pub(super) fn items<'a>(
    run: &'a RunRecord,
    figures: &'a [Figures],
    scenario: &str,
    wanted: impl Fn(&CaseRecord) -> bool,
) -> Vec<Item<'a>> {
    run.cases
        .iter()
        .zip(figures)
        .filter(|(case, figures)| case.scenario == scenario && figures.ranked() && wanted(case))
        .map(|(case, figures)| Item {
            case,
            figures,
            color: run.servers.iter().position(|s| s.spec.name == case.server).unwrap_or(0),
            setting: settings::of_case(run, case),
        })
        .collect()
}

/// Groups the items by their scenario's parameters, in the order of the run.
pub(super) fn by_param<'a, 'b>(items: &'b [Item<'a>]) -> Vec<(&'b str, Vec<&'b Item<'a>>)> {
    let mut groups: Vec<(&str, Vec<&Item>)> = Vec::new();
    for item in items {
        match groups.iter_mut().find(|(param, _)| *param == item.case.param) {
            Some((_, group)) => group.push(item),
            None => groups.push((&item.case.param, vec![item])),
        }
    }
    groups
}

/// Returns all charts of a scenario in reading order. `figures` holds the figures of each case of the run. Cases with
/// faults are excluded: their [timelines](super::of_faults) are drawn instead.
#[must_use]
pub fn of_scenario(run: &RunRecord, figures: &[Figures], scenario: &str) -> Vec<Chart> {
    let items = items(run, figures, scenario, |case| !faults::has(case));
    let mut charts = Vec::new();
    for measure in MEASURES {
        charts.extend(against(&items, measure, scenario));
    }
    charts.extend(settings::charts(&items, scenario, run.servers.len()));
    charts.extend(launches(&items, scenario));
    charts.extend(errors(&items, scenario));
    charts.extend(percentiles::charts(&items, scenario));
    charts.extend(requests::charts(&items, scenario));
    charts.extend(over_time::charts(&items, scenario, intervals::wanted(&run.profile)));
    charts
}

/// A metric drawn against the parameter.
pub(super) struct Measure {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) axis: &'static str,
    pub(super) quantity: Quantity,
    /// Factor from the summary's unit to the chart's quantity.
    scale: f64,
    value: fn(&Figures) -> Option<&Summary>,
    /// Quantile, if the metric is a percentile: it may then be only a lower bound.
    quantile: Option<f64>,
}

/// Metrics drawn for every study: throughput, latency percentiles and resource usage.
pub(super) const MEASURES: &[Measure] = &[
    Measure {
        id: "throughput",
        title: "Throughput",
        axis: "requests per second",
        quantity: Quantity::Rate,
        scale: 1.0,
        value: |f| f.metrics.get(&Metric::Throughput),
        quantile: None,
    },
    Measure {
        id: "mean",
        title: "Mean latency",
        axis: "response time",
        quantity: Quantity::Nanoseconds,
        scale: 1.0,
        value: |f| f.mean_latency.as_ref(),
        quantile: None,
    },
    Measure {
        id: "p50",
        title: "Median latency",
        axis: "response time",
        quantity: Quantity::Nanoseconds,
        scale: 1e3,
        value: |f| f.metrics.get(&Metric::P50),
        quantile: Some(0.50),
    },
    Measure {
        id: "p99",
        title: "99th percentile of latency",
        axis: "response time",
        quantity: Quantity::Nanoseconds,
        scale: 1e3,
        value: |f| f.metrics.get(&Metric::P99),
        quantile: Some(0.99),
    },
    Measure {
        id: "cpu",
        title: "Server CPU per request",
        axis: "CPU time per request",
        quantity: Quantity::Nanoseconds,
        scale: 1e3,
        value: |f| f.metrics.get(&Metric::CpuPerRequest),
        quantile: None,
    },
    Measure {
        id: "cores",
        title: "Server CPU in use",
        axis: "cores in use",
        quantity: Quantity::Cores,
        scale: 1.0,
        value: |f| f.cores.as_ref(),
        quantile: None,
    },
    Measure {
        id: "memory",
        title: "Peak memory",
        axis: "memory",
        quantity: Quantity::Bytes,
        scale: 1.0,
        value: |f| f.metrics.get(&Metric::PeakMemory),
        quantile: None,
    },
    Measure {
        id: "error-share",
        title: "Errors",
        axis: "share of requests",
        quantity: Quantity::Share,
        scale: 1.0,
        value: |f| f.metrics.get(&Metric::ErrorShare),
        quantile: None,
    },
];

/// Returns the numeric parameter that distinguishes a scenario's cases, if there is one.
fn number(case: &CaseRecord) -> Option<f64> {
    match case.values.as_slice() {
        [(_, value)] => value.replace('_', "").parse().ok(),
        _ => None,
    }
}

/// Returns the reason for drawing a percentile hollow: it falls among requests that timed out.
pub(super) fn lower_bound(quantile: Quantile) -> Option<String> {
    quantile
        .at_least
        .then(|| "lower bound: some requests were unanswered when the round ended".to_owned())
}

/// Returns a point for each item that has the measure, with x still to be set.
pub(super) fn measured<'b, 'a: 'b>(
    items: impl Iterator<Item = &'b Item<'a>>,
    measure: &Measure,
) -> impl Iterator<Item = (&'b Item<'a>, Point)> {
    items.filter_map(|item| {
        let summary = (measure.value)(item.figures)?;
        let bound = measure
            .quantile
            .and_then(|q| lower_bound(item.figures.response.quantile(q)));
        Some((item, point(summary, measure.scale, bound.or_else(|| item.why()))))
    })
}

/// Draws a metric against the parameter: lines for a number with at least two values, dots with intervals otherwise.
fn against(items: &[Item], measure: &Measure, scenario: &str) -> Option<Chart> {
    let points: Vec<(&Item, Point)> = measured(items.iter(), measure).collect();
    // A chart of zeros adds nothing: the tables report that there were no errors.
    if points.is_empty() || (measure.quantity == Quantity::Share && points.iter().all(|(_, p)| p.y <= 0.0)) {
        return None;
    }
    let numbers: Option<Vec<f64>> = points.iter().map(|(item, _)| number(item.case)).collect();
    let mut distinct = numbers.clone().unwrap_or_default();
    distinct.sort_by(f64::total_cmp);
    distinct.dedup();
    let y = Axis::new(measure.axis, measure.quantity).log(wide(points.iter().map(|(_, p)| p.y)));
    if let (Some(numbers), true) = (numbers, distinct.len() > 1) {
        let mut lines: BTreeMap<usize, Series> = BTreeMap::new();
        for ((item, mut point), x) in points.into_iter().zip(numbers) {
            point.x = x;
            series_of(&mut lines, item).points.push(point);
        }
        let parameter = items.first().and_then(|i| i.case.values.first());
        let x = parameter.map_or("parameter", |(name, _)| name.as_str());
        return Some(Chart {
            id: format!("{}-{}", slug(scenario), measure.id),
            title: format!("{} by {x}", measure.title),
            about: "One line per server; the band is the 95 % confidence interval over launches.".into(),
            param: None,
            kind: Kind::Lines,
            x: Axis::new(x, Quantity::Count).log(distinct[0] > 0.0 && wide(distinct.iter().copied())),
            y,
            categories: Vec::new(),
            marks: Vec::new(),
            series: sorted(lines),
        });
    }
    let mut points = points;
    points.sort_by(|(_, a), (_, b)| best_first(measure.quantity, a.y, b.y));
    let mut categories = Vec::new();
    let mut dots: BTreeMap<usize, Series> = BTreeMap::new();
    for (item, mut point) in points {
        point.x = float_len(categories.len());
        categories.push(category(items, item));
        series_of(&mut dots, item).points.push(point);
    }
    Some(Chart {
        id: format!("{}-{}", slug(scenario), measure.id),
        title: measure.title.to_owned(),
        about: "Estimate and 95 % confidence interval over launches.".into(),
        param: None,
        kind: Kind::Intervals,
        x: Axis::new("case", Quantity::Count),
        y,
        categories,
        marks: Vec::new(),
        series: sorted(dots),
    })
}

/// Sorts values best first: descending for rates, ascending for everything else.
fn best_first(quantity: Quantity, a: f64, b: f64) -> std::cmp::Ordering {
    match quantity {
        Quantity::Rate => b.total_cmp(&a),
        _ => a.total_cmp(&b),
    }
}

pub(super) fn point(summary: &Summary, scale: f64, why: Option<String>) -> Point {
    Point {
        x: 0.0,
        y: summary.mean.point * scale,
        low: summary.mean.interval.map(|i| i.low * scale),
        high: summary.mean.interval.map(|i| i.high * scale),
        why,
    }
}

/// Draws each launch as a dot, to show the data behind the intervals.
fn launches(items: &[Item], scenario: &str) -> Option<Chart> {
    let scheduled = items.iter().any(|i| !matches!(i.case.load.model, Model::Closed { .. }));
    let (metric, quantity, scale, name) = if scheduled {
        (Metric::P99, Quantity::Nanoseconds, 1e3, "99th percentile of latency")
    } else {
        (Metric::Throughput, Quantity::Rate, 1.0, "requests per second")
    };
    let mut categories = Vec::new();
    let mut dots: BTreeMap<usize, Series> = BTreeMap::new();
    let mut measured: Vec<_> = items
        .iter()
        .filter_map(|item| {
            let launches = item.figures.launches.get(&metric)?;
            let values: Vec<f64> = launches.iter().map(|(_, value)| *value).collect();
            Some((item, launches.as_slice(), crate::stats::sample::median(&values)))
        })
        .collect();
    measured.sort_by(|(_, _, a), (_, _, b)| best_first(quantity, *a, *b));
    for (item, launches, _) in measured {
        let x = float_len(categories.len());
        categories.push(category(items, item));
        let series = series_of(&mut dots, item);
        series.points.extend(launches.iter().map(|(_, value)| Point {
            x,
            y: value * scale,
            why: item.why(),
            ..Point::default()
        }));
    }
    if categories.is_empty() {
        return None;
    }
    let log = wide(dots.values().flat_map(|s| s.points.iter().map(|p| p.y)));
    Some(Chart {
        id: format!("{}-launches", slug(scenario)),
        title: "Results by launch".into(),
        about: "Each dot is one launch (the median of its rounds), the unit of replication.".into(),
        param: None,
        kind: Kind::Dots,
        x: Axis::new("case", Quantity::Count),
        y: Axis::new(name, quantity).log(log),
        categories,
        marks: Vec::new(),
        series: sorted(dots),
    })
}

/// Draws errors by case and kind, as a share of completed requests, most frequent first.
fn errors(items: &[Item], scenario: &str) -> Option<Chart> {
    let mut shares: Vec<(&Item, String, f64)> = Vec::new();
    for item in items {
        let counts = &item.figures.counts;
        let ended = super::super::units::float(counts.done + counts.failed + counts.timed_out);
        for (kind, count) in item.figures.errors.iter().filter(|(_, count)| **count > 0) {
            let name = format!("{}: {}", category(items, item), display::error_kind(*kind));
            shares.push((item, name, super::super::units::float(*count) / ended.max(1.0)));
        }
    }
    shares.sort_by(|(_, _, a), (_, _, b)| b.total_cmp(a));
    if shares.is_empty() {
        return None;
    }
    let log = wide(shares.iter().map(|(_, _, share)| *share));
    let mut categories = Vec::new();
    let mut dots: BTreeMap<usize, Series> = BTreeMap::new();
    for (item, name, share) in shares {
        series_of(&mut dots, item).points.push(Point {
            x: float_len(categories.len()),
            y: share,
            why: item.why(),
            ..Point::default()
        });
        categories.push(name);
    }
    Some(Chart {
        id: format!("{}-errors", slug(scenario)),
        title: "Errors by kind".into(),
        about: "Share of the requests that failed or timed out; servers without errors are not shown.".into(),
        param: None,
        kind: Kind::Intervals,
        x: Axis::new("case and kind", Quantity::Count),
        y: Axis::new("share of requests", Quantity::Share).log(log),
        categories,
        marks: Vec::new(),
        series: sorted(dots),
    })
}

/// Returns a case's name within its scenario: the server, and the parameter where there are several.
fn category(items: &[Item], item: &Item) -> String {
    let only = items.iter().all(|i| i.case.param == item.case.param);
    if only {
        item.case.server.clone()
    } else {
        format!("{} {}", item.case.server, item.case.param)
    }
}

pub(super) fn series_of<'a>(all: &'a mut BTreeMap<usize, Series>, item: &Item) -> &'a mut Series {
    all.entry(item.color).or_insert_with(|| Series {
        name: item.case.server.clone(),
        color: item.color,
        points: Vec::new(),
    })
}

pub(super) fn sorted(series: BTreeMap<usize, Series>) -> Vec<Series> {
    let mut series: Vec<Series> = series.into_values().collect();
    for one in &mut series {
        one.points.sort_by(|a, b| a.x.total_cmp(&b.x));
    }
    series
}

/// Returns whether the values need a logarithmic axis to be readable.
pub(in crate::report) fn wide(values: impl Iterator<Item = f64>) -> bool {
    let (low, high) = values.fold((f64::INFINITY, 0.0_f64), |(low, high), v| (low.min(v), high.max(v)));
    low > 0.0 && high / low > 8.0
}
