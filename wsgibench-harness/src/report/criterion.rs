//! Criterion's files, as read by critcmp and Criterion's own `--load-baseline`.
//!
//! Each launch is one sample: the time per request in nanoseconds. Each case has a folder
//! `criterion/<scenario>/<server>/<param>/<baseline>/`, escaped for file systems as Criterion does it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::figures::{Figures, time_per_request};
use crate::{
    load::Model,
    stats::{Estimate, Tukey, sample::median},
    store::{
        record::{CaseRecord, RunRecord, ValidityLevel},
        write_atomically,
    },
};

/// Maximum length of a folder name in bytes; Criterion's own limit.
const LONGEST: usize = 64;

/// Writes `new` and the baseline (`base` by default) of each case to `target/criterion`. Files of cases that were not
/// measured are removed, so that stale figures are not taken for this run's.
///
/// # Errors
/// If a file cannot be written; the error names the path.
pub fn write(run: &RunRecord, target: &Path, baseline: Option<&str>) -> io::Result<()> {
    for case in &run.cases {
        let folder = folder(target, case);
        let files = files(case);
        for name in ["new", baseline.unwrap_or("base")] {
            let folder = folder.join(safe(name));
            match &files {
                Some(files) => {
                    for (name, content) in files {
                        let path = folder.join(name);
                        let bytes = serde_json::to_vec(content)?;
                        write_atomically(&path, &bytes).map_err(|e| at(&path, &e))?;
                    }
                }
                None => remove(&folder)?,
            }
        }
    }
    Ok(())
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(at(folder, &e)),
        _ => Ok(()),
    }
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn folder(target: &Path, case: &CaseRecord) -> PathBuf {
    target
        .join("criterion")
        .join(safe(&case.scenario))
        .join(safe(&case.server))
        .join(safe(&case.param))
}

/// Returns the four files of a case; `None` without valid figures.
fn files(case: &CaseRecord) -> Option<[(&'static str, Value); 4]> {
    let figures = Figures::of(case);
    let summary = figures.time.as_ref().filter(|_| figures.ranked())?;
    let times = launch_times(case);
    let tukey = Tukey::of(&times)?;
    let parts = [&case.scenario, &case.server, &case.param].map(|part| safe(part));
    let benchmark = json!({
        "group_id": case.scenario,
        "function_id": case.server,
        "value_str": case.param,
        "throughput": {"Elements": 1},
        "full_id": case.id,
        "directory_name": parts.join("/"),
        "title": case.id,
    });
    let sample = json!({
        "sampling_mode": "Flat",
        "iters": vec![1.0; times.len()],
        "times": times,
    });
    let nothing = Estimate::bare(0.0);
    let estimates = json!({
        "mean": estimate(&summary.mean),
        "median": estimate(&summary.median),
        "median_abs_dev": estimate(summary.median_abs_dev.as_ref().unwrap_or(&nothing)),
        "slope": null,
        "std_dev": estimate(summary.std_dev.as_ref().unwrap_or(&nothing)),
    });
    Some([
        ("benchmark.json", benchmark),
        ("sample.json", sample),
        ("estimates.json", estimates),
        ("tukey.json", json!(tukey.fences())),
    ])
}

/// Returns the time per request of each launch in nanoseconds: the median of its valid rounds.
fn launch_times(case: &CaseRecord) -> Vec<f64> {
    let scheduled = !matches!(case.load.model, Model::Closed { .. });
    case.candidate()
        .filter_map(|launch| {
            let rounds: Vec<f64> = launch
                .rounds
                .iter()
                .filter(|r| r.validity.level != ValidityLevel::Invalid)
                .filter_map(|r| time_per_request(r, scheduled))
                .collect();
            (!rounds.is_empty()).then(|| median(&rounds))
        })
        .collect()
}

fn estimate(estimate: &Estimate) -> Value {
    json!({
        "confidence_interval": {
            "confidence_level": estimate.interval.map_or(0.95, |i| i.confidence),
            "lower_bound": estimate.low(),
            "upper_bound": estimate.high(),
        },
        "point_estimate": estimate.point,
        "standard_error": estimate.standard_error.unwrap_or(0.0),
    })
}

/// Escapes a folder name as Criterion does.
fn safe(name: &str) -> String {
    let mut safe: String = name
        .chars()
        .map(|c| {
            if "?\"/\\*<>:|^".contains(c) || c.is_control() {
                '_'
            } else {
                c
            }
        })
        .collect();
    while safe.len() > LONGEST {
        safe.pop();
    }
    // A name of dots alone would escape the folder.
    if safe.chars().all(|c| c == '.') {
        safe = safe.replace('.', "_");
    }
    safe
}
