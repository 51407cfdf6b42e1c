//! github-action-benchmark's `customSmallerIsBetter` format: figures for which smaller is better.

use serde_json::{Value, json};

use super::{ExportError, Format, bencher::ranked_cases};
use crate::{
    report::units,
    stats::{Metric, Summary},
    store::record::RunRecord,
};

const METRICS: &[(Metric, &str)] = &[
    (Metric::CpuPerRequest, "us/request"),
    (Metric::P50, "us"),
    (Metric::P99, "us"),
    (Metric::PeakMemory, "bytes"),
    (Metric::ErrorShare, "share"),
];

pub(super) fn render(run: &RunRecord) -> Result<Vec<u8>, ExportError> {
    let mut figures_of_all: Vec<Value> = Vec::new();
    for (id, figures) in ranked_cases(run) {
        if let Some(time) = &figures.time {
            figures_of_all.push(figure(&format!("{id} time per request"), "ns/request", time));
        }
        for (metric, unit) in METRICS {
            // The tool compares by ratio, which is undefined for a figure of 0.
            if let Some(summary) = figures.metrics.get(metric).filter(|summary| summary.mean.point > 0.0) {
                figures_of_all.push(figure(&format!("{id} {}", metric.title()), unit, summary));
            }
        }
    }
    serde_json::to_vec_pretty(&figures_of_all).map_err(|e| ExportError::form(Format::Github, e))
}

fn figure(name: &str, unit: &str, summary: &Summary) -> Value {
    let extra = format!("{} launches", units::grouped(summary.launches as u64));
    let mut value = json!({"name": name, "unit": unit, "value": summary.mean.point, "extra": extra});
    if let Some(i) = summary.mean.interval {
        let half = (i.high - i.low) / 2.0;
        value["range"] = json!(format!("± {half:.4}"));
    }
    value
}
