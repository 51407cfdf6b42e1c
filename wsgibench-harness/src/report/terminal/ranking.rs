//! The ranking of one scenario and parameter set.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use console::style;

use super::text::{WIDTH, cut, wrapped};
use crate::{
    declare::Variant,
    report::{
        display,
        figures::Figures,
        ranking::{Ranking, server_of},
        units,
    },
    stats::{Metric, Summary},
    store::record::{RunRecord, ValidityLevel},
};

/// Maximum width of a server name in a table.
const NAME: usize = 24;

pub(super) fn render(run: &RunRecord, figures: &[Figures], ranking: &Ranking) -> String {
    let mut text = String::from("\n");
    text.push_str(&title(run, ranking));
    let mut notes = Notes::default();
    if !ranking.rows.is_empty() {
        let mut table = Table::new();
        table
            .load_preset(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled);
        let figure = match ranking.by {
            Metric::Throughput => "req/s [95 % interval]",
            _ => "p99 [95 % interval]",
        };
        let other = if ranking.by == Metric::Throughput {
            "p99"
        } else {
            "req/s"
        };
        table.set_header(["rank", "server", figure, other, "CPU/req", "memory", "errors"]);
        for row in &ranking.rows {
            let (case, one) = (&run.cases[row.case], &figures[row.case]);
            let marks = notes.marks(run, case, one);
            table.add_row([
                row.place(),
                format!("{}{marks}", cut(&case.server, NAME - marks.chars().count())),
                one.metrics
                    .get(&ranking.by)
                    .map_or_else(dash, |s| interval(s, ranking.by)),
                point(
                    one,
                    if ranking.by == Metric::Throughput {
                        Metric::P99
                    } else {
                        Metric::Throughput
                    },
                ),
                point(one, Metric::CpuPerRequest),
                point(one, Metric::PeakMemory),
                point(one, Metric::ErrorShare),
            ]);
        }
        for column in [0, 2, 3, 4, 5, 6] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for line in table.lines() {
            text.push_str(&cut_end(&line));
            text.push('\n');
        }
        let undivided = ranking.rows.iter().any(|r| r.best != r.worst);
        if undivided {
            text.push_str(&wrapped(
                "  ",
                "Servers with overlapping ranks do not differ significantly in these launches.",
            ));
        }
    }
    for note in &notes.lines {
        text.push_str(&wrapped("  ", note));
    }
    for &index in &ranking.unranked {
        text.push_str(&unranked(run, figures, index));
    }
    text
}

fn title(run: &RunRecord, ranking: &Ranking) -> String {
    let load = run
        .cases
        .iter()
        .find(|c| c.scenario == ranking.scenario && c.param == ranking.param)
        .map_or_else(String::new, display::work);
    let variant = match ranking.variant {
        Variant::Tuned => "",
        Variant::Default => ", untuned",
    };
    let name = format!("{}/{}", ranking.scenario, ranking.param);
    let line = cut(&format!("{name}: {load}{variant}"), WIDTH);
    format!("{}\n", style(line).bold())
}

fn unranked(run: &RunRecord, figures: &[Figures], index: usize) -> String {
    let case = &run.cases[index];
    let why = display::unmeasured(&case.outcome).unwrap_or_else(|| {
        let reasons: Vec<&str> = figures[index]
            .findings
            .iter()
            .filter(|f| f.level == ValidityLevel::Invalid)
            .map(|f| f.text.as_str())
            .collect();
        match (reasons.is_empty(), figures[index].failed_launches.first()) {
            (false, _) => format!("invalid: {}", reasons.join("; ")),
            (true, Some((_, error))) => format!("no valid round: {error}"),
            (true, None) => "no valid round".into(),
        }
    });
    let label = format!("  not ranked: {} ", style(cut(&case.server, NAME)).red());
    wrapped(&label, &why)
}

/// Returns footnotes: `*` for remarks of the declaration, `?` for suspect figures.
#[derive(Default)]
struct Notes {
    lines: Vec<String>,
}

impl Notes {
    fn marks(&mut self, run: &RunRecord, case: &crate::store::record::CaseRecord, figures: &Figures) -> String {
        let mut marks = String::new();
        let remarks = server_of(run, case).map_or(&[][..], |s| s.spec.notes.as_slice());
        if !remarks.is_empty() {
            marks.push('*');
            self.lines.push(format!("* {}: {}", case.server, remarks.join(" ")));
        }
        if figures.level == ValidityLevel::Suspect {
            marks.push('?');
            let reasons: Vec<&str> = figures.findings.iter().map(|f| f.text.as_str()).collect();
            self.lines
                .push(format!("? {}: suspect. {}", case.server, reasons.join("; ")));
        }
        marks
    }
}

fn point(figures: &Figures, metric: Metric) -> String {
    figures
        .metrics
        .get(&metric)
        .map_or_else(dash, |s| units::metric(metric, s.mean.point))
}

fn interval(summary: &Summary, metric: Metric) -> String {
    let point = units::metric(metric, summary.mean.point);
    match summary.mean.interval {
        Some(i) => format!(
            "{point} [{} {}]",
            units::metric(metric, i.low),
            units::metric(metric, i.high)
        ),
        None => format!("{point} [one launch]"),
    }
}

fn dash() -> String {
    "-".into()
}

fn cut_end(line: &str) -> String {
    console::truncate_str(line.trim_end(), WIDTH, "…").into_owned()
}
