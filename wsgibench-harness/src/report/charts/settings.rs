//! Metrics over a parameter of the server.

use super::{
    Axis, Chart, Kind, Quantity, Series,
    build::{Item, MEASURES, Measure, by_param, measured, wide},
    slug,
};
use crate::{
    declare::Setting,
    report::ranking,
    store::record::{CaseRecord, RunRecord},
};

/// Measures drawn over a parameter of the server: those by which a setting is chosen.
const DRAWN: [&str; 5] = ["throughput", "p99", "cpu", "memory", "error-share"];

/// Returns the charts of each server with parameters, for each parameter set of the scenario: the parameter with the most
/// numbers along x, and one line for each combination of the others.
pub(super) fn charts(items: &[Item], scenario: &str, servers: usize) -> Vec<Chart> {
    let groups = by_param(items);
    let several = groups.len() > 1;
    // The page has one legend for all its lines: each name has one colour, which none of the run's `servers` has.
    let mut names: Vec<String> = Vec::new();
    let mut charts = Vec::new();
    for measure in MEASURES.iter().filter(|measure| DRAWN.contains(&measure.id)) {
        for (param, group) in &groups {
            for function in functions(group) {
                let variants: Vec<&Item> = group
                    .iter()
                    .filter(|item| item.setting.is_some_and(|setting| setting.function == function))
                    .copied()
                    .collect();
                charts.extend(chart(&variants, measure, function).map(|mut chart| {
                    let id = format!("{scenario}/{function}/{param}");
                    chart.id = format!("{}-by-setting-{}", slug(&id), measure.id);
                    chart.param = several.then(|| (*param).to_owned());
                    for line in &mut chart.series {
                        let known = names.iter().position(|name| *name == line.name);
                        line.color = servers + known.unwrap_or(names.len());
                        if known.is_none() {
                            names.push(line.name.clone());
                        }
                    }
                    chart
                }));
            }
        }
    }
    charts
}

/// Returns the servers with parameters, in order.
fn functions<'a>(items: &[&Item<'a>]) -> Vec<&'a str> {
    let mut functions = Vec::new();
    for setting in items.iter().filter_map(|item| item.setting) {
        if !functions.contains(&setting.function.as_str()) {
            functions.push(setting.function.as_str());
        }
    }
    functions
}

fn chart(variants: &[&Item], measure: &Measure, function: &str) -> Option<Chart> {
    let settings: Vec<&Setting> = variants.iter().filter_map(|item| item.setting).collect();
    let x = axis(&settings)?;
    let mut series: Vec<Series> = Vec::new();
    for (item, mut point) in measured(variants.iter().copied(), measure) {
        let setting = item.setting?;
        point.x = number(setting, x)?;
        let name = rest(setting, x);
        let name = format!("{function} {name}").trim_end().to_owned();
        match series.iter_mut().find(|line| line.name == name) {
            Some(line) => line.points.push(point),
            None => series.push(Series {
                name,
                color: 0,
                points: vec![point],
            }),
        }
    }
    for line in &mut series {
        line.points.sort_by(|a, b| a.x.total_cmp(&b.x));
    }
    let points = || series.iter().flat_map(|line| &line.points);
    // A chart of zeros adds nothing.
    if points().next().is_none() || (measure.quantity == Quantity::Share && points().all(|point| point.y <= 0.0)) {
        return None;
    }
    let numbers = points().map(|point| point.x);
    Some(Chart {
        id: String::new(),
        title: format!("{} by {x} of {function}", measure.title),
        about: "One line for each combination of the other parameters; the band is the 95 % confidence interval over launches.".into(),
        param: None,
        kind: Kind::Lines,
        x: Axis::new(x, Quantity::Count).log(wide(numbers)),
        y: Axis::new(measure.axis, measure.quantity).log(wide(points().map(|point| point.y))),
        categories: Vec::new(),
        marks: Vec::new(),
        series,
    })
}

/// Returns the name of the parameter with the most distinct numbers, at least two; the first of several.
fn axis<'a>(settings: &[&'a Setting]) -> Option<&'a str> {
    let names = settings.first()?.values.iter().map(|(name, _)| name.as_str());
    let mut best: Option<(&str, usize)> = None;
    for name in names {
        let Some(mut numbers) = settings
            .iter()
            .map(|setting| number(setting, name))
            .collect::<Option<Vec<f64>>>()
        else {
            continue;
        };
        numbers.sort_by(f64::total_cmp);
        numbers.dedup();
        if numbers.len() > best.map_or(1, |(_, most)| most) {
            best = Some((name, numbers.len()));
        }
    }
    best.map(|(name, _)| name)
}

fn number(setting: &Setting, name: &str) -> Option<f64> {
    let (_, value) = setting.values.iter().find(|(other, _)| other == name)?;
    value.parse().ok().filter(|number: &f64| number.is_finite())
}

/// Formats the values of the other parameters: `threads=4, kind=sync`.
fn rest(setting: &Setting, without: &str) -> String {
    let others = setting.values.iter().filter(|(name, _)| name != without);
    let texts: Vec<String> = others.map(|(name, value)| format!("{name}={value}")).collect();
    texts.join(", ")
}

/// Returns the parameters of a case's server.
pub(super) fn of_case<'a>(run: &'a RunRecord, case: &CaseRecord) -> Option<&'a Setting> {
    ranking::server_of(run, case)?.spec.setting.as_deref()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(values: &[(&str, &str)]) -> Setting {
        let values: Vec<_> = values.iter().map(|(name, value)| [*name, *value]).collect();
        serde_json::from_value(serde_json::json!({"function": "app", "values": values, "default": false})).unwrap()
    }

    #[test]
    fn parameter_with_the_most_numbers_is_the_axis() {
        let settings = [
            setting(&[("kind", "sync"), ("workers", "1"), ("threads", "1")]),
            setting(&[("kind", "sync"), ("workers", "2"), ("threads", "4")]),
            setting(&[("kind", "sync"), ("workers", "2"), ("threads", "16")]),
        ];
        let settings: Vec<&Setting> = settings.iter().collect();
        assert_eq!(axis(&settings), Some("threads"));
        assert_eq!(rest(settings[1], "threads"), "kind=sync, workers=2");
        assert_eq!(axis(&settings[..1]), None);
        let words = [setting(&[("kind", "sync")]), setting(&[("kind", "gthread")])];
        assert_eq!(axis(&words.iter().collect::<Vec<_>>()), None);
    }
}
