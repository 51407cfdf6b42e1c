//! The conformance section: verdicts by server and rule, with reasons and excluded scenarios.

use serde::Serialize;

use crate::{
    conformance::{Finding, RuleOutcome},
    report::charts::slug,
    store::{ConformanceRecord, ServerConformance, conformance::RuleRecord, record::RunRecord},
};

/// The last conformance run, restricted to servers of this run.
#[derive(Debug, Serialize)]
pub(super) struct Conformance {
    /// Time and sandbox of the conformance run.
    examined: String,
    interrupted: bool,
    legend: Vec<Legend>,
    servers: Vec<Examined>,
    rules: Vec<Rule>,
    /// Servers of the run that were not examined.
    unexamined: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Legend {
    mark: Mark,
    meaning: &'static str,
}

/// A verdict as a symbol and a word, readable without colour.
#[derive(Clone, Copy, Debug, Serialize)]
struct Mark {
    symbol: char,
    word: &'static str,
    look: &'static str,
}

#[derive(Debug, Serialize)]
struct Examined {
    name: String,
    /// HTML id within this section.
    anchor: String,
    /// HTML id of the server's description.
    server: String,
    /// Number of rules per verdict, in the legend's order.
    counts: Vec<String>,
    barred: Vec<Barred>,
    /// Why findings are missing.
    unexamined: Option<String>,
    /// Differences between the examined server and this run's.
    differences: Vec<String>,
    departures: Vec<Departure>,
}

#[derive(Debug, Serialize)]
struct Barred {
    feature: &'static str,
    rule: String,
    mark: Mark,
}

#[derive(Debug, Serialize)]
struct Departure {
    anchor: String,
    rule: String,
    title: String,
    mark: Mark,
    why: String,
}

#[derive(Debug, Serialize)]
struct Rule {
    id: String,
    title: String,
    source: String,
    required_for: Option<&'static str>,
    cells: Vec<Cell>,
}

#[derive(Debug, Serialize)]
struct Cell {
    /// `None` if the rule was not examined.
    mark: Option<Mark>,
    why: String,
    /// HTML id of the full reason.
    target: Option<String>,
}

/// Returns the section; `None` if no server of the run was examined.
pub(super) fn of(record: &ConformanceRecord, run: &RunRecord) -> Option<Conformance> {
    let examined: Vec<(&ServerConformance, _)> = run
        .servers
        .iter()
        .filter_map(|server| {
            let found = record.servers.iter().find(|found| found.name == server.spec.name)?;
            Some((found, server))
        })
        .collect();
    if examined.is_empty() {
        return None;
    }
    let seen: Vec<RuleOutcome> = RuleOutcome::ALL
        .into_iter()
        .filter(|verdict| {
            // Unused verdicts are left out of the legend, except for the four common ones.
            !matches!(verdict, RuleOutcome::Skipped | RuleOutcome::Unknown)
                || examined.iter().any(|(server, _)| server.count(*verdict) > 0)
        })
        .collect();
    Some(Conformance {
        examined: format!("{}, sandbox {}", day(&record.started), record.sandbox),
        interrupted: record.interrupted,
        legend: seen
            .iter()
            .map(|verdict| Legend {
                mark: mark(*verdict),
                meaning: meaning(*verdict),
            })
            .collect(),
        rules: record.rules.iter().map(|rule| row(rule, &examined)).collect(),
        unexamined: run
            .servers
            .iter()
            .filter(|server| !examined.iter().any(|(found, _)| found.name == server.spec.name))
            .map(|server| server.spec.name.clone())
            .collect(),
        servers: examined
            .iter()
            .map(|(found, server)| Examined {
                name: found.name.clone(),
                anchor: format!("conformance-{}", slug(&found.name)),
                server: slug(&server.spec.name),
                counts: seen
                    .iter()
                    .map(|verdict| match found.findings.len() {
                        0 => super::view::dash(),
                        _ => found.count(*verdict).to_string(),
                    })
                    .collect(),
                barred: found
                    .barred(&record.rules)
                    .into_iter()
                    .map(|(feature, finding)| Barred {
                        feature: feature.name(),
                        rule: finding.rule.clone(),
                        mark: mark(finding.verdict),
                    })
                    .collect(),
                unexamined: found.unexamined.clone(),
                differences: differences(found, &server.versions),
                departures: found
                    .findings
                    .iter()
                    .filter(|finding| finding.verdict != RuleOutcome::Pass)
                    .map(|finding| departure(found, finding, &record.rules))
                    .collect(),
            })
            .collect(),
    })
}

fn row<T>(rule: &RuleRecord, servers: &[(&ServerConformance, T)]) -> Rule {
    let cell = |server: &ServerConformance| match server.finding(&rule.id) {
        None => Cell {
            mark: None,
            why: String::new(),
            target: None,
        },
        Some(finding) => Cell {
            mark: Some(mark(finding.verdict)),
            why: finding.why.clone(),
            target: (finding.verdict != RuleOutcome::Pass).then(|| anchor(server, finding)),
        },
    };
    Rule {
        id: rule.id.clone(),
        title: rule.title.clone(),
        source: rule.source.clone(),
        required_for: rule.required_for.map(crate::conformance::Feature::name),
        cells: servers.iter().map(|(server, _)| cell(server)).collect(),
    }
}

fn departure(server: &ServerConformance, finding: &Finding, rules: &[RuleRecord]) -> Departure {
    let title = rules.iter().find(|rule| rule.id == finding.rule);
    Departure {
        anchor: anchor(server, finding),
        rule: finding.rule.clone(),
        title: title.map_or_else(String::new, |rule| rule.title.clone()),
        mark: mark(finding.verdict),
        why: finding.why.clone(),
    }
}

fn anchor(server: &ServerConformance, finding: &Finding) -> String {
    format!("conformance-{}-{}", slug(&server.name), slug(&finding.rule))
}

/// Returns examined versions that differ from those of the run.
fn differences(then: &ServerConformance, now: &std::collections::BTreeMap<String, String>) -> Vec<String> {
    then.versions
        .iter()
        .filter_map(|(package, version)| {
            let other = now.get(package).filter(|other| *other != version)?;
            Some(format!("{package} {version}, in this run {other}"))
        })
        .collect()
}

/// Returns the day of a timestamp, or the text itself if it does not parse.
fn day(started: &str) -> String {
    let at: Result<jiff::Timestamp, _> = started.parse();
    at.map_or_else(
        |_| started.to_owned(),
        |at| at.strftime("%Y-%m-%d %H:%M UTC").to_string(),
    )
}

fn mark(verdict: RuleOutcome) -> Mark {
    let (symbol, look) = match verdict {
        RuleOutcome::Pass => ('✓', "good"),
        RuleOutcome::Tolerated => ('≈', "warn"),
        RuleOutcome::Refused => ('⊘', "warn"),
        RuleOutcome::Fail => ('✗', "bad"),
        RuleOutcome::Skipped => ('·', "neutral"),
        RuleOutcome::Unknown => ('?', "neutral"),
    };
    Mark {
        symbol,
        word: verdict.name(),
        look,
    }
}

fn meaning(verdict: RuleOutcome) -> &'static str {
    match verdict {
        RuleOutcome::Pass => "conforms to the specification",
        RuleOutcome::Tolerated => "deviates from the wording or is suboptimal, but misleads nobody",
        RuleOutcome::Refused => {
            "the server reports it as unsupported, which is allowed; loads that need it are not timed"
        }
        RuleOutcome::Fail => "a client or proxy is misled, left waiting, or loses data",
        RuleOutcome::Skipped => "the application does not report its input",
        RuleOutcome::Unknown => "a verdict of a later version, unknown to this one",
    }
}
