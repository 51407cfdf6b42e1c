//! Excel workbook: summary, rounds, faults (if any), environment.

mod faults;

use rust_xlsxwriter::{Format as Style, Workbook, Worksheet, XlsxError};

use super::{
    ExportError, Format,
    table::{COLUMNS, Cell, rows},
};
use crate::{
    report::{display, figures::Figures},
    stats::{Metric, Unit},
    store::record::RunRecord,
};

/// Maximum characters of a cell; longer texts are cut.
const LONGEST: usize = 32_767;

pub(super) fn render(run: &RunRecord) -> Result<Vec<u8>, ExportError> {
    build(run).map_err(|e| ExportError::form(Format::Xlsx, e))
}

fn build(run: &RunRecord) -> Result<Vec<u8>, XlsxError> {
    let mut book = Workbook::new();
    // A fixed creation time makes workbooks of the same run identical.
    let made = rust_xlsxwriter::ExcelDateTime::from_timestamp(run.started.as_second())?;
    book.set_properties(&rust_xlsxwriter::DocProperties::new().set_creation_datetime(&made));
    let bold = Style::new().set_bold();
    summary(book.add_worksheet().set_name("Summary")?, run, &bold)?;
    rounds(book.add_worksheet().set_name("Rounds")?, run, &bold)?;
    if run.cases.iter().any(crate::report::faults::has) {
        faults::fill(book.add_worksheet().set_name("Faults")?, run, &bold)?;
    }
    environment(book.add_worksheet().set_name("Environment")?, run, &bold)?;
    book.save_to_buffer()
}

fn summary(sheet: &mut Worksheet, run: &RunRecord, bold: &Style) -> Result<(), XlsxError> {
    let mut header: Vec<String> = ["case", "scenario", "server", "param", "validity", "reason", "launches"]
        .map(Into::into)
        .to_vec();
    for metric in Metric::ALL {
        let unit = match metric.unit() {
            Unit::Share => "share",
            unit => unit.symbol(),
        };
        let name = metric.title();
        header.extend([
            format!("{name} ({unit})"),
            format!("{name} low"),
            format!("{name} high"),
        ]);
    }
    head(sheet, &header, bold)?;
    for (case, row) in run.cases.iter().zip(1_u32..) {
        let figures = Figures::of(case);
        let reason = display::unmeasured(&case.outcome).unwrap_or_else(|| {
            let texts: Vec<&str> = figures.findings.iter().map(|f| f.text.as_str()).collect();
            texts.join(" ")
        });
        let level = display::level(figures.level);
        for (text, column) in [&case.id, &case.scenario, &case.server, &case.param, level, &reason]
            .into_iter()
            .zip(0_u16..)
        {
            put_text(sheet, row, column, text)?;
        }
        let launches = figures.metrics.get(&Metric::Throughput).map_or(0, |s| s.launches);
        sheet.write_number(row, 6, super::super::units::float_len(launches))?;
        for (metric, column) in Metric::ALL.into_iter().zip((7_u16..).step_by(3)) {
            let Some(summary) = figures.metrics.get(&metric) else {
                continue;
            };
            sheet.write_number(row, column, summary.mean.point)?;
            if let Some(interval) = summary.mean.interval {
                sheet.write_number(row, column + 1, interval.low)?;
                sheet.write_number(row, column + 2, interval.high)?;
            }
        }
    }
    sheet.autofit();
    Ok(())
}

fn rounds(sheet: &mut Worksheet, run: &RunRecord, bold: &Style) -> Result<(), XlsxError> {
    let names: Vec<String> = COLUMNS.iter().map(|(name, _)| (*name).to_owned()).collect();
    head(sheet, &names, bold)?;
    for (round, row) in rows(run).zip(1_u32..) {
        for ((_, value), column) in COLUMNS.iter().zip(0_u16..) {
            match value(&round) {
                Cell::Text(text) => put_text(sheet, row, column, &text)?,
                Cell::Number(number) if number.is_finite() => {
                    sheet.write_number(row, column, number)?;
                }
                Cell::Number(_) | Cell::Nothing => {}
            }
        }
    }
    Ok(())
}

fn environment(sheet: &mut Worksheet, run: &RunRecord, bold: &Style) -> Result<(), XlsxError> {
    head(sheet, &["fact".into(), "value".into()], bold)?;
    let mut row = 1;
    let mut fact = |name: &str, value: &str| -> Result<(), XlsxError> {
        put_text(sheet, row, 0, name)?;
        put_text(sheet, row, 1, value)?;
        row += 1;
        Ok(())
    };
    for (name, value) in crate::report::facts::of_run(run) {
        fact(&name, &value)?;
    }
    for notice in &run.notices {
        let about = if notice.about.is_empty() { "run" } else { &notice.about };
        fact(&format!("notice on {about}"), &notice.text)?;
    }
    sheet.autofit();
    Ok(())
}

fn head(sheet: &mut Worksheet, names: &[String], bold: &Style) -> Result<(), XlsxError> {
    for (name, column) in names.iter().zip(0_u16..) {
        sheet.write_string_with_format(0, column, name, bold)?;
    }
    sheet.set_freeze_panes(1, 0)?;
    Ok(())
}

/// Writes text as a string, never as a formula.
fn put_text(sheet: &mut Worksheet, row: u32, column: u16, text: &str) -> Result<(), XlsxError> {
    if text.chars().count() > LONGEST {
        let cut: String = text.chars().take(LONGEST).collect();
        sheet.write_string(row, column, cut)?;
    } else {
        sheet.write_string(row, column, text)?;
    }
    Ok(())
}
