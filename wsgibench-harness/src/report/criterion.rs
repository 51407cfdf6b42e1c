//! Criterion's files, as read by critcmp and Criterion's own `--load-baseline`.
//!
//! Each launch is one sample: the time per request in nanoseconds. Each case has a folder
//! `criterion/<scenario>/<server>/<param>/<baseline>/`, escaped for file systems as Criterion does it. A counted case has one
//! for each metric, `criterion/<scenario> <metric>/...`, whose samples are counts per request in place of nanoseconds.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::figures::{Figures, time_per_request};
use crate::{
    counts::decision,
    load::Model,
    stats::{Estimate, Metric, Summary, Tukey, sample::median, summarise},
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
    let sets = run.cases.iter().flat_map(|case| {
        if is_counted(case) {
            Metric::COUNTS
                .map(|metric| counted(case, metric))
                .into_iter()
                .flatten()
                .collect()
        } else {
            vec![(case.scenario.clone(), timed(case))]
        }
        .into_iter()
        .map(move |(group, files)| (case, group, files))
    });
    for (case, group, files) in sets {
        let folder = folder(target, case, &group);
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

fn folder(target: &Path, case: &CaseRecord, group: &str) -> PathBuf {
    target
        .join("criterion")
        .join(safe(group))
        .join(safe(&case.server))
        .join(safe(&case.param))
}

/// The files of a group, by name.
type Files = [(&'static str, Value); 4];

fn is_counted(case: &CaseRecord) -> bool {
    case.candidate()
        .flat_map(|launch| &launch.rounds)
        .any(|round| round.counts.is_some())
}

/// Returns the files of a timed case; `None` without valid figures.
fn timed(case: &CaseRecord) -> Option<Files> {
    let figures = Figures::of(case);
    let summary = figures.time.as_ref().filter(|_| figures.ranked())?;
    files(case, &case.scenario, &case.id, summary, &launch_times(case))
}

/// Returns the group of a counted metric and its files; `None` if the metric was not counted.
fn counted(case: &CaseRecord, metric: Metric) -> Option<(String, Option<Files>)> {
    let launches: Vec<f64> = case
        .candidate()
        .flat_map(|launch| &launch.rounds)
        .filter_map(|round| round.metrics.get(metric.id()).copied())
        .collect();
    if launches.is_empty() {
        return None;
    }
    let group = format!("{} {}", case.scenario, metric.id());
    let id = format!("{group}/{}/{}", case.server, case.param);
    let rounds: Vec<Vec<f64>> = launches.iter().map(|value| vec![*value]).collect();
    let files = summarise(&rounds)
        .ok()
        .filter(|_| decision::cannot_be_counted(&launches).is_none())
        .and_then(|summary| files(case, &group, &id, &summary, &launches));
    Some((group, files))
}

fn files(case: &CaseRecord, group: &str, id: &str, summary: &Summary, times: &[f64]) -> Option<Files> {
    let tukey = Tukey::of(times)?;
    let parts = [group, &case.server, &case.param].map(safe);
    let benchmark = json!({
        "group_id": group,
        "function_id": case.server,
        "value_str": case.param,
        "throughput": {"Elements": 1},
        "full_id": id,
        "directory_name": parts.join("/"),
        "title": id,
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
