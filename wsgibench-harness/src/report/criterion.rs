//! criterion's files: what critcmp and criterion's own `--load-baseline` read.
//!
//! One sample a launch: the time per request in nanoseconds. Each case has a folder
//! `criterion/<scenario>/<server>/<param>/<baseline>/`, made safe for file systems as criterion does it.

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

/// Longest name of a folder, bytes; criterion's own limit.
const LONGEST: usize = 64;

/// Writes `new` and the baseline (`base` unless one is named) for each case under `target/criterion`. The files of a case
/// that could not be measured are removed: an old figure must not be taken for this run's.
///
/// # Errors
/// When the disk says no; the error names the path.
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

/// The four files of a case; `None` when it has no figure that can be believed.
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

/// Time per request of each launch: the median of its sound rounds, ns.
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

/// A name as criterion makes it safe for a folder.
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
    // Only dots would lead out of the folder.
    if safe.chars().all(|c| c == '.') {
        safe = safe.replace('.', "_");
    }
    safe
}
