//! The data of the template, with all texts formatted.

use serde::Serialize;

use super::{
    Page,
    compared::{Compared, compared},
    conformance::{self, Conformance},
    counts, endurance,
    explain::{self, Explained},
    faults::{self, Group},
    history::{self, History},
    missing,
    servers::{Server, server},
    steps::{self, CaseSteps},
    table::{Table, numeric_column, text_column},
    waits,
};
use crate::{
    declare::Variant,
    report::{
        answers::{self, Answers},
        charts::{Chart, of_scenario, slug},
        comparison::Comparison,
        display, facts,
        figures::Figures,
        ranking::{Ranking, Row, rankings, server_of},
        thresholds, tuning, units,
    },
    stats::{Metric, Summary},
    store::record::{CaseRecord, RunRecord, ValidityLevel},
};

/// The whole page.
#[derive(Serialize)]
pub(super) struct View {
    id: String,
    answers: Answers,
    /// The ranking of each load in one line, if there are several.
    overview: Vec<LoadRanking>,
    started: String,
    interrupted: bool,
    profile: String,
    commit: Option<String>,
    sandbox: String,
    cases: usize,
    measured: usize,
    invalid: usize,
    scenarios: Vec<Scenario>,
    /// Number of cases with faults.
    faulty: usize,
    faults: Vec<Group>,
    counts: Vec<Table>,
    waits: Option<Table>,
    endurance: Vec<Table>,
    conformance: Option<Conformance>,
    footprint: Option<Table>,
    servers: Vec<Server>,
    tuning: Option<tuning::View>,
    thresholds: Vec<thresholds::Row>,
    thresholds_about: Option<String>,
    comparison: Option<Compared>,
    comparison_error: Option<String>,
    /// Profiled cases.
    explained: Vec<Explained>,
    explained_notes: Vec<String>,
    histories: Vec<History>,
    /// Notices on missing data.
    missing: Vec<String>,
    facts: Vec<(String, String)>,
    notices: Vec<(String, String)>,
}

#[derive(Serialize)]
struct Scenario {
    name: String,
    anchor: String,
    description: String,
    rankings: Vec<Ranked>,
    charts: Vec<Chart>,
    /// Charts of one parameter set, by parameter set.
    params: Vec<Param>,
    rows: Vec<CaseRow>,
    /// Requests of mixes, one row per server and request.
    requests: Option<Table>,
    /// Steps of cases that have any.
    steps: Vec<CaseSteps>,
}

#[derive(Serialize)]
struct Param {
    name: String,
    charts: Vec<Chart>,
}

/// The ranking of a load in one line.
#[derive(Serialize)]
struct LoadRanking {
    scenario: String,
    anchor: String,
    title: String,
    load: String,
    /// Its first servers, best first.
    places: Vec<Short>,
    /// Number of further ranked servers.
    more: usize,
    unranked: usize,
}

#[derive(Serialize)]
struct Short {
    rank: String,
    server: String,
    level: &'static str,
    figure: String,
    /// Whether no other server is significantly better.
    leads: bool,
}

#[derive(Serialize)]
struct Ranked {
    title: String,
    load: String,
    by: &'static str,
    other: &'static str,
    rows: Vec<Place>,
    tied: bool,
    /// Whether a row is not valid.
    doubtful: bool,
    unranked: Vec<(String, String)>,
}

#[derive(Serialize)]
struct Place {
    rank: String,
    server: String,
    /// HTML id of the server's description; empty without one.
    anchor: String,
    case: String,
    level: &'static str,
    reasons: String,
    notes: String,
    figure: String,
    interval: Option<String>,
    /// The point and the ends of its interval, in percent of the highest.
    at: f64,
    low: f64,
    high: f64,
    other: String,
    cpu: String,
    memory: String,
    errors: String,
}

#[derive(Serialize)]
struct CaseRow {
    id: String,
    level: &'static str,
    why: String,
    launches: usize,
    rounds: usize,
    throughput: String,
    p50: String,
    p99: String,
    max: String,
    cpu: String,
    memory: String,
    start_up: String,
    errors: String,
}

impl View {
    pub(super) fn of(run: &RunRecord, runs: &[&RunRecord], page: &Page) -> Self {
        let figures: Vec<Figures> = run.cases.iter().map(Figures::of).collect();
        let measured = || {
            run.cases
                .iter()
                .zip(&figures)
                .filter(|(c, _)| display::unmeasured(&c.outcome).is_none())
        };
        let count = |level: ValidityLevel| measured().filter(|(_, f)| f.level == level).count();
        let read = Comparison::of(run);
        let known = read.as_ref().and_then(|read| read.as_ref().ok());
        let rankings = rankings(run, &figures);
        let answers = answers::of_run(run, &figures, &rankings, known);
        let explained = run
            .explanation
            .as_deref()
            .map(|all| explain::of(all, known))
            .unwrap_or_default();
        let counts = counts::of(run, known);
        let (comparison, comparison_error) = match read {
            None => (None, None),
            Some(Ok(comparison)) => (Some(compared(&comparison)), None),
            Some(Err(why)) => (None, Some(why)),
        };
        Self {
            id: run.id.clone(),
            answers,
            overview: overview(run, &figures, &rankings),
            started: run.started.strftime("%Y-%m-%d %H:%M UTC").to_string(),
            interrupted: run.interrupted,
            profile: run.profile.name.clone(),
            commit: run.environment.commit.clone(),
            sandbox: run.environment.sandbox.clone(),
            cases: run.cases.len(),
            measured: measured().count(),
            invalid: count(ValidityLevel::Invalid),
            scenarios: scenarios(run, &figures, &rankings),
            faulty: run.cases.iter().filter(|case| crate::report::faults::has(case)).count(),
            faults: faults::of(run, &figures),
            counts,
            waits: waits::of(run),
            endurance: endurance::of(run),
            conformance: page.conformance.and_then(|record| conformance::of(record, run)),
            footprint: endurance::footprint(run),
            servers: run.servers.iter().map(server).collect(),
            tuning: run.tuning.as_deref().map(tuning::view),
            thresholds: thresholds::rows(run),
            thresholds_about: thresholds::about(run),
            comparison,
            comparison_error,
            explained,
            explained_notes: run
                .explanation
                .as_ref()
                .map(|all| all.notes.clone())
                .unwrap_or_default(),
            histories: history::of_runs(runs)
                .into_iter()
                .chain(page.baseline.and_then(|baseline| history::of_baseline(&baseline, run)))
                .collect(),
            missing: page.missing.iter().cloned().chain(missing::of(run)).collect(),
            facts: facts::of_run(run),
            notices: run.notices.iter().map(|n| (n.about.clone(), n.text.clone())).collect(),
        }
    }

    /// Returns all charts of the page.
    pub(super) fn charts(&self) -> Vec<&Chart> {
        let of_params = |s: &'_ Scenario| s.params.iter().map(|p| p.charts.len()).sum::<usize>();
        let mut charts = Vec::with_capacity(self.scenarios.iter().map(|s| s.charts.len() + of_params(s)).sum());
        for scenario in &self.scenarios {
            charts.extend(&scenario.charts);
            charts.extend(scenario.params.iter().flat_map(|p| &p.charts));
        }
        charts.extend(
            self.faults
                .iter()
                .flat_map(|group| group.timeline.iter().chain(&group.meanwhile)),
        );
        let groups = self.histories.iter().flat_map(|h| &h.groups);
        charts.extend(groups.flat_map(|group| &group.charts));
        charts
    }
}

/// Maximum number of servers of a load in the overview.
const FIRST: usize = 5;

/// Returns one line per load; empty for a single one, which is shown in full.
fn overview(run: &RunRecord, figures: &[Figures], rankings: &[Ranking]) -> Vec<LoadRanking> {
    if rankings.len() < 2 {
        return Vec::new();
    }
    let line = |ranking: &Ranking| {
        let place = |row: &Row| {
            let (case, one) = (&run.cases[row.case], &figures[row.case]);
            Some(Short {
                rank: row.place(),
                server: case.server.clone(),
                level: display::level(one.level),
                figure: units::metric(ranking.by, one.metrics.get(&ranking.by)?.mean.point),
                leads: row.best == 1,
            })
        };
        LoadRanking {
            scenario: ranking.scenario.clone(),
            anchor: slug(&ranking.scenario),
            title: format!("{}{}", ranking.param, untuned(ranking)),
            load: format!("{}, by {}", work(run, ranking), heading(ranking.by)),
            places: ranking.rows.iter().take(FIRST).filter_map(place).collect(),
            more: ranking.rows.len().saturating_sub(FIRST),
            unranked: ranking.unranked.len(),
        }
    };
    rankings.iter().map(line).collect()
}

fn untuned(ranking: &Ranking) -> &'static str {
    match ranking.variant {
        Variant::Tuned => "",
        Variant::Default => ", untuned",
    }
}

fn work(run: &RunRecord, ranking: &Ranking) -> String {
    let first = ranking.rows.first().map(|row| row.case);
    first
        .or(ranking.unranked.first().copied())
        .map_or_else(String::new, |index| display::work(&run.cases[index]))
}

/// Returns the requests of all mixes of a scenario.
fn mixes(run: &RunRecord, figures: &[Figures], scenario: &str) -> Option<Table> {
    let mut rows = Vec::new();
    let cases = run.cases.iter().zip(figures);
    for (case, one) in cases.filter(|(case, _)| case.scenario == scenario && !crate::report::faults::has(case)) {
        for request in &one.requests {
            let latency = &request.result.latency;
            let at = |q: f64, summary: Option<&Summary>| {
                let bound = if latency.quantile(q).at_least { "≥ " } else { "" };
                summary.map_or_else(dash, |s| format!("{bound}{}", units::time(s.mean.point)))
            };
            rows.push(vec![
                case.id.clone(),
                request.result.name.clone(),
                units::grouped(request.result.done),
                units::grouped(request.result.failed),
                at(0.50, request.p50.as_ref()),
                at(0.99, request.p99.as_ref()),
            ]);
        }
    }
    Table {
        id: format!("{}-requests", slug(scenario)),
        title: format!("{scenario}: requests of the mix"),
        caption: "Counts over all rounds; percentiles over launches, as in the rest of the report.".into(),
        heads: vec![
            text_column("case"),
            text_column("request"),
            numeric_column("done"),
            numeric_column("failed"),
            numeric_column("p50"),
            numeric_column("p99"),
        ],
        rows,
    }
    .filled()
}

fn scenarios(run: &RunRecord, figures: &[Figures], rankings: &[Ranking]) -> Vec<Scenario> {
    let mut scenarios: Vec<Scenario> = Vec::new();
    // Cases with faults have their own section.
    let whole = run.cases.iter().zip(figures);
    for (case, one) in whole.filter(|(case, _)| !crate::report::faults::has(case)) {
        if let Some(known) = scenarios.iter_mut().find(|s| s.name == case.scenario) {
            known.rows.push(case_row(case, one));
            known.steps.extend(steps::of(one));
            continue;
        }
        let (general, of_param): (Vec<Chart>, Vec<Chart>) = of_scenario(run, figures, &case.scenario)
            .into_iter()
            .partition(|chart| chart.param.is_none());
        scenarios.push(Scenario {
            name: case.scenario.clone(),
            anchor: slug(&case.scenario),
            description: case.description.clone(),
            rankings: rankings
                .iter()
                .filter(|r| r.scenario == case.scenario)
                .map(|r| ranked(run, figures, r))
                .collect(),
            charts: general,
            params: by_param(of_param),
            rows: vec![case_row(case, one)],
            requests: mixes(run, figures, &case.scenario),
            steps: steps::of(one).into_iter().collect(),
        });
    }
    scenarios
}

fn by_param(charts: Vec<Chart>) -> Vec<Param> {
    let mut params: Vec<Param> = Vec::new();
    for chart in charts {
        let name = chart.param.clone().unwrap_or_default();
        match params.iter_mut().find(|p| p.name == name) {
            Some(param) => param.charts.push(chart),
            None => params.push(Param {
                name,
                charts: vec![chart],
            }),
        }
    }
    params
}

fn ranked(run: &RunRecord, figures: &[Figures], ranking: &Ranking) -> Ranked {
    let other = if ranking.by == Metric::Throughput {
        Metric::P99
    } else {
        Metric::Throughput
    };
    let widest = ranking
        .rows
        .iter()
        .filter_map(|r| figures[r.case].metrics.get(&ranking.by))
        .map(|s| s.mean.high())
        .fold(f64::MIN_POSITIVE, f64::max);
    let rows = ranking.rows.iter().filter_map(|row| {
        let (case, one) = (&run.cases[row.case], &figures[row.case]);
        let summary = one.metrics.get(&ranking.by)?;
        let share = |value: f64| (value / widest * 100.0).clamp(0.0, 100.0);
        Some(Place {
            rank: row.place(),
            server: case.server.clone(),
            anchor: server_of(run, case).map_or_else(String::new, |s| slug(&s.spec.name)),
            case: case.id.clone(),
            level: display::level(one.level),
            reasons: reasons(one),
            notes: server_of(run, case).map_or_else(String::new, |s| s.spec.notes.join("; ")),
            figure: units::metric(ranking.by, summary.mean.point),
            interval: interval(ranking.by, summary),
            at: share(summary.mean.point),
            low: share(summary.mean.low()),
            high: share(summary.mean.high()),
            other: point(one, other),
            cpu: point(one, Metric::CpuPerRequest),
            memory: point(one, Metric::PeakMemory),
            errors: point(one, Metric::ErrorShare),
        })
    });
    let why = |index: &usize| {
        let (case, one) = (&run.cases[*index], &figures[*index]);
        let why = display::unmeasured(&case.outcome).unwrap_or_else(|| format!("invalid: {}", reasons(one)));
        (case.server.clone(), why)
    };
    Ranked {
        title: format!("{}{}", ranking.param, untuned(ranking)),
        load: work(run, ranking),
        by: heading(ranking.by),
        other: heading(other),
        rows: rows.collect(),
        tied: ranking.rows.iter().any(|r| r.best != r.worst),
        doubtful: ranking
            .rows
            .iter()
            .any(|r| figures[r.case].level != ValidityLevel::Valid),
        unranked: ranking.unranked.iter().map(why).collect(),
    }
}

fn heading(metric: Metric) -> &'static str {
    match metric {
        Metric::Throughput => "requests/s",
        other => other.id(),
    }
}

fn reasons(figures: &Figures) -> String {
    let mut reasons: Vec<&str> = figures.findings.iter().map(|f| f.text.as_str()).collect();
    reasons.extend(figures.failed_launches.iter().map(|(_, error)| error.as_str()));
    reasons.join("; ")
}

fn point(figures: &Figures, metric: Metric) -> String {
    figures
        .metrics
        .get(&metric)
        .map_or_else(dash, |s| units::metric(metric, s.mean.point))
}

fn interval(metric: Metric, summary: &Summary) -> Option<String> {
    let i = summary.mean.interval?;
    Some(format!(
        "{} to {}",
        units::metric(metric, i.low),
        units::metric(metric, i.high)
    ))
}

fn case_row(case: &CaseRecord, figures: &Figures) -> CaseRow {
    let unmeasured = display::unmeasured(&case.outcome);
    let with_interval = |metric: Metric| {
        figures.metrics.get(&metric).map_or_else(dash, |s| {
            let point = units::metric(metric, s.mean.point);
            interval(metric, s).map_or_else(|| point.clone(), |i| format!("{point} ({i})"))
        })
    };
    let latency = |metric: Metric, q: f64| {
        let bound = if figures.response.quantile(q).at_least {
            "≥ "
        } else {
            ""
        };
        figures
            .metrics
            .get(&metric)
            .map_or_else(dash, |s| format!("{bound}{}", units::metric(metric, s.mean.point)))
    };
    let max = figures.response.quantile(1.0);
    let bound = if max.at_least { "≥ " } else { "" };
    CaseRow {
        id: case.id.clone(),
        level: if unmeasured.is_some() {
            "not measured"
        } else {
            display::level(figures.level)
        },
        why: unmeasured.unwrap_or_else(|| reasons(figures)),
        launches: case.launches.len(),
        rounds: figures.rounds,
        throughput: with_interval(Metric::Throughput),
        p50: latency(Metric::P50, 0.5),
        p99: latency(Metric::P99, 0.99),
        max: if figures.response.histogram.is_empty() {
            dash()
        } else {
            format!("{bound}{}", units::time(units::float(max.ns)))
        },
        cpu: with_interval(Metric::CpuPerRequest),
        memory: point(figures, Metric::PeakMemory),
        start_up: point(figures, Metric::StartUpTime),
        errors: errors(figures),
    }
}

fn errors(figures: &Figures) -> String {
    if figures.rounds == 0 {
        return dash();
    }
    let kinds: Vec<String> = figures
        .errors
        .iter()
        .map(|(kind, count)| format!("{} {}", units::grouped(*count), display::error_kind(*kind)))
        .collect();
    let errors = if kinds.is_empty() {
        "none".to_owned()
    } else {
        kinds.join(", ")
    };
    match figures.sent_again() {
        Some(again) => format!("{errors}; {again}"),
        None => errors,
    }
}

pub(super) fn dash() -> String {
    "–".into()
}
