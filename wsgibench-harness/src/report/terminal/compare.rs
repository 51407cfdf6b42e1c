//! Text of a comparison in Criterion's format: change, confidence interval, p-value, verdict.

use std::fmt::Write as _;

use console::style;

use super::text::{INDENT, cut, plain, wrapped};
use crate::{
    counts::attribution::Attribution,
    report::{
        comparison::{Comparison, change},
        counts::attribution_rows,
    },
    stats::{Outcome, Verdict},
};

pub(super) fn render(comparison: &Comparison) -> String {
    let mut text = String::from("\n");
    text.push_str(&wrapped("", &format!("Compared with {}:", comparison.against)));
    let mut last = "";
    for outcome in &comparison.outcomes {
        if outcome.case != last {
            for line in wrapped("", &outcome.case).lines() {
                text.push_str(&style(line).green().to_string());
                text.push('\n');
            }
            last = &outcome.case;
        }
        text.push_str(&one(outcome));
    }
    for (case, attribution) in &comparison.attribution {
        text.push_str(&functions(case, attribution));
    }
    if comparison.outcomes.is_empty() {
        text.push_str("nothing was compared\n");
    }
    for (label, lines) in [
        ("missing: ", &comparison.missing),
        ("in one arm only: ", &comparison.unmatched),
        ("note: ", &comparison.notes),
    ] {
        for line in lines {
            text.push_str(&wrapped(label, line));
        }
    }
    if comparison.gate {
        text.push_str(&wrapped("gate: ", &comparison.verdict));
    }
    text
}

fn one(outcome: &Outcome) -> String {
    let indent = " ".repeat(INDENT);
    let figure = match (outcome.change, &outcome.interval) {
        (Some(point), Some(i)) => format!(
            "[{} {} {}]",
            change(outcome, i.low),
            change(outcome, point),
            change(outcome, i.high)
        ),
        (Some(point), None) => format!("[{}]", change(outcome, point)),
        (None, _) => "[no figure]".into(),
    };
    let mde = outcome
        .mde
        .map_or_else(String::new, |mde| format!(", MDE {}", unsigned(outcome, mde)));
    let gated = if outcome.gated { "" } else { ", advisory" };
    let p = if outcome.p < 0.001 {
        "p < 0.001".to_owned()
    } else {
        format!("p = {:.3}", outcome.p)
    };
    let figure = match (outcome.undecided, outcome.verdict) {
        (false, Verdict::Regression) => style(figure).red().bold(),
        (false, Verdict::Improvement) => style(figure).green().bold(),
        (false, Verdict::Equivalent) => style(figure),
        _ => style(figure).yellow(),
    };
    let mut text = format!("{indent}change: {figure}  {}\n", outcome.metric.title());
    text.push_str(&wrapped(
        &format!("{indent}        "),
        &format!(
            "{}: {p}, margin {}{mde}, {} {}{gated}",
            verdict(outcome),
            outcome.margin,
            outcome.blocks,
            if outcome.metric.is_count() {
                "launches an arm"
            } else {
                "blocks"
            }
        ),
    ));
    for note in &outcome.notes {
        text.push_str(&wrapped(&format!("{indent}        "), note));
    }
    text
}

/// The functions of a case whose instructions changed most.
fn functions(case: &str, attribution: &Attribution) -> String {
    let mut text = wrapped(
        "",
        &format!("instructions of {case} by function, base, candidate and change:"),
    );
    for [name, file, base, candidate, change] in attribution_rows(attribution) {
        let name = cut(&plain(&name), 40);
        let _ = writeln!(
            text,
            "{}{name:<40} {:<24} {base:>10} {candidate:>10} {change:>9}",
            " ".repeat(4),
            cut(&plain(&file), 24)
        );
    }
    text
}

fn unsigned(outcome: &Outcome, value: f64) -> String {
    change(outcome, value.abs()).trim_start_matches('+').to_owned()
}

fn verdict(outcome: &Outcome) -> String {
    if outcome.undecided {
        return "too few usable blocks".into();
    }
    outcome.verdict.to_string()
}
