//! Timelines of the load around a fault, in tenths of a second, with the moment of the fault marked.

use std::collections::BTreeMap;

use super::{
    Axis, Chart, Kind, Mark, Point, Quantity,
    build::{Item, by_param, items, series_of, sorted},
    over_time, slug,
};
use crate::{
    report::{
        faults,
        figures::Figures,
        intervals,
        range::{self, LaunchRange},
        units::float_len,
    },
    store::record::{RunRecord, Sample},
};

/// Finest resolution, tenths of a second: the resolution at which recovery is detected.
const FINEST: usize = 1;
/// Maximum points of a line; longer rounds use longer intervals.
const MOST: usize = 300;
/// Maximum suspect points of a line that state their reason.
const NOTED: usize = 16;
/// Metrics over time that the timeline shows at a finer resolution.
const SHOWN_HERE: [&str; 2] = ["rate", "errors-time"];

/// Returns the charts of a scenario's cases with faults: responses and losses around each fault, then the server's resource
/// usage. Cases without faults are drawn by [`of_scenario`](super::of_scenario).
#[must_use]
pub fn of_faults(run: &RunRecord, figures: &[Figures], scenario: &str) -> Vec<Chart> {
    let items = items(run, figures, scenario, faults::has);
    let seconds = over_time::charts(&items, scenario, intervals::wanted(&run.profile));
    let mut charts = Vec::new();
    for (param, of_param) in by_param(&items) {
        let marks = marks(&of_param);
        let fine = timeline(&of_param, scenario, param);
        let shown: &[&str] = if fine.is_empty() { &[] } else { &SHOWN_HERE };
        let coarse = seconds.iter().filter(|chart| {
            let repeated = shown.iter().any(|id| chart.id.ends_with(&format!("-{id}")));
            chart.param.as_deref() == Some(param) && !repeated
        });
        let all: Vec<Chart> = fine.into_iter().chain(coarse.cloned()).collect();
        charts.extend(all.into_iter().map(|mut chart| {
            // Servers may declare the same parameter set with and without faults.
            chart.id = format!("fault-{}", chart.id);
            chart.about.push_str(&marks_text(&marks));
            chart.marks.clone_from(&marks);
            chart
        }));
    }
    charts
}

/// Returns the moments of the injected faults: the median over all launches, since injection times vary slightly.
fn marks(items: &[&Item]) -> Vec<Mark> {
    let mut found: Vec<(String, Vec<f64>)> = Vec::new();
    for round in items.iter().flat_map(|item| item.case.candidate_rounds()) {
        for (index, fault) in round.faults.iter().enumerate().filter(|(_, fault)| faults::done(fault)) {
            if found.len() <= index {
                found.resize_with(index + 1, || (String::new(), Vec::new()));
            }
            found[index].0.clone_from(&fault.action);
            found[index].1.push(fault.at_seconds);
        }
    }
    found
        .into_iter()
        .filter_map(|(text, moments)| {
            let x = LaunchRange::of(moments.into_iter())?.median;
            Some(Mark { x, text })
        })
        .collect()
}

fn marks_text(marks: &[Mark]) -> String {
    let each: Vec<String> = marks
        .iter()
        .map(|mark| format!("{} at {}", mark.text, range::seconds(mark.x)))
        .collect();
    if each.is_empty() {
        return String::new();
    }
    format!(" Marked: {}.", each.join(", "))
}

fn timeline(items: &[&Item], scenario: &str, param: &str) -> Vec<Chart> {
    let longest = items
        .iter()
        .flat_map(|item| item.case.candidate_rounds())
        .map(|round| round.pulses.len());
    let width = longest.max().unwrap_or(0).div_ceil(MOST).max(FINEST);
    let mut answers = BTreeMap::new();
    let mut losses = BTreeMap::new();
    for item in items {
        let (done, errors) = line(item, width);
        // A single dot over time shows no trend.
        if done.len() >= 2 {
            series_of(&mut answers, item).points = done;
            series_of(&mut losses, item).points = errors;
        }
    }
    let chart = |id: &str, title: &str, axis: &str, series| Chart {
        id: format!("{}-{}-{id}", slug(scenario), slug(param)),
        title: format!("{title}, {param}"),
        about: format!(
            "Intervals of {} of a round, plotted at their start; mean over launches.",
            range::seconds(float_len(width) / 10.0)
        ),
        param: Some(param.to_owned()),
        kind: Kind::Lines,
        x: Axis::new("time into the round", Quantity::Seconds),
        y: Axis::new(axis, Quantity::Rate),
        categories: Vec::new(),
        marks: Vec::new(),
        series: sorted(series),
    };
    let mut charts = Vec::new();
    if !answers.is_empty() {
        charts.push(chart(
            "answers",
            "Responses around the fault",
            "responses per second",
            answers,
        ));
    }
    if losses.values().any(|s| s.points.iter().any(|p| p.y > 0.0)) {
        charts.push(chart(
            "losses",
            "Requests lost around the fault",
            "requests lost per second",
            losses,
        ));
    }
    charts
}

/// Returns responses and losses per second in each interval of `width` tenths, averaged over the launches that lasted that
/// long.
fn line(item: &Item, width: usize) -> (Vec<Point>, Vec<Point>) {
    let mut sums: Vec<(f64, f64, f64)> = Vec::new();
    for round in item.case.candidate_rounds() {
        for (index, (done, errors)) in pieces(&round.pulses, float_len(width) / 10.0).into_iter().enumerate() {
            if sums.len() <= index {
                sums.resize(index + 1, (0.0, 0.0, 0.0));
            }
            let sum = &mut sums[index];
            *sum = (sum.0 + done, sum.1 + errors, sum.2 + 1.0);
        }
    }
    // A line of nothing but hollow points would be hard to read.
    let apart = sums.len().div_ceil(NOTED);
    let point = |index: usize, y: f64| Point {
        x: float_len(index * width) / 10.0,
        y,
        why: item.why().filter(|_| index.is_multiple_of(apart)),
        ..Point::default()
    };
    sums.into_iter()
        .enumerate()
        .map(|(index, (done, errors, count))| (point(index, done / count), point(index, errors / count)))
        .unzip()
}

/// Returns responses and losses per second in each complete interval of `width` seconds.
fn pieces(pulses: &[Sample], width: f64) -> Vec<(f64, f64)> {
    let Some(last) = pulses.last() else { return Vec::new() };
    let mut found = Vec::new();
    let mut from = counts(pulses, 0.0);
    loop {
        let end = float_len(found.len() + 1) * width;
        if end > last.at + 1e-9 {
            return found;
        }
        let to = counts(pulses, end);
        found.push(((to.0 - from.0) / width, (to.1 - from.1) / width));
        from = to;
    }
}

/// Interpolates the counts at a moment linearly between the neighbouring samples.
fn counts(pulses: &[Sample], at: f64) -> (f64, f64) {
    use crate::report::units::float;
    let after = pulses.partition_point(|pulse| pulse.at < at);
    let before = pulses.get(after.wrapping_sub(1)).copied().unwrap_or_default();
    let Some(next) = pulses.get(after) else {
        return (float(before.done), float(before.errors));
    };
    let share = if next.at > before.at {
        (at - before.at) / (next.at - before.at)
    } else {
        1.0
    };
    let between = |a: u64, b: u64| float(a) + share * float(b.saturating_sub(a));
    (between(before.done, next.done), between(before.errors, next.errors))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pulse(at: f64, done: u64, errors: u64) -> Sample {
        Sample {
            at,
            done,
            errors,
            retried: 0,
        }
    }

    #[test]
    fn intervals_are_independent_of_sampling_times() {
        let pulses = [
            pulse(0.0, 0, 0),
            pulse(0.12, 120, 0),
            pulse(0.24, 240, 0),
            pulse(0.40, 240, 8),
        ];
        let found = pieces(&pulses, 0.1);
        assert_eq!(found.len(), 4);
        assert!((found[0].0 - 1_000.0).abs() < 1e-6 && (found[1].0 - 1_000.0).abs() < 1e-6);
        assert!((found[2].0 - 400.0).abs() < 1e-6, "{found:?}");
        assert!(found[3].0.abs() < 1e-6 && (found[3].1 - 50.0).abs() < 1e-6, "{found:?}");
        let all: f64 = found.iter().map(|(done, _)| done * 0.1).sum();
        assert!((all - 240.0).abs() < 1e-6, "none is lost or counted twice");
    }

    #[test]
    fn without_samples_no_chart_is_drawn() {
        assert_eq!(pieces(&[], 0.1), []);
        assert_eq!(pieces(&[pulse(0.0, 0, 0)], 0.1), []);
    }
}
