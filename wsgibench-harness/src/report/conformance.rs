//! The conformance table of servers and rules, for the terminal, as Markdown and as CSV.

use std::fmt::Write as _;

use super::{
    export::harmless,
    terminal::{WIDTH, plain, wrapped},
};
use crate::{
    conformance::RuleOutcome,
    store::{ConformanceRecord, ServerConformance},
};

/// Columns of the terminal per server.
const COLUMN: usize = 3;
/// Columns of a rule's id.
const IDS: usize = 20;

/// Formats the table for a terminal, at most [`WIDTH`] columns wide: one row per rule, one column per server, then the
/// deviations of each server.
#[must_use]
pub fn terminal(record: &ConformanceRecord) -> String {
    let mut text = String::new();
    for (part, servers) in record.servers.chunks((WIDTH - IDS) / COLUMN).enumerate() {
        let first = part * ((WIDTH - IDS) / COLUMN);
        let _ = write!(text, "{:IDS$}", "");
        for number in 1..=servers.len() {
            let _ = write!(text, "{:>COLUMN$}", first + number);
        }
        text.push('\n');
        for rule in &record.rules {
            let _ = write!(text, "{:IDS$}", rule.id);
            for server in servers {
                let mark = server.finding(&rule.id).map_or(' ', |finding| mark(finding.verdict));
                let _ = write!(text, "{mark:>COLUMN$}");
            }
            text.push('\n');
        }
        text.push('\n');
    }
    text.push_str("+ pass   ~ tolerated   r refused   X fail   . not asked\n");
    for (index, server) in record.servers.iter().enumerate() {
        let _ = write!(
            text,
            "\n{}",
            wrapped("", &format!("{} {}: {}", index + 1, server.name, summary(server)))
        );
        if let Some(unexamined) = &server.unexamined {
            text.push_str(&wrapped("   ", unexamined));
        }
        for finding in &server.findings {
            if finding.verdict.deviates() {
                let label = format!("   {} {:IDS$}", mark(finding.verdict), finding.rule);
                text.push_str(&wrapped(&label, &finding.why));
            }
        }
    }
    text
}

/// Formats a Markdown document: the table, then the deviations of each server.
#[must_use]
pub fn markdown(record: &ConformanceRecord) -> String {
    let mut text = String::from("| rule | requirement |");
    for server in &record.servers {
        let _ = write!(text, " {} |", escape(&server.name));
    }
    text.push_str("\n|---|---|");
    text.push_str(&":-:|".repeat(record.servers.len()));
    text.push('\n');
    for rule in &record.rules {
        let required_for = rule
            .required_for
            .map_or_else(String::new, |feature| format!(" **(required for {})**", feature.name()));
        let _ = write!(
            text,
            "| `{}` | {} ({}){required_for} |",
            rule.id,
            escape(&rule.title),
            escape(&rule.source)
        );
        for server in &record.servers {
            let word = server.finding(&rule.id).map_or("", |finding| word(finding.verdict));
            let _ = write!(text, " {word} |");
        }
        text.push('\n');
    }
    for server in &record.servers {
        let _ = write!(text, "\n**{}**: {}\n", escape(&server.name), summary(server));
        if let Some(unexamined) = &server.unexamined {
            let _ = write!(text, "\n{}\n", escape(unexamined));
        }
        let departures: Vec<_> = server
            .findings
            .iter()
            .filter(|finding| finding.verdict.deviates())
            .collect();
        if !departures.is_empty() {
            text.push('\n');
        }
        for finding in departures {
            let _ = writeln!(
                text,
                "- {} `{}`: {}",
                word(finding.verdict),
                finding.rule,
                escape(&finding.why)
            );
        }
    }
    text
}

/// Formats CSV: one row per server and rule, or one row with the reason for a server that was not examined.
///
/// # Errors
/// If the CSV writer fails, which for a buffer in memory means out of memory.
pub fn csv(record: &ConformanceRecord) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["server", "rule", "title", "source", "required_for", "verdict", "why"])?;
    for server in &record.servers {
        for finding in &server.findings {
            let rule = record.rules.iter().find(|rule| rule.id == finding.rule);
            let required_for = rule
                .and_then(|rule| rule.required_for)
                .map_or("", crate::conformance::Feature::name);
            writer.write_record(
                [
                    server.name.as_str(),
                    &finding.rule,
                    rule.map_or("", |rule| rule.title.as_str()),
                    rule.map_or("", |rule| rule.source.as_str()),
                    required_for,
                    finding.verdict.name(),
                    &finding.why,
                ]
                .map(harmless),
            )?;
        }
        if let Some(unexamined) = &server.unexamined {
            writer.write_record([server.name.as_str(), "", "", "", "", "not examined", unexamined].map(harmless))?;
        }
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

fn summary(server: &ServerConformance) -> String {
    if server.findings.is_empty() {
        return "not examined".to_owned();
    }
    let mut text = format!("{} pass", server.count(RuleOutcome::Pass));
    for verdict in RuleOutcome::ALL.into_iter().skip(1) {
        match server.count(verdict) {
            0 => {}
            count => {
                let _ = write!(text, ", {count} {}", verdict.name());
            }
        }
    }
    text
}

fn mark(verdict: RuleOutcome) -> char {
    match verdict {
        RuleOutcome::Pass => '+',
        RuleOutcome::Tolerated => '~',
        RuleOutcome::Refused => 'r',
        RuleOutcome::Fail => 'X',
        RuleOutcome::Skipped => '.',
        RuleOutcome::Unknown => '?',
    }
}

fn word(verdict: RuleOutcome) -> &'static str {
    match verdict {
        RuleOutcome::Fail => "**fail**",
        RuleOutcome::Skipped => "-",
        other => other.name(),
    }
}

fn escape(text: &str) -> String {
    plain(text)
        .replace('\\', "\\\\")
        .replace('|', "\\|")
        .replace('<', "&lt;")
        .replace('`', "\\`")
        .replace('*', "\\*")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::Finding;

    fn record() -> ConformanceRecord {
        let mut record = ConformanceRecord::new("docker");
        record.rules.truncate(3);
        for (name, verdicts) in [
            ("one", vec![RuleOutcome::Pass, RuleOutcome::Pass, RuleOutcome::Pass]),
            (
                "two",
                vec![RuleOutcome::Tolerated, RuleOutcome::Fail, RuleOutcome::Skipped],
            ),
            ("three", vec![]),
        ] {
            record.servers.push(ServerConformance {
                name: name.into(),
                untuned: false,
                command: vec![],
                versions: std::collections::BTreeMap::new(),
                unexamined: verdicts
                    .is_empty()
                    .then(|| "not available here: no | compiler".to_owned()),
                findings: verdicts
                    .into_iter()
                    .zip(&record.rules)
                    .map(|(verdict, rule)| Finding {
                        rule: rule.id.clone(),
                        verdict,
                        why: format!("did `{}` so\u{1b}[31m", rule.id),
                    })
                    .collect(),
            });
        }
        record
    }

    #[test]
    fn terminal_table() {
        insta::assert_snapshot!(terminal(&record()));
    }

    #[test]
    fn as_markdown() {
        insta::assert_snapshot!(markdown(&record()));
    }

    #[test]
    fn as_csv() {
        let mut record = record();
        record.servers[0].name = "=cmd()".into();
        insta::assert_snapshot!(String::from_utf8(csv(&record).unwrap()).unwrap());
    }

    #[test]
    fn lines_fit_the_page_width() {
        let mut wide = ConformanceRecord::new("docker");
        for _ in 0..60 {
            wide.servers.push(record().servers[1].clone());
        }
        for line in terminal(&wide).lines() {
            assert!(console::measure_text_width(line) <= WIDTH, "{line}");
        }
    }
}
