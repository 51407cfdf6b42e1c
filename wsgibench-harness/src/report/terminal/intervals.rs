//! Tables of the intervals within rounds, if the profile requests them.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use console::style;

use super::text::{WIDTH, cut};
use crate::{
    report::{
        figures::Figures,
        intervals::{StatisticsInterval, of_round, wanted},
        units,
    },
    store::record::RunRecord,
};

/// Maximum rounds shown per case; the report has the full list.
const SHOWN_ROUNDS: usize = 2;

/// Formats one table per case with one line per interval; empty if the profile requests none.
pub(super) fn render(run: &RunRecord, figures: &[Figures]) -> String {
    let Some(every) = wanted(&run.profile) else {
        return String::new();
    };
    let mut text = String::new();
    for (case, _) in run.cases.iter().zip(figures).filter(|(_, f)| f.ranked()) {
        let rounds = case.candidate().flat_map(|l| l.rounds.iter().map(|r| (l.index, r)));
        let rounds: Vec<_> = rounds.collect();
        for (launch, round) in rounds.iter().take(SHOWN_ROUNDS) {
            let parts = of_round(round, every);
            if parts.is_empty() {
                continue;
            }
            let which = if rounds.len() == 1 {
                String::new()
            } else {
                format!(", launch {} round {}", launch + 1, round.index + 1)
            };
            let title = cut(&format!("{}{which}, every {every} s:", case.id), WIDTH);
            let _ = writeln!(text, "\n{}", style(title).bold());
            text.push_str(&table(&parts));
        }
        if rounds.len() > SHOWN_ROUNDS {
            let _ = writeln!(text, "  {} more rounds are in the report", rounds.len() - SHOWN_ROUNDS);
        }
    }
    text
}

fn table(parts: &[StatisticsInterval]) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header([
        "from", "requests", "req/s", "mean", "errors", "active", "cores", "memory",
    ]);
    for part in parts {
        table.add_row([
            format!("{:.0} s", part.at),
            units::grouped(part.done),
            part.rate().map_or_else(dash, units::rate),
            part.mean_ns.map_or_else(dash, units::time),
            units::grouped(part.errors),
            units::grouped(part.active),
            part.cores.map_or_else(dash, |cores| format!("{cores:.2}")),
            part.memory.map_or_else(dash, units::bytes),
        ]);
    }
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn dash() -> String {
    "-".into()
}
