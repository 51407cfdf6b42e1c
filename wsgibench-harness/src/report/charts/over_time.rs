//! What happened second by second.

use std::collections::BTreeMap;

use super::{
    Axis, Chart, Kind, Point, Quantity,
    build::{Item, series_of, sorted, wide},
    slug,
};
use crate::{
    report::units::{float, float_len},
    store::record::{RoundRecord, ValidityLevel},
};

/// Most points of a line; longer rounds are averaged over several seconds.
const MOST: usize = 300;

/// Rate, mean response time, CPU and memory over the seconds of a round, for each parameter set whose rounds last at least
/// three seconds.
pub(super) fn charts(items: &[Item], scenario: &str) -> Vec<Chart> {
    let mut params: Vec<&str> = Vec::new();
    for item in items {
        if !params.contains(&item.case.param.as_str()) {
            params.push(&item.case.param);
        }
    }
    let mut charts = Vec::new();
    for param in params {
        let of_param: Vec<&Item> = items.iter().filter(|i| i.case.param == param).collect();
        for measure in MEASURES {
            charts.extend(chart(&of_param, measure, scenario, param));
        }
    }
    charts
}

struct Measure {
    id: &'static str,
    title: &'static str,
    axis: &'static str,
    quantity: Quantity,
    /// (second, value) of each sample of a round.
    samples: fn(&RoundRecord) -> Vec<(f64, f64)>,
}

const MEASURES: &[Measure] = &[
    Measure {
        id: "rate",
        title: "Answers over time",
        axis: "requests per second",
        quantity: Quantity::Rate,
        samples: |r| {
            let seconds = &r.load.series;
            // The last second is rarely whole: its count says less than a second's.
            let whole = seconds.iter().filter(|s| s.at + 1.0 <= r.load.seconds + 0.05);
            whole.map(|s| (s.at, float(s.done))).collect()
        },
    },
    Measure {
        id: "mean",
        title: "Mean response time over time",
        axis: "response time",
        quantity: Quantity::Nanoseconds,
        samples: |r| {
            let answered = r.load.series.iter().filter(|s| s.done > 0 && s.mean_ns > 0);
            answered.map(|s| (s.at, float(s.mean_ns))).collect()
        },
    },
    Measure {
        id: "cores",
        title: "Server CPU over time",
        axis: "cores in use",
        quantity: Quantity::Cores,
        samples: |r| r.server_series.iter().map(|s| (s.at, s.cpu_cores)).collect(),
    },
    Measure {
        id: "memory-time",
        title: "Server memory over time",
        axis: "memory",
        quantity: Quantity::Bytes,
        samples: |r| {
            let sampled = r.server_series.iter().filter(|s| s.memory_bytes > 0);
            sampled.map(|s| (s.at, float(s.memory_bytes))).collect()
        },
    },
];

fn chart(items: &[&Item], measure: &Measure, scenario: &str, param: &str) -> Option<Chart> {
    let mut lines = BTreeMap::new();
    for item in items {
        let points = mean_by_second(item, measure.samples);
        if points.len() >= 3 {
            series_of(&mut lines, item).points = points;
        }
    }
    if lines.is_empty() {
        return None;
    }
    let series = sorted(lines);
    let log = wide(series.iter().flat_map(|s| s.points.iter().map(|p| p.y)));
    Some(Chart {
        id: format!("{}-{}-{}", slug(scenario), slug(param), measure.id),
        title: format!("{}, {param}", measure.title),
        about: "Second by second of a round, the mean over all rounds.".into(),
        param: Some(param.to_owned()),
        kind: Kind::Lines,
        x: Axis::new("time into the round", Quantity::Seconds),
        y: Axis::new(measure.axis, measure.quantity).log(log),
        categories: Vec::new(),
        series,
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "seconds of a round: small and not negative"
)]
fn mean_by_second(item: &Item, samples: fn(&RoundRecord) -> Vec<(f64, f64)>) -> Vec<Point> {
    let rounds = item
        .case
        .launches
        .iter()
        .filter(|l| l.arm == crate::report::figures::CANDIDATE)
        .flat_map(|l| &l.rounds)
        .filter(|r| r.validity.level != ValidityLevel::Invalid);
    let all: Vec<(f64, f64)> = rounds.flat_map(samples).filter(|(at, _)| *at >= 0.0).collect();
    let longest = all.iter().fold(0.0_f64, |most, (at, _)| most.max(*at)) as usize + 1;
    let step = longest.div_ceil(MOST).max(1);
    let mut sums: BTreeMap<usize, (f64, usize)> = BTreeMap::new();
    for (at, value) in all {
        let sum = sums.entry(at.round() as usize / step).or_default();
        *sum = (sum.0 + value, sum.1 + 1);
    }
    sums.into_iter()
        .map(|(slot, (sum, count))| Point {
            x: float_len(slot * step),
            y: sum / float_len(count),
            why: item.why(),
            ..Point::default()
        })
        .collect()
}
