//! Text of `--explain`: the functions of each case and their changes.

use std::fmt::Write as _;

use console::style;

use super::text::{cut, plain, wrapped};
use crate::{
    profile::{CaseExplanation, Explanation},
    report::explanation::{BESIDE_COUNTS, Row, caption, functions, groups, is_compared, summary},
};

/// Formats all profiled cases; `beside_counts` if the run also counted instructions of functions.
pub(super) fn render(explanation: &Explanation, beside_counts: bool) -> String {
    let mut text = String::new();
    for case in &explanation.cases {
        text.push_str(&of_case(case));
    }
    for note in &explanation.notes {
        text.push_str(&wrapped("note: ", note));
    }
    if beside_counts {
        text.push_str(&wrapped("note: ", BESIDE_COUNTS));
    }
    text
}

/// The functions of one case.
pub(super) fn of_case(case: &CaseExplanation) -> String {
    let mut text = String::from("\n");
    text.push_str(&wrapped("", &format!("{}: {}", case.case, summary(case))));
    text.push_str(&table(case));
    text.push_str(&wrapped("  ", &caption(case)));
    for note in &case.notes {
        text.push_str(&wrapped("note: ", note));
    }
    text
}

fn table(case: &CaseExplanation) -> String {
    let mut text = String::new();
    let compared = is_compared(case);
    let head = if compared {
        format!(
            " {:>4}  {:<36}{:>10}{:>11}{:>10}{:>14}  p",
            "rank", "function", "base", "candidate", "change", "with callees"
        )
    } else {
        format!("       {:<56}{:>12}{:>14}", "function", "own CPU", "with callees")
    };
    let _ = writeln!(text, "{}", style(head.trim_end()).bold());
    let packages = groups(&case.packages);
    for row in functions(case) {
        text.push_str(&line(&row, &named(&row), compared));
    }
    if packages.len() > 1 {
        for row in packages.iter().take(4) {
            text.push_str(&line(row, &format!("all of {}", row.name), compared));
        }
    }
    text
}

/// `function file:line`, as long as the column.
fn named(row: &Row) -> String {
    if row.place.is_empty() {
        row.name.clone()
    } else {
        let name = cut(&row.name, 22);
        format!("{name} {}", row.place)
    }
}

fn line(row: &Row, name: &str, compared: bool) -> String {
    let short = |value: &str| value.trim_end_matches(" µs").to_owned();
    if !compared {
        let text = format!(
            "       {}{:>12}{:>14}",
            padded(&cut(&plain(name), 55), 56),
            short(&row.candidate),
            short(&row.total)
        );
        return format!("{}\n", text.trim_end());
    }
    let text = format!(
        " {:>4}  {}{:>10}{:>11}{:>10}{:>14}  {}",
        row.rank,
        padded(&cut(&plain(name), 35), 36),
        short(&row.base),
        short(&row.candidate),
        short(&row.change),
        short(&row.total),
        row.p
    );
    let text = text.trim_end();
    let styled = match (row.is_certain, row.is_slower) {
        (true, true) => style(text).red(),
        (true, false) => style(text).green(),
        _ => style(text),
    };
    format!("{styled}\n")
}

/// Pads to so many columns; names may have wide characters.
fn padded(text: &str, columns: usize) -> String {
    let missing = columns.saturating_sub(console::measure_text_width(text));
    format!("{text}{}", " ".repeat(missing))
}
