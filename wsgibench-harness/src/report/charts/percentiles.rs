//! Percentile curves up to 99.99 %, from the histograms.

use std::collections::BTreeMap;

use super::{
    Axis, Chart, Kind, Point, Quantity,
    build::{Item, by_param, lower_bound, series_of, sorted, wide},
    slug,
};
use crate::report::units::float;

/// Points of a curve per factor of ten.
const STEPS: u32 = 8;

/// Commonly quoted percentiles that lie between the steps: the median and the 95th.
const NAMED: [f64; 2] = [2.0, 20.0];

/// Returns one chart per parameter set.
pub(super) fn charts(items: &[Item], scenario: &str) -> Vec<Chart> {
    by_param(items)
        .into_iter()
        .filter_map(|(param, of_param)| chart(&of_param, scenario, param))
        .collect()
}

fn chart(items: &[&Item], scenario: &str, param: &str) -> Option<Chart> {
    let mut lines = BTreeMap::new();
    for item in items {
        let points = curve(item);
        if !points.is_empty() {
            series_of(&mut lines, item).points = points;
        }
    }
    if lines.is_empty() {
        return None;
    }
    let series = sorted(lines);
    let log = wide(series.iter().flat_map(|s| s.points.iter().map(|p| p.y)));
    Some(Chart {
        id: format!("{}-{}-percentiles", slug(scenario), slug(param)),
        title: format!("Percentiles of latency, {param}"),
        about: "All rounds of all launches together. A hollow point is a lower bound: it includes unanswered requests."
            .into(),
        param: Some(param.to_owned()),
        kind: Kind::Lines,
        x: Axis::new("percentile", Quantity::Percentile).log(true),
        y: Axis::new("response time", Quantity::Nanoseconds).log(log),
        categories: Vec::new(),
        marks: Vec::new(),
        series,
    })
}

/// Returns the quantiles of a curve, from 0.25 to at most 0.9999, as far as the number of samples supports. Below 0.25 lie
/// requests that had just been sent when the round ended, recorded with a wait of microseconds.
fn curve(item: &Item) -> Vec<Point> {
    let response = &item.figures.response;
    let samples = float(response.histogram.len());
    let mut inverses: Vec<f64> = (1..=4 * STEPS)
        .map(|step| 10_f64.powf(f64::from(step) / f64::from(STEPS)))
        .chain(NAMED)
        .collect();
    inverses.sort_by(f64::total_cmp);
    inverses.retain(|inverse| *inverse <= samples);
    let quantiles: Vec<f64> = inverses.iter().map(|x| 1.0 - 1.0 / x).collect();
    inverses
        .into_iter()
        .zip(response.quantiles(&quantiles))
        .map(|(x, quantile)| Point {
            x,
            y: float(quantile.ns.max(1)),
            why: lower_bound(quantile).or_else(|| item.why()),
            ..Point::default()
        })
        .collect()
}
