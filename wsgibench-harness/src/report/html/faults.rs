//! The section on injected faults and recovery. Cases with faults are not ranked.

use serde::Serialize;

use super::{
    steps::{self, CaseSteps},
    table::{Table, numeric_column as numbers, text_column as texts},
    view::dash,
};
use crate::{
    report::{
        charts::{Chart, of_faults, slug},
        display,
        faults::{self, Course, FaultFigures},
        figures::Figures,
        range::{self, LaunchRange},
        ranking::server_of,
        units,
    },
    store::record::{CaseOutcome, CaseRecord, FaultRecord, RunRecord},
};

/// A scenario and parameter set with faults.
#[derive(Serialize)]
pub(super) struct Group {
    scenario: String,
    param: String,
    anchor: String,
    description: String,
    load: String,
    rows: Vec<Row>,
    /// Charts of responses and losses.
    pub(super) timeline: Vec<Chart>,
    /// Charts of the server's resource usage.
    pub(super) meanwhile: Vec<Chart>,
    /// Table of each fault in each launch.
    launches: Option<Table>,
    steps: Vec<CaseSteps>,
}

/// The results of one fault for one server.
#[derive(Debug, PartialEq, Serialize)]
struct Row {
    case: String,
    server: String,
    /// HTML id of the server's description; empty without one.
    anchor: String,
    fault: String,
    /// The outcome as text, and as a class of the style sheet.
    course: String,
    look: &'static str,
    why: String,
    lost: String,
    recovered: String,
    usual: String,
    lowest: String,
    launches: String,
    errors: String,
    told: String,
    level: &'static str,
    reasons: String,
}

/// Suffixes of the ids of response and loss charts: by tenths, or by seconds for records without finer counts.
const FELT: [&str; 4] = ["-answers", "-losses", "-rate", "-errors-time"];

pub(super) fn of(run: &RunRecord, figures: &[Figures]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (case, one) in run.cases.iter().zip(figures).filter(|(case, _)| faults::has(case)) {
        let same = |group: &Group| group.scenario == case.scenario && group.param == case.param;
        let place = groups.iter().position(same).unwrap_or_else(|| {
            groups.push(Group {
                scenario: case.scenario.clone(),
                param: case.param.clone(),
                anchor: slug(&format!("{}/{}", case.scenario, case.param)),
                description: case.description.clone(),
                load: display::work(case),
                rows: Vec::new(),
                timeline: Vec::new(),
                meanwhile: Vec::new(),
                launches: None,
                steps: Vec::new(),
            });
            groups.len() - 1
        });
        groups[place].rows.extend(rows(run, case, one));
        groups[place].steps.extend(steps::of(one));
    }
    let mut drawn: Vec<&str> = Vec::new();
    for case in run.cases.iter().filter(|case| faults::has(case)) {
        if drawn.contains(&case.scenario.as_str()) {
            continue;
        }
        drawn.push(&case.scenario);
        for chart in of_faults(run, figures, &case.scenario) {
            let of_chart = |g: &&mut Group| g.scenario == case.scenario && chart.param.as_deref() == Some(&g.param);
            if let Some(group) = groups.iter_mut().find(of_chart) {
                if FELT.iter().any(|id| chart.id.ends_with(id)) {
                    group.timeline.push(chart);
                } else {
                    group.meanwhile.push(chart);
                }
            }
        }
    }
    for group in &mut groups {
        group.launches = launches(run, group);
    }
    groups
}

fn rows(run: &RunRecord, case: &CaseRecord, figures: &Figures) -> Vec<Row> {
    let row = |fault: String| Row {
        case: case.id.clone(),
        server: case.server.clone(),
        anchor: server_of(run, case).map_or_else(String::new, |s| slug(&s.spec.name)),
        fault,
        course: String::new(),
        look: "",
        why: String::new(),
        lost: dash(),
        recovered: dash(),
        usual: dash(),
        lowest: dash(),
        launches: "0".into(),
        errors: String::new(),
        told: String::new(),
        level: display::level(figures.level),
        reasons: reasons(figures),
    };
    let found = faults::of_case(case);
    if found.is_empty() {
        let (course, look, why) = unmeasured(&case.outcome);
        let level = "valid";
        return case
            .load
            .faults
            .iter()
            .map(|fault| Row {
                course: course.into(),
                look,
                why: why.clone(),
                // The reason is already shown, and there are no measurements to qualify.
                level,
                ..row(fault.action.name())
            })
            .collect();
    }
    found
        .into_iter()
        .map(|fault| {
            let (course, look) = course(&fault);
            let both = |range: Option<LaunchRange>| range.map_or_else(dash, |s| s.text(rate));
            let why = fault.not_done_text().unwrap_or_default();
            Row {
                course,
                look,
                // The badge already states it.
                why: match fault.course() {
                    Course::NotDone => why.trim_start_matches("not done: ").to_owned(),
                    _ => why,
                },
                lost: fault.lost.map_or_else(dash, |_| fault.lost_text()),
                recovered: if fault.done() == 0 {
                    dash()
                } else {
                    fault.recovered_text()
                },
                usual: both(fault.usual),
                lowest: both(fault.lowest),
                launches: if fault.done() == fault.launches {
                    fault.launches.to_string()
                } else {
                    format!("{} of {}", fault.done(), fault.launches)
                },
                errors: errors(figures),
                told: told(&fault),
                ..row(fault.action.clone())
            }
        })
        .collect()
}

fn unmeasured(outcome: &CaseOutcome) -> (&'static str, &'static str, String) {
    match outcome {
        CaseOutcome::Unsupported(why) => ("unsupported", "neutral", why.clone()),
        CaseOutcome::NotAvailable(why) => ("not available here", "neutral", why.clone()),
        CaseOutcome::Ignored(why) => ("ignored", "neutral", why.clone()),
        CaseOutcome::Failed(why) => ("failed", "bad", why.clone()),
        CaseOutcome::Planned => ("not run", "neutral", "the run ended earlier".into()),
        CaseOutcome::Measured => ("not done", "warn", "no completed round".into()),
    }
}

fn course(fault: &FaultFigures) -> (String, &'static str) {
    match fault.course() {
        Course::NotDone => ("not done".into(), "neutral"),
        Course::Recovered => ("recovered".into(), "good"),
        Course::Partly => (format!("recovered in {} of {}", fault.recovered, fault.done()), "warn"),
        Course::NotRecovered => ("not recovered".into(), "bad"),
        Course::Ended => ("the server exited".into(), "bad"),
    }
}

fn told(fault: &FaultFigures) -> String {
    let mut parts = Vec::new();
    if fault.done() > 0 {
        parts.push(fault.told.clone());
    }
    if fault.memory_kills > 0 {
        parts.push(format!(
            "the memory limit killed {} processes",
            units::grouped(fault.memory_kills)
        ));
    }
    if !fault.answers.is_empty() {
        parts.push(format!("answered: {}", answers(&fault.answers)));
    }
    parts.join("; ")
}

fn answers(answers: &std::collections::BTreeMap<String, u64>) -> String {
    let each = answers
        .iter()
        .map(|(answer, count)| format!("{} × {answer}", units::grouped(*count)));
    each.collect::<Vec<_>>().join(", ")
}

fn errors(figures: &Figures) -> String {
    let kinds = figures.errors.iter();
    let kinds = kinds.map(|(kind, count)| format!("{} {}", units::grouped(*count), display::error_kind(*kind)));
    kinds.chain(figures.sent_again()).collect::<Vec<_>>().join(", ")
}

/// Formats a rate; zero has no decimals.
fn rate(per_second: f64) -> String {
    if per_second > 0.0 {
        units::rate(per_second)
    } else {
        "0".to_owned()
    }
}

fn reasons(figures: &Figures) -> String {
    let mut reasons: Vec<&str> = figures.findings.iter().map(|f| f.text.as_str()).collect();
    reasons.extend(figures.failed_launches.iter().map(|(_, error)| error.as_str()));
    reasons.join("; ")
}

fn launches(run: &RunRecord, group: &Group) -> Option<Table> {
    let mut rows = Vec::new();
    let of_group = |case: &&CaseRecord| case.scenario == group.scenario && case.param == group.param;
    for case in run.cases.iter().filter(of_group) {
        for launch in case.candidate() {
            for fault in launch.rounds.iter().flat_map(|round| &round.faults) {
                let mut row = vec![case.server.clone(), (launch.index + 1).to_string()];
                row.extend(cells(fault));
                rows.push(row);
            }
        }
    }
    Table {
        id: format!("launches-{}", group.anchor),
        title: format!("{} {}: launch by launch", group.scenario, group.param),
        caption: format!("{} {}: every fault of every launch", group.scenario, group.param),
        heads: vec![
            texts("server"),
            numbers("launch"),
            texts("fault"),
            numbers("at"),
            numbers("took"),
            numbers("requests lost"),
            numbers("sent again"),
            numbers("recovered after"),
            numbers("watched"),
            numbers("lowest rate"),
            numbers("killed by memory limit"),
            texts("answers"),
            texts("exactly"),
        ],
        rows,
    }
    .filled()
}

fn cells(fault: &FaultRecord) -> [String; 11] {
    let recovery = &fault.recovery;
    let of_done = |text: String| if faults::done(fault) { text } else { dash() };
    let recovered = match recovery.recovered_after_seconds {
        Some(seconds) => range::seconds(seconds),
        None if fault.server_ended => "never: the server exited".into(),
        None => "not during observation".into(),
    };
    [
        fault.action.clone(),
        range::seconds(fault.at_seconds),
        range::seconds(fault.took_seconds),
        of_done(units::grouped(recovery.requests_lost)),
        of_done(units::grouped(recovery.requests_sent_again)),
        of_done(recovered),
        of_done(range::seconds(recovery.watched_seconds)),
        of_done(rate(recovery.lowest_per_second)),
        of_done(units::grouped(fault.memory_kills)),
        if fault.answers.is_empty() {
            dash()
        } else {
            answers(&fault.answers)
        },
        fault.told.clone(),
    ]
}
