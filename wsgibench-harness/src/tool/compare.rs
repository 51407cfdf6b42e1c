//! `wsgibench compare`: compares two stored runs case by case, as advice and not as a gate.

use std::process::ExitCode;

use comfy_table::{CellAlignment, Table, presets::NOTHING};
use console::style;

use super::{arguments::Compare, error::ToolError, units};
use crate::{
    report::figures::Figures,
    stats::{
        Margin, Metric,
        baseline::{Advice, BaselineError, Standing, advise},
    },
    store::{
        Fingerprint, Store,
        record::{CaseRecord, RunRecord, ValidityLevel},
    },
};

/// Prints the expected range of the later run given the earlier one, and where its figures lie.
pub(super) fn run(options: &Compare, store: &Store) -> Result<ExitCode, ToolError> {
    let earlier = store.read(&options.earlier)?;
    let later = store.read(&options.later)?;
    if earlier.id == later.id {
        let id = &earlier.id;
        return Err(ToolError::Usage(format!(
            "both arguments name run {id}; name two different runs"
        )));
    }
    let pairs = pairs(&earlier, &later);
    if pairs.is_empty() {
        return Err(ToolError::Failed(format!(
            "the runs {} and {} have no case in common; compare runs of the same cases",
            earlier.id, later.id
        )));
    }
    let metrics: &[Metric] = if options.metrics.is_empty() {
        &Metric::ALL
    } else {
        &options.metrics
    };
    outln!("before: {} of {}", earlier.id, units::minute(earlier.started));
    outln!("after:  {} of {}\n", later.id, units::minute(later.started));
    for (before, after) in pairs {
        outln!("{}{}", style(&after.id).bold(), validity(before, after));
        outln!("{}\n", table(before, after, metrics));
    }
    for line in remarks(&earlier, &later) {
        outln!("{} {line}", style("note:").yellow());
    }
    outln!(
        "Advice, no verdict: the two runs were not measured in turns. If nothing but chance changed, `after` lies within\n\
         `expected` 99 times of 100. For a decision to rely on: cargo bench -- --against GIT_REF --gate"
    );
    Ok(ExitCode::SUCCESS)
}

/// Returns the cases of both runs, in the order of the later one.
fn pairs<'a>(earlier: &'a RunRecord, later: &'a RunRecord) -> Vec<(&'a CaseRecord, &'a CaseRecord)> {
    let before = |id: &str| earlier.cases.iter().find(|case| case.id == id);
    later
        .cases
        .iter()
        .filter_map(|case| Some((before(&case.id)?, case)))
        .collect()
}

fn validity(before: &CaseRecord, after: &CaseRecord) -> String {
    let word = |case: &CaseRecord| match case.validity.level {
        ValidityLevel::Valid => "valid",
        ValidityLevel::Suspect => "suspect",
        ValidityLevel::Invalid => "invalid",
    };
    if before.validity.level == ValidityLevel::Valid && after.validity.level == ValidityLevel::Valid {
        return String::new();
    }
    format!(
        "  ({} before, {} after: read with the reasons in the reports)",
        word(before),
        word(after)
    )
}

fn table(before: &CaseRecord, after: &CaseRecord, metrics: &[Metric]) -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    table.set_header(["", "before", "after", "change", "expected", "launches", ""]);
    let (before, after) = (Figures::of(before), Figures::of(after));
    for &metric in metrics {
        table.add_row(row(metric, launches(&before, metric), &launches(&after, metric)));
    }
    for column in table.column_iter_mut().skip(1).take(5) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Returns one figure per launch.
fn launches(figures: &Figures, metric: Metric) -> Vec<f64> {
    let launches = figures.launches.get(&metric);
    launches.into_iter().flatten().map(|(_, value)| *value).collect()
}

fn row(metric: Metric, before: Vec<f64>, after: &[f64]) -> [String; 7] {
    let launches = format!("{} / {}", before.len(), after.len());
    let title = metric.title().to_owned();
    let value = |value: f64| units::value(metric.unit(), value);
    match advise(metric, metric.default_margin(), &[before], after) {
        Ok(advice) => [
            title,
            value(advice.baseline),
            value(advice.new),
            change(&advice),
            advice.expected.map_or_else(
                || "-".into(),
                |expected| format!("{} to {}", value(expected.low), value(expected.high)),
            ),
            launches,
            standing(advice.standing),
        ],
        Err(error) => {
            let nothing = || "-".to_owned();
            [
                title,
                nothing(),
                nothing(),
                nothing(),
                nothing(),
                launches,
                why_not(error).into(),
            ]
        }
    }
}

fn change(advice: &Advice) -> String {
    match advice.metric.default_margin() {
        Margin::Relative(_) => format!("{:+.1} %", advice.change * 100.0),
        Margin::Absolute(_) => format!("{:+.2} points", advice.change * 100.0),
    }
}

fn standing(standing: Standing) -> String {
    match standing {
        Standing::Worse => style("worse").red().to_string(),
        Standing::Better => style("better").green().to_string(),
        Standing::AsExpected => "as expected".into(),
        Standing::Unknown => "too few launches".into(),
    }
}

fn why_not(error: BaselineError) -> &'static str {
    match error {
        BaselineError::NothingNew => "not measured after",
        BaselineError::NothingBefore => "not measured before",
        BaselineError::Unusable => "ratio undefined",
    }
}

/// Returns differences in environment and settings, without judging them.
fn remarks(earlier: &RunRecord, later: &RunRecord) -> Vec<String> {
    let mut lines = Fingerprint::of(earlier).differences(&Fingerprint::of(later));
    for (run, other) in [(earlier, later), (later, earlier)] {
        let missing: Vec<&str> = run
            .cases
            .iter()
            .map(|case| case.id.as_str())
            .filter(|id| !other.cases.iter().any(|case| case.id == *id))
            .collect();
        if !missing.is_empty() {
            lines.push(format!("only in {}: {}", run.id, missing.join(", ")));
        }
        if run.interrupted {
            lines.push(format!("{} was interrupted and is incomplete", run.id));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::row;
    use crate::stats::Metric;

    #[test]
    fn change_is_shown_with_its_expected_range() {
        console::set_colors_enabled(false);
        let before = vec![40.0, 40.4, 39.8, 40.2];
        let [title, old, new, change, expected, launches, standing] =
            row(Metric::CpuPerRequest, before, &[44.0, 44.2, 43.9]);
        assert_eq!(title, "server CPU per request");
        assert_eq!((old.as_str(), new.as_str()), ("40.10 µs", "44.03 µs"));
        assert_eq!(
            (change.as_str(), launches.as_str(), standing.as_str()),
            ("+9.8 %", "4 / 3", "worse")
        );
        assert!(expected.contains(" to "), "{expected}");
    }

    #[test]
    fn unmeasured_cases_have_no_figure() {
        let cells = row(Metric::P99, Vec::new(), &[1.0]);
        assert_eq!((cells[1].as_str(), cells[6].as_str()), ("-", "not measured before"));
        let cells = row(Metric::ErrorShare, vec![0.0, 0.0], &[0.01, 0.011]);
        assert_eq!(cells[3], "+1.05 points");
    }
}
