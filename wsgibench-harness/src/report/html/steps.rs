//! The steps of a script, and errors and failed checks with the first response of each.

use serde::Serialize;

use crate::{
    load::{Step, script::WHOLE_SCRIPT},
    report::{display, figures::Figures, units},
};

/// Steps and failed checks of one case.
#[derive(Serialize)]
pub(super) struct CaseSteps {
    id: String,
    steps: Vec<StepRow>,
    checks: Vec<CheckRow>,
}

#[derive(Serialize)]
struct StepRow {
    name: String,
    count: String,
    mean: String,
    p50: String,
    p90: String,
    p99: String,
    max: String,
    failed: String,
}

#[derive(Serialize)]
struct CheckRow {
    name: String,
    count: String,
    sample: String,
}

/// Returns the section of a case; `None` without steps, errors with details and failed checks.
pub(super) fn of(figures: &Figures) -> Option<CaseSteps> {
    let steps: Vec<StepRow> = figures
        .steps
        .iter()
        .filter(|step| !step.latency.histogram.is_empty() || step.failed > 0)
        .map(row)
        .collect();
    let errors = figures.error_samples.iter().map(|(kind, sample)| CheckRow {
        name: display::error_kind(*kind),
        count: units::grouped(figures.errors.get(kind).copied().unwrap_or_default()),
        sample: sample.clone(),
    });
    let checks = figures.failed_checks.iter().map(|(name, (count, sample))| CheckRow {
        name: name.clone(),
        count: units::grouped(*count),
        sample: sample.clone(),
    });
    let checks: Vec<CheckRow> = errors.chain(checks).collect();
    (!steps.is_empty() || !checks.is_empty()).then(|| CaseSteps {
        id: figures.case.clone(),
        steps,
        checks,
    })
}

fn row(step: &Step) -> StepRow {
    let latency = &step.latency;
    let none = latency.histogram.is_empty();
    let at = |q: f64| {
        if none {
            return "–".to_owned();
        }
        let quantile = latency.quantile(q);
        let bound = if quantile.at_least { "≥ " } else { "" };
        format!("{bound}{}", units::time(units::float(quantile.ns)))
    };
    StepRow {
        name: if step.name == WHOLE_SCRIPT {
            "whole script".into()
        } else {
            step.name.clone()
        },
        count: units::grouped(latency.histogram.len()),
        mean: if none {
            "–".into()
        } else {
            units::time(latency.histogram.mean())
        },
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        max: at(1.0),
        failed: units::grouped(step.failed),
    }
}
