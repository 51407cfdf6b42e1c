//! The report as one self-contained HTML file with style, script, charting library and data. Its content security policy
//! forbids network access.

mod compared;
mod conformance;
mod counts;
mod data;
mod endurance;
mod explain;
mod faults;
mod history;
mod missing;
mod servers;
mod steps;
mod table;
#[cfg(test)]
mod tests;
mod view;
mod waits;

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use minijinja::{AutoEscape, Environment, Value, context, value::Serde};
use ring::digest::{SHA256, digest};

use crate::store::{BaselineRun, ConformanceRecord, record::RunRecord, write_output};

const TEMPLATE: &str = include_str!("assets/index.html.jinja");
/// Templates by the names under which they are included.
const PARTS: [(&str, &str); 8] = [
    ("macros", include_str!("assets/macros.html.jinja")),
    ("counts", include_str!("assets/counts.html.jinja")),
    ("faults", include_str!("assets/faults.html.jinja")),
    ("endurance", include_str!("assets/endurance.html.jinja")),
    ("waits", include_str!("assets/waits.html.jinja")),
    ("conformance", include_str!("assets/conformance.html.jinja")),
    ("tuning", include_str!("assets/tuning.html.jinja")),
    ("explain", include_str!("assets/explain.html.jinja")),
];
const STYLE: &str = include_str!("assets/style.css");
const SCRIPT: &str = include_str!("assets/report.js");
/// Draws flame graphs.
const FLAME: &str = include_str!("assets/flame.js");
/// Apache `ECharts` 5.5.1; see `assets/README.md`.
const CHARTS: &str = include_str!("assets/echarts.min.js");

/// Why no report was written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// No run was given.
    #[error("no run to report on")]
    NoRun,
    /// Rendering the template failed, which is a bug.
    #[error("failed to render the report: {0}")]
    Template(#[from] minijinja::Error),
    /// Serializing the figures failed, which is a bug.
    #[error("failed to serialize the report's figures: {0}")]
    Figures(#[from] serde_json::Error),
    /// The report could not be written.
    #[error("{path}: {source}")]
    Disk {
        /// Path of the report.
        path: std::path::PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}

/// The contents of a report.
#[derive(Clone, Copy, Debug, Default)]
pub struct Page<'a> {
    /// The runs in any order: the latest is shown in full, the others in the history.
    pub runs: &'a [&'a RunRecord],
    /// A baseline whose history is shown.
    pub baseline: Option<Baseline<'a>>,
    /// The last conformance results; shown for servers of the run.
    pub conformance: Option<&'a ConformanceRecord>,
    /// Notices on data that could not be loaded, shown at the top.
    pub missing: &'a [String],
}

/// A baseline: its name and its runs, oldest first.
#[derive(Clone, Copy, Debug)]
pub struct Baseline<'a> {
    /// Name.
    pub name: &'a str,
    /// Its runs.
    pub runs: &'a [BaselineRun],
}

/// Writes a report.
///
/// # Errors
/// If there is no run, or the file cannot be written.
pub fn write(page: &Page, path: &Path) -> Result<(), ReportError> {
    let html = render(page)?;
    write_output(path, html.as_bytes()).map_err(|source| ReportError::Disk {
        path: path.to_owned(),
        source,
    })
}

/// Renders a report as a string.
///
/// # Errors
/// If there is no run.
pub fn render(page: &Page) -> Result<String, ReportError> {
    let mut ordered: Vec<&RunRecord> = page.runs.to_vec();
    ordered.sort_by_key(|run| run.started);
    let Some(run) = ordered.last() else {
        return Err(ReportError::NoRun);
    };
    let view = view::View::of(run, &ordered, page);
    let profiles = run
        .explanation
        .as_ref()
        .map(|explanation| explain::data(explanation).to_string());
    let data = for_script(&serde_json::to_string(&data::of(&view.charts()))?);
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    for (name, part) in PARTS {
        environment.add_template(name, part)?;
    }
    environment.add_template("report", TEMPLATE)?;
    let policy = format!(
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; style-src 'unsafe-inline'; \
         script-src {} {} {}",
        hash(CHARTS),
        hash(SCRIPT),
        hash(FLAME)
    );
    Ok(environment.get_template("report")?.render(context! {
        view => Value::from(Serde(&view)),
        style => Value::from_safe_string(STYLE.to_owned()),
        script => Value::from_safe_string(SCRIPT.to_owned()),
        library => Value::from_safe_string(CHARTS.to_owned()),
        data => Value::from_safe_string(data),
        flame => Value::from_safe_string(FLAME.to_owned()),
        profiles => profiles.map(|profiles| Value::from_safe_string(for_script(&profiles))),
        policy => policy,
    })?)
}

/// Returns the hash that allows a script in a content security policy.
fn hash(script: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(digest(&SHA256, script.as_bytes())))
}

/// Serializes JSON for a `<script>` element, escaped so that it cannot end the element or start a comment.
fn for_script(json: &str) -> String {
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}
