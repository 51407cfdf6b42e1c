//! Latency of each request of a declared mix.

use std::collections::BTreeMap;

use super::{
    Axis, Chart, Kind, Point, Quantity,
    build::{Item, by_param, lower_bound, point, series_of, sorted, wide},
    slug,
};
use crate::report::{figures::RequestFigures, units::float_len};

/// Maximum number of charts of one parameter set; the table of requests has all of them.
const MOST: usize = 12;

/// Returns the 99th percentile of each request: a chart for each request, with one value for each server, or, for a single
/// server, one chart with one value for each request.
pub(super) fn charts(items: &[Item], scenario: &str) -> Vec<Chart> {
    let mut charts = Vec::new();
    for (param, of_param) in by_param(items) {
        let id = |index: usize| format!("{}-{}-request-{index}-p99", slug(scenario), slug(param));
        if let [only] = of_param.as_slice() {
            let values = only
                .figures
                .requests
                .iter()
                .map(|request| (*only, request, request.result.name.as_str()));
            charts.extend(chart(
                id(0),
                &format!("p99 of each request, {param}"),
                param,
                values.collect(),
            ));
            continue;
        }
        let mut names: Vec<&str> = Vec::new();
        for request in of_param.iter().flat_map(|item| &item.figures.requests) {
            if !names.contains(&request.result.name.as_str()) {
                names.push(&request.result.name);
            }
        }
        for (index, name) in names.into_iter().take(MOST).enumerate() {
            let values = of_param.iter().filter_map(|item| {
                let request = item
                    .figures
                    .requests
                    .iter()
                    .find(|request| request.result.name == name)?;
                Some((*item, request, item.case.server.as_str()))
            });
            charts.extend(chart(
                id(index),
                &format!("p99 of {name}, {param}"),
                param,
                values.collect(),
            ));
        }
    }
    charts
}

fn chart(id: String, title: &str, param: &str, values: Vec<(&Item, &RequestFigures, &str)>) -> Option<Chart> {
    let mut points: Vec<(&Item, Point, &str)> = values
        .into_iter()
        .filter_map(|(item, request, name)| {
            let bound = lower_bound(request.result.latency.quantile(0.99));
            let point = point(request.p99.as_ref()?, 1.0, bound.or_else(|| item.why()));
            Some((item, point, name))
        })
        .collect();
    points.sort_by(|(_, a, _), (_, b, _)| a.y.total_cmp(&b.y));
    if points.is_empty() {
        return None;
    }
    let log = wide(points.iter().map(|(_, point, _)| point.y));
    let mut dots = BTreeMap::new();
    let mut categories = Vec::new();
    for (item, mut point, name) in points {
        point.x = float_len(categories.len());
        categories.push(name.to_owned());
        series_of(&mut dots, item).points.push(point);
    }
    Some(Chart {
        id,
        title: title.to_owned(),
        about: "Estimate and 95 % confidence interval over launches.".into(),
        param: Some(param.to_owned()),
        kind: Kind::Intervals,
        x: Axis::new("server", Quantity::Count),
        y: Axis::new("response time", Quantity::Nanoseconds).log(log),
        categories,
        marks: Vec::new(),
        series: sorted(dots),
    })
}
