//! Tables of counts per request, system calls and attribution.

use super::{
    table::{Table, numeric_column, text_column},
    view::dash,
};
use crate::{
    report::{
        comparison::Comparison,
        counts::{CountFigures, attribution_rows},
        units,
    },
    stats::Metric,
    store::{arms::CANDIDATE, record::RunRecord},
};

/// Returns the tables of a counted run; none is empty.
pub(super) fn of(run: &RunRecord, comparison: Option<&Comparison>) -> Vec<Table> {
    let counted: Vec<(&str, CountFigures)> = run
        .cases
        .iter()
        .filter_map(|case| Some((case.id.as_str(), CountFigures::of_arm(case, CANDIDATE)?)))
        .collect();
    let mut tables = vec![figures(&counted), calls(&counted)];
    if let Some(comparison) = comparison {
        tables.extend(attribution(comparison));
    }
    tables.into_iter().filter_map(Table::filled).collect()
}

fn figures(counted: &[(&str, CountFigures)]) -> Table {
    let percent = |spread: Option<f64>| spread.map_or_else(dash, |spread| format!("{:.3} %", spread * 100.0));
    let row = |(id, counts): &(&str, CountFigures)| {
        let of = |metric: Metric| counts.counts.iter().find(|count| count.metric == metric);
        let mean = |metric: Metric| of(metric).map_or_else(dash, |count| units::metric(metric, count.mean));
        let spread = |metric: Metric| percent(of(metric).and_then(|count| count.spread));
        vec![
            (*id).to_owned(),
            mean(Metric::InstructionsPerRequest),
            spread(Metric::InstructionsPerRequest),
            mean(Metric::SyscallsPerRequest),
            spread(Metric::SyscallsPerRequest),
            mean(Metric::StatementsPerRequest),
            units::count(counts.bytes.0),
            units::count(counts.bytes.1),
            counts.launches.to_string(),
            counts
                .cannot
                .as_ref()
                .map_or_else(String::new, |why| format!("cannot be counted: {why}")),
        ]
    };
    Table {
        id: "counts-table".into(),
        title: "Counts per request".into(),
        caption:
            "User-space instructions, system calls (without clock reads and waits of threads for each other), database \
                  statements and bytes. SD is the standard deviation of the logarithm between launches."
                .into(),
        heads: vec![
            text_column("case"),
            numeric_column("instructions"),
            numeric_column("SD"),
            numeric_column("system calls"),
            numeric_column("SD"),
            numeric_column("statements"),
            numeric_column("bytes to the server"),
            numeric_column("bytes back"),
            numeric_column("launches"),
            text_column("remark"),
        ],
        rows: counted.iter().map(row).collect(),
    }
}

fn calls(counted: &[(&str, CountFigures)]) -> Table {
    let rows = counted.iter().filter_map(|(id, counts)| {
        let [clocks, waits] = counts.left_out();
        Some(vec![
            (*id).to_owned(),
            counts.calls_line()?,
            format!("{clocks:.1}"),
            format!("{waits:.1}"),
        ])
    });
    Table {
        id: "counts-calls".into(),
        title: "System calls by name".into(),
        caption: "Calls per request in the first launch, the most frequent first. Outside of valgrind, clock reads enter the kernel \
                  rarely."
            .into(),
        heads: vec![
            text_column("case"),
            text_column("calls"),
            numeric_column("clock reads"),
            numeric_column("waits of threads"),
        ],
        rows: rows.collect(),
    }
}

fn attribution(comparison: &Comparison) -> impl Iterator<Item = Table> {
    comparison
        .attribution
        .iter()
        .enumerate()
        .map(|(index, (case, attribution))| Table {
            id: format!("counts-attribution-{index}"),
            title: format!("Changed functions of {case}"),
            caption: "Instructions per request of the libraries and functions that changed most, each without those that it calls.".into(),
            heads: vec![
                text_column("function"),
                text_column("file"),
                numeric_column("base"),
                numeric_column("candidate"),
                numeric_column("change"),
            ],
            rows: attribution_rows(attribution).into_iter().map(Vec::from).collect(),
        })
}
