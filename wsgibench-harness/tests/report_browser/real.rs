//! A real measured run, compared with its file.

use std::path::{Path, PathBuf};

use serde_json::Value;
use wsgibench_harness::store::{Store, record::RunRecord};

use crate::browser::{DRAW_ALL, Report, both_themes, opening};

/// Reads the run of `WSGIBENCH_REAL_RUN` (a `run.json`), else one stored with an early schema version, whose display must
/// stay the same in later versions.
fn real_run() -> (PathBuf, RunRecord) {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/assets/run-v1.json");
    let path = std::env::var_os("WSGIBENCH_REAL_RUN").map_or(kept, PathBuf::from);
    let nowhere = Store::new(Path::new("/nonexistent"));
    let run = nowhere.read(path.to_str().unwrap()).unwrap();
    (path, run)
}

/// Computes a case's figure from the file independently: the mean over launches of the median of their rounds.
fn from_the_file(case: &Value, metric: &str) -> f64 {
    let launches = case["launches"].as_array().unwrap();
    let of_launch = |launch: &Value| {
        let rounds = launch["rounds"].as_array().unwrap().iter();
        let sound = rounds.filter(|r| r["validity"]["level"] != "invalid");
        let mut values: Vec<f64> = sound.map(|r| r["metrics"][metric].as_f64().unwrap()).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        match values.len() {
            0 => None,
            n if n % 2 == 1 => Some(values[middle]),
            _ => Some(f64::midpoint(values[middle - 1], values[middle])),
        }
    };
    let of_launches: Vec<f64> = launches.iter().filter_map(of_launch).collect();
    #[expect(clippy::cast_precision_loss, reason = "a handful of launches")]
    let count = of_launches.len() as f64;
    of_launches.iter().sum::<f64>() / count
}

/// Parses `123.4 µs` and `12,345` as numbers, times in µs.
fn number(text: &str) -> f64 {
    let mut words = text.split(' ');
    let value: f64 = words.next().unwrap().replace(',', "").parse().unwrap();
    let unit = match words.next() {
        Some("ns") => 1e-3,
        None | Some("µs") => 1.0,
        Some("ms") => 1e3,
        Some("s") => 1e6,
        other => panic!("{other:?} in {text}"),
    };
    value * unit
}

pub(crate) fn a_real_run_shows_the_figures_of_its_file() {
    let (path, run) = real_run();
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let page = Report::open(&[&run], 1400);
    let (painted, loaded, bytes) = opening(&page);
    eprintln!("a real run: {bytes} bytes, first paint after {painted:.0} ms, loaded after {loaded:.0} ms");
    assert!(bytes < 5 << 20, "{bytes}");
    let mut shown = 0;
    for case in file["cases"].as_array().unwrap() {
        let id = case["id"].as_str().unwrap();
        let row = page.eval(&format!(
            "const row = document.querySelector(`table.ranking tr[data-case=\"${{CSS.escape({id:?})}}\"]`); \
             return row && [row.querySelector('[data-figure=by]').textContent, row.querySelector('[data-figure=cpu]').textContent]"
        ));
        let Some(by) = row[0].as_str() else { continue };
        let closed = case["load"]["model"].to_string().contains("closed");
        let metric = if closed { "throughput" } else { "p99" };
        // Displayed figures are rounded to four digits.
        for (text, metric) in [(by, metric), (row[1].as_str().unwrap(), "cpu_per_request")] {
            let (shown, computed) = (number(text), from_the_file(case, metric));
            assert!(
                (shown / computed - 1.0).abs() < 6e-4,
                "{id} {metric}: {text} is not {computed}"
            );
        }
        shown += 1;
    }
    assert!(shown > 0, "no case of the run is ranked");
    let charts = page.eval(&format!(
        "{DRAW_ALL} return document.querySelectorAll('.canvas').length"
    ));
    assert!(charts.as_u64().unwrap() >= 8, "{charts}");
    // All notices of the run, and the start command of each server.
    let text = page.eval(
        "document.querySelectorAll('details').forEach((d) => { d.open = true; }); return document.body.innerText",
    );
    let text = text.as_str().unwrap();
    for notice in &run.notices {
        let first = notice.text.lines().next().unwrap();
        assert!(text.contains(first.trim()), "the notice is missing: {first}");
    }
    for server in &run.servers {
        for argument in &server.spec.command {
            assert!(
                text.contains(argument.as_str()),
                "{}: {argument} is missing",
                server.spec.name
            );
        }
        if let Some(digest) = &server.image_digest {
            assert!(text.contains(digest.as_str()), "{digest} is missing");
        }
    }
    page.quiet();
    page.shot("real-wide-light");
}

pub(crate) fn a_real_run_is_accessible_in_both_themes_wide_and_narrow() {
    let (_, run) = real_run();
    for (width, page) in Report::open_at(&[&run], [1400, 390]) {
        both_themes(&page, &format!("real-{width}"), width);
    }
}
