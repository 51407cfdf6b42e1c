//! The footprint table of the servers.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use console::style;

use super::text::WIDTH;
use crate::{
    report::footprint::{HEADS, of_run},
    store::record::RunRecord,
};

pub(super) fn render(run: &RunRecord) -> String {
    let footprints = of_run(run);
    if footprints.is_empty() {
        return String::new();
    }
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(HEADS);
    for footprint in &footprints {
        table.add_row(footprint.cells());
    }
    for column in 1..HEADS.len() {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = format!("\n{}\n", style("Cold start and footprint").bold());
    for line in table.lines() {
        text.push_str(&console::truncate_str(line.trim_end(), WIDTH, "…"));
        text.push('\n');
    }
    text
}
