//! The answer of a tuning, and its progress after each block.

use std::fmt::Write as _;

use console::{measure_text_width, style};

use super::text::{cut, plain, wrapped};
use crate::{
    report::tuning::{self, Row},
    store::tuning::{TuneProgress, TuneRecord},
};

/// Columns of the name of a setting.
const NAME: usize = 30;

/// Formats the answer of a tuning.
pub(super) fn render(record: &TuneRecord) -> String {
    let mut text = String::from("\n");
    let title = tuning::title(record);
    for line in wrapped("", &title).lines() {
        let _ = writeln!(text, "{}", style(line).bold());
    }
    text.push_str(&wrapped("  ", &tuning::effort(record)));
    if let Some(recommended) = &record.recommended {
        let label = if recommended.certain {
            "Recommended: "
        } else {
            "Best so far: "
        };
        let name = style(plain(&tuning::name(record, &recommended.case))).green().bold();
        let _ = writeln!(text, "\n{label}{name}");
        if !recommended.command.is_empty() {
            // In one line, so that it can be copied.
            let _ = writeln!(text, "  {}", plain(&recommended.command));
        }
    } else {
        text.push('\n');
    }
    for line in tuning::answer(record) {
        text.push_str(&wrapped("  ", &line));
    }
    for limit in &record.limits {
        text.push_str(&wrapped("  Limited by ", limit));
    }
    for note in &record.notes {
        text.push_str(&wrapped("  note: ", note));
    }
    text.push_str(&table(record));
    if record.gate {
        text.push_str(&wrapped("gate: ", &record.verdict));
    }
    text
}

fn table(record: &TuneRecord) -> String {
    let rows = tuning::rows(record);
    let figure = record.metric.title();
    let mut text = format!(
        "\n{:<NAME$} {:<32} {:>10} {:>10} {:>10} {:>3}\n",
        "setting", figure, "p99", "CPU/req", "memory", "n"
    );
    for row in &rows {
        text.push_str(&line(row));
    }
    if rows.iter().any(|row| row.present) {
        text.push_str("  * the present setting\n");
    }
    text
}

fn line(row: &Row) -> String {
    let mark = if row.present { " *" } else { "" };
    let name = format!("{}{mark}", cut(&row.name, NAME - mark.len()));
    let padding = " ".repeat(NAME.saturating_sub(measure_text_width(&name)));
    let name = match row.status {
        "recommended" => style(name).green().bold(),
        "dropped" => style(name).dim(),
        _ => style(name),
    };
    let mut text = format!(
        "{name}{padding} {:<32} {:>10} {:>10} {:>10} {:>3}\n",
        row.figure, row.p99, row.cpu, row.memory, row.launches
    );
    let note = match (row.note.is_empty(), row.loss.is_empty()) {
        (false, _) => format!("{}: {}", row.status, row.note),
        (true, false) => format!("{}: {}", row.status, row.loss),
        (true, true) => row.status.to_owned(),
    };
    text.push_str(&wrapped("    ", &note));
    text
}

/// Formats the state after a block; empty before the first.
pub(super) fn progress(progress: &TuneProgress) -> String {
    if progress.blocks == 0 {
        return String::new();
    }
    let best = progress.best.as_ref().map_or_else(String::new, |(case, value)| {
        format!(
            ", best so far {} ({})",
            short(case),
            tuning::value(progress.metric, *value)
        )
    });
    let mut text = wrapped(
        "",
        &format!(
            "block {}: {} of {} settings left{best}",
            progress.blocks, progress.left, progress.of
        ),
    );
    for (case, reason) in &progress.dropped {
        let reason = tuning::reason(progress.metric, reason, |case| short(case).to_owned());
        text.push_str(&wrapped("  dropped ", &format!("{}: {reason}", short(case))));
    }
    text
}

/// Returns the parameters of a case's server, or the server.
fn short(case: &str) -> &str {
    let server = case.split('/').nth(1).unwrap_or(case);
    server.split_once('@').map_or(server, |(_, values)| values)
}
