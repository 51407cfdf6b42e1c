//! Judged thresholds, after the rankings.

use std::fmt::Write as _;

use console::style;

use super::text::{plain, wrapped};
use crate::{report::thresholds, store::record::RunRecord};

/// Formats the thresholds of a run; empty without any.
pub(super) fn render(run: &RunRecord) -> String {
    let mut text = String::new();
    let Some(about) = thresholds::about(run) else {
        return text;
    };
    text.push_str("\nThresholds\n");
    let rows = thresholds::rows(run);
    if rows.is_empty() {
        text.push_str("  no threshold was judged\n");
    }
    let mut last = "";
    for row in &rows {
        if row.case != last {
            for line in wrapped("", &row.case).lines() {
                let _ = writeln!(text, "{}", style(line).green());
            }
            last = &row.case;
        }
        let word = format!("{:<9}", row.verdict);
        let word = match row.verdict {
            "met" => style(word).green(),
            "broken" => style(word).red().bold(),
            _ => style(word).yellow(),
        };
        let _ = writeln!(
            text,
            "  {word}  {:<24} {} [{}], {} launches",
            plain(&row.threshold),
            row.estimate,
            row.interval,
            row.launches
        );
        if !row.note.is_empty() {
            text.push_str(&wrapped("             ", &row.note));
        }
    }
    text.push_str(&wrapped("  ", &about));
    text
}
