//! Charts of the metrics over the time of a round.

use std::collections::BTreeMap;

use super::{
    Axis, Chart, Kind, Point, Quantity,
    build::{Item, by_param, series_of, sorted, wide},
    slug,
};
use crate::{
    load::Model,
    report::{
        intervals::{self, StatisticsInterval},
        units::{float, float_len},
    },
    store::record::ValidityLevel,
};

/// Maximum points of a line; longer rounds use longer intervals.
const MOST: usize = 300;

/// Returns charts of rate, latency, errors, users, CPU and memory over the time of a round, one set per parameter set.
/// `every` is the interval length in seconds.
pub(super) fn charts(items: &[Item], scenario: &str, every: Option<u32>) -> Vec<Chart> {
    let mut charts = Vec::new();
    for (param, of_param) in by_param(items) {
        let step = every.unwrap_or_else(|| step_for(&of_param));
        let lines: Vec<Vec<Slot>> = of_param.iter().map(|item| slots(item, step)).collect();
        for measure in MEASURES {
            charts.extend(chart(&of_param, &lines, step, measure, scenario, param));
        }
    }
    charts
}

/// Returns the weighted mean of each interval over all rounds.
#[derive(Clone, Debug, Default)]
struct Slot {
    rounds: Vec<StatisticsInterval>,
}

struct Measure {
    id: &'static str,
    title: &'static str,
    axis: &'static str,
    quantity: Quantity,
    /// The value in one interval of one round, with its weight.
    value: fn(&StatisticsInterval) -> Option<(f64, f64)>,
    /// Whether the metric has meaningful values under this load.
    of: fn(&Model) -> bool,
}

const MEASURES: &[Measure] = &[
    Measure {
        id: "rate",
        title: "Responses over time",
        axis: "requests per second",
        quantity: Quantity::Rate,
        value: |i| i.rate().map(|rate| (rate, i.seconds)),
        of: |_| true,
    },
    Measure {
        id: "mean-time",
        title: "Mean response time over time",
        axis: "response time",
        quantity: Quantity::Nanoseconds,
        value: |i| i.mean_ns.map(|mean| (mean, float(i.done))),
        of: |_| true,
    },
    Measure {
        id: "p99-time",
        title: "99th percentile over time",
        axis: "response time",
        quantity: Quantity::Nanoseconds,
        value: |i| i.p99_ns.map(|p99| (p99, 1.0)),
        of: |_| true,
    },
    Measure {
        id: "errors-time",
        title: "Errors over time",
        axis: "errors per second",
        quantity: Quantity::Rate,
        value: |i| i.rate().map(|_| (float(i.errors) / i.seconds, i.seconds)),
        of: |_| true,
    },
    Measure {
        id: "active-time",
        title: "Users over time",
        axis: "users active",
        quantity: Quantity::Count,
        value: |i| (i.seconds > 0.0).then(|| (float(i.active), 1.0)),
        of: |model| matches!(model, Model::Users { .. }),
    },
    Measure {
        id: "cores-time",
        title: "Server CPU over time",
        axis: "cores in use",
        quantity: Quantity::Cores,
        value: |i| i.cores.map(|cores| (cores, 1.0)),
        of: |_| true,
    },
    Measure {
        id: "memory-time",
        title: "Server memory over time",
        axis: "memory",
        quantity: Quantity::Bytes,
        value: |i| i.memory.map(|memory| (memory, 1.0)),
        of: |_| true,
    },
    Measure {
        id: "queue-time",
        title: "Accept queue over time",
        axis: "connections not accepted",
        quantity: Quantity::Count,
        value: |i| i.queue.map(|depth| (depth, 1.0)),
        of: |_| true,
    },
];

fn chart(
    items: &[&Item],
    lines: &[Vec<Slot>],
    step: u32,
    measure: &Measure,
    scenario: &str,
    param: &str,
) -> Option<Chart> {
    let mut series = BTreeMap::new();
    for (item, slots) in items.iter().zip(lines) {
        if !(measure.of)(&item.case.load.model) {
            continue;
        }
        let points = points(item, slots, step, measure.value);
        // A single dot over time shows no trend.
        if points.len() >= 2 {
            series_of(&mut series, item).points = points;
        }
    }
    let series = sorted(series);
    let values = || series.iter().flat_map(|s| s.points.iter().map(|p| p.y));
    // Less than one connection at any time is no queue.
    let nothing_happened = match measure.id {
        "errors-time" => values().all(|y| y <= 0.0),
        "queue-time" => values().all(|y| y < 1.0),
        _ => false,
    };
    if series.is_empty() || nothing_happened {
        return None;
    }
    let log = wide(values());
    let length = if step == 1 {
        "Seconds of a round".to_owned()
    } else {
        format!("Intervals of {step} s of a round, plotted at their start")
    };
    Some(Chart {
        id: format!("{}-{}-{}", slug(scenario), slug(param), measure.id),
        title: format!("{}, {param}", measure.title),
        about: format!("{length}; mean over all rounds."),
        param: Some(param.to_owned()),
        kind: Kind::Lines,
        x: Axis::new("time into the round", Quantity::Seconds),
        y: Axis::new(measure.axis, measure.quantity).log(log),
        categories: Vec::new(),
        marks: Vec::new(),
        series,
    })
}

/// Chooses the shortest interval that keeps a line within [`MOST`] points.
fn step_for(items: &[&Item]) -> u32 {
    let seconds = items
        .iter()
        .flat_map(|i| &i.case.launches)
        .flat_map(|l| &l.rounds)
        .map(|r| r.load.series.len().max(r.server_series.len()));
    let longest = seconds.max().unwrap_or(0);
    u32::try_from(longest.div_ceil(MOST)).unwrap_or(u32::MAX).max(1)
}

fn slots(item: &Item, step: u32) -> Vec<Slot> {
    let rounds = item
        .case
        .candidate_rounds()
        .filter(|r| r.validity.level != ValidityLevel::Invalid);
    let mut slots: Vec<Slot> = Vec::new();
    for round in rounds {
        for (index, interval) in intervals::of_round(round, step).into_iter().enumerate() {
            if slots.len() <= index {
                slots.resize_with(index + 1, Slot::default);
            }
            slots[index].rounds.push(interval);
        }
    }
    slots
}

fn points(item: &Item, slots: &[Slot], step: u32, value: fn(&StatisticsInterval) -> Option<(f64, f64)>) -> Vec<Point> {
    let mut points = Vec::new();
    for (index, slot) in slots.iter().enumerate() {
        let (sum, weight) = slot
            .rounds
            .iter()
            .filter_map(value)
            .fold((0.0, 0.0), |(sum, all), (value, weight)| {
                (sum + value * weight, all + weight)
            });
        if weight > 0.0 {
            points.push(Point {
                x: float_len(index) * f64::from(step),
                y: sum / weight,
                why: item.why(),
                ..Point::default()
            });
        }
    }
    points
}
