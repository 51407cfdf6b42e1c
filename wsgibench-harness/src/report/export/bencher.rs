//! Bencher's metric format, and libtest's bench output. Both leave out invalid cases and cases with faults.

use serde_json::{Map, Value, json};

use super::{ExportError, Format};
use crate::{
    report::{faults, figures::Figures, units},
    stats::{Metric, Summary},
    store::record::RunRecord,
};

/// Measures in addition to Bencher's own `latency` and `throughput`, by metric.
const MEASURES: &[(Metric, &str)] = &[
    (Metric::Throughput, "throughput"),
    (Metric::CpuPerRequest, "cpu-per-request-us"),
    (Metric::P50, "p50-us"),
    (Metric::P99, "p99-us"),
    (Metric::PeakMemory, "peak-memory-bytes"),
    (Metric::ErrorShare, "error-share"),
    (Metric::StartUpTime, "start-up-seconds"),
    (Metric::InstructionsPerRequest, "instructions-per-request"),
    (Metric::SyscallsPerRequest, "syscalls-per-request"),
    (Metric::StatementsPerRequest, "statements-per-request"),
];

pub(super) fn json(run: &RunRecord) -> Result<Vec<u8>, ExportError> {
    let mut benchmarks = Map::new();
    for (id, figures) in ranked_cases(run) {
        let mut measures = Map::new();
        if let Some(time) = &figures.time {
            measures.insert("latency".into(), measure(time));
        }
        for (metric, name) in MEASURES {
            if let Some(summary) = figures.metrics.get(metric) {
                measures.insert((*name).into(), measure(summary));
            }
        }
        benchmarks.insert(id.to_owned(), Value::Object(measures));
    }
    serde_json::to_vec_pretty(&benchmarks).map_err(|e| ExportError::form(Format::Bencher, e))
}

fn measure(summary: &Summary) -> Value {
    match summary.mean.interval {
        Some(i) => json!({"value": summary.mean.point, "lower_value": i.low, "upper_value": i.high}),
        None => json!({"value": summary.mean.point}),
    }
}

/// Formats `test ping/bjoern/c64 ... bench:      14,238 ns/iter (+/- 224)`: the time per request and half its confidence
/// interval (0 for a single launch).
pub(super) fn lines(run: &RunRecord) -> String {
    let mut text = String::new();
    for (id, figures) in ranked_cases(run) {
        let Some(time) = &figures.time else { continue };
        let half = (time.mean.high() - time.mean.low()) / 2.0;
        let id: String = id.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        text.push_str(&format_line(&id, time.mean.point, half));
    }
    text
}

fn format_line(id: &str, ns: f64, half: f64) -> String {
    format!("test {id} ... bench: {:>11} ns/iter (+/- {})\n", whole(ns), whole(half))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "times are not negative, and what is beyond u64 saturates"
)]
fn whole(ns: f64) -> String {
    units::grouped(ns.round() as u64)
}

/// Returns the cases that may be ranked, with their figures. Cases with faults have no time per request.
pub(super) fn ranked_cases(run: &RunRecord) -> impl Iterator<Item = (&str, Figures)> {
    run.cases
        .iter()
        .filter(|case| !faults::has(case))
        .map(|case| (case.id.as_str(), Figures::of(case)))
        .filter(|(_, figures)| figures.ranked())
}
