//! CSV export, one row per round.

use super::{
    ExportError, Format,
    table::{COLUMNS, Cell, harmless, rows},
};
use crate::store::record::RunRecord;

pub(super) fn render(run: &RunRecord) -> Result<Vec<u8>, ExportError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let refused = |e: csv::Error| ExportError::form(Format::Csv, e);
    writer
        .write_record(COLUMNS.iter().map(|(name, _)| name))
        .map_err(refused)?;
    for row in rows(run) {
        let cells = COLUMNS.iter().map(|(_, value)| match value(&row) {
            Cell::Text(text) => harmless(&text),
            Cell::Number(number) if number.is_finite() => number.to_string(),
            Cell::Number(_) | Cell::Nothing => String::new(),
        });
        writer.write_record(cells).map_err(refused)?;
    }
    writer.into_inner().map_err(|e| ExportError::form(Format::Csv, e))
}
