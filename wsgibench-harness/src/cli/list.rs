//! `--list`.

use std::fmt::Write as _;

use comfy_table::{ContentArrangement, Table, presets::UTF8_HORIZONTAL_ONLY};

use super::args::ListFormat;
use crate::declare::Case;

/// Formats the selected cases, chosen from `all`. The terse format is libtest's, for test runners: one line `id: benchmark`
/// per case.
#[must_use]
pub(super) fn render(cases: &[Case], all: usize, format: ListFormat, width: Option<u16>) -> String {
    match format {
        ListFormat::Terse => cases.iter().fold(String::new(), |mut text, case| {
            let _ = writeln!(text, "{}: benchmark", case.id);
            text
        }),
        ListFormat::Pretty => table(cases, all, width),
    }
}

fn table(cases: &[Case], all: usize, width: Option<u16>) -> String {
    let mut table = Table::new();
    table
        .load_preset(UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(["scenario", "server", "parameters", "what it does"]);
    if let Some(width) = width {
        table.set_width(width);
    }
    // One row per scenario and server; a row per parameter set would be unreadable in large suites.
    let mut rows: Vec<(String, String, Vec<String>, String)> = Vec::new();
    for case in cases {
        match rows.iter_mut().find(|r| r.0 == case.scenario && r.1 == case.server) {
            Some(row) => row.2.push(case.param.clone()),
            None => rows.push((
                case.scenario.clone(),
                case.server.clone(),
                vec![case.param.clone()],
                first_line(&case.description),
            )),
        }
    }
    for (scenario, server, params, description) in rows {
        table.add_row([scenario, server, params.join(" "), description]);
    }
    let noun = if cases.len() == 1 { "case" } else { "cases" };
    let rest = if cases.len() < all {
        format!(" (of {all}: `--list .` shows all)")
    } else {
        String::new()
    };
    format!(
        "{table}\n{} {noun}{rest}; an id is scenario/server/parameters\n",
        cases.len()
    )
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
