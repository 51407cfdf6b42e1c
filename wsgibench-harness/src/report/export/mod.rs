//! Exports of a run to spreadsheets, CI systems, benchmark trackers and pictures.

mod bencher;
mod csv;
mod github;
#[cfg(feature = "junit")]
mod junit;
mod markdown;
#[cfg(feature = "pictures")]
pub mod pictures;
mod table;
#[cfg(feature = "spreadsheet")]
mod xlsx;

use std::{fmt, io::Write as _, path::Path, str::FromStr};

pub(super) use table::harmless;

use crate::{
    profile::export,
    store::{ignore_closed_pipe, record::RunRecord, write_output},
};

/// An export format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// CSV, one row per round.
    Csv,
    /// Excel workbook: summary, rounds, faults (if any), environment.
    Xlsx,
    /// `JUnit` XML: each case is a test, each gated regression a failure.
    Junit,
    /// Markdown tables for a pull-request comment or a job summary.
    Markdown,
    /// Bencher's metric format (JSON).
    Bencher,
    /// libtest's bench output.
    BencherLines,
    /// github-action-benchmark's `customSmallerIsBetter` (JSON).
    Github,
    /// The run record as JSON.
    Json,
    /// A folder of charts as SVG.
    Svg,
    /// A folder of charts as PNG.
    Png,
    /// Profiles of `--explain` as folded stacks, for flame graph tools.
    Folded,
    /// Profiles of `--explain` for speedscope (JSON).
    Speedscope,
    /// Profiles of `--explain` for pprof (compressed).
    Pprof,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 13] = [
        Self::Csv,
        Self::Xlsx,
        Self::Junit,
        Self::Markdown,
        Self::Bencher,
        Self::BencherLines,
        Self::Github,
        Self::Json,
        Self::Svg,
        Self::Png,
        Self::Folded,
        Self::Speedscope,
        Self::Pprof,
    ];

    /// Returns its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Xlsx => "xlsx",
            Self::Junit => "junit",
            Self::Markdown => "markdown",
            Self::Bencher => "bencher",
            Self::BencherLines => "bencher-lines",
            Self::Github => "github-action-benchmark",
            Self::Json => "json",
            Self::Svg => "svg",
            Self::Png => "png",
            Self::Folded => "folded",
            Self::Speedscope => "speedscope",
            Self::Pprof => "pprof",
        }
    }

    /// Returns the cargo feature that provides it, and whether this build has that feature; `None` if every build provides
    /// the format.
    fn feature(self) -> Option<(&'static str, bool)> {
        match self {
            Self::Xlsx => Some(("spreadsheet", cfg!(feature = "spreadsheet"))),
            Self::Junit => Some(("junit", cfg!(feature = "junit"))),
            Self::Svg | Self::Png => Some(("pictures", cfg!(feature = "pictures"))),
            Self::Csv
            | Self::Markdown
            | Self::Bencher
            | Self::BencherLines
            | Self::Github
            | Self::Json
            | Self::Folded
            | Self::Speedscope
            | Self::Pprof => None,
        }
    }

    /// Returns whether it writes the profiles of `--explain`.
    #[must_use]
    pub fn is_profile(self) -> bool {
        matches!(self, Self::Folded | Self::Speedscope | Self::Pprof)
    }

    /// Checks that this build provides the format.
    ///
    /// # Errors
    /// [`ExportError::NotBuilt`], which names the missing cargo feature.
    pub fn check_built(self) -> Result<(), ExportError> {
        match self.feature() {
            Some((feature, false)) => Err(ExportError::NotBuilt { format: self, feature }),
            _ => Ok(()),
        }
    }

    /// Returns whether it writes a folder of files.
    #[must_use]
    pub fn is_folder(self) -> bool {
        matches!(self, Self::Svg | Self::Png)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Format {
    type Err = ExportError;

    fn from_str(text: &str) -> Result<Self, ExportError> {
        let name = text.trim().to_lowercase().replace('_', "-");
        let name = match name.as_str() {
            "md" => "markdown",
            "github" => "github-action-benchmark",
            "excel" => "xlsx",
            other => other,
        };
        Self::ALL
            .into_iter()
            .find(|format| format.name() == name)
            .ok_or_else(|| ExportError::Unknown(text.trim().to_owned()))
    }
}

/// Why an export failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The format is unknown.
    #[error("unknown format `{0}`; use one of {list}", list = names())]
    Unknown(String),
    /// A format of several files was requested as a single one.
    #[error("{0} writes a folder of files; use `--export {0}=FOLDER`")]
    Folder(Format),
    /// The build lacks the cargo feature that the format needs.
    #[error(
        "format {format} needs the cargo feature `{feature}`, which this build lacks; build with `cargo bench --features wsgibench-harness/{feature}`, or `cargo install --features {feature}` for the command `wsgibench`"
    )]
    NotBuilt {
        /// The requested format.
        format: Format,
        /// Name of the cargo feature.
        feature: &'static str,
    },
    /// A file could not be written.
    #[error("failed to write {path}: {source}")]
    Disk {
        /// Path of the file.
        path: std::path::PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The run has no profiles.
    #[error("run {run} has no profiles to write as {format}; add --explain")]
    NoProfile {
        /// The format.
        format: Format,
        /// The run.
        run: String,
    },
    /// Rendering failed.
    #[error("failed to render the run as {format}: {reason}")]
    Form {
        /// The format.
        format: Format,
        /// The library's message.
        reason: String,
    },
}

fn names() -> String {
    Format::ALL.map(Format::name).join(", ")
}

impl ExportError {
    fn form(format: Format, reason: impl fmt::Display) -> Self {
        Self::Form {
            format,
            reason: reason.to_string(),
        }
    }
}

/// Renders a single-file format as bytes.
///
/// # Errors
/// If the format is a folder, the build lacks its feature, or rendering fails.
pub fn render(format: Format, run: &RunRecord) -> Result<Vec<u8>, ExportError> {
    format.check_built()?;
    match format {
        Format::Csv => csv::render(run),
        #[cfg(feature = "spreadsheet")]
        Format::Xlsx => xlsx::render(run),
        #[cfg(feature = "junit")]
        Format::Junit => junit::render(run),
        Format::Markdown => Ok(markdown::render(run).into_bytes()),
        Format::Bencher => bencher::json(run),
        Format::BencherLines => Ok(bencher::lines(run).into_bytes()),
        Format::Github => github::render(run),
        Format::Json => {
            let mut bytes = serde_json::to_vec_pretty(run).map_err(|e| ExportError::form(format, e))?;
            bytes.push(b'\n');
            Ok(bytes)
        }
        Format::Folded | Format::Speedscope | Format::Pprof => profile(format, run),
        _ => Err(ExportError::Folder(format)),
    }
}

fn profile(format: Format, run: &RunRecord) -> Result<Vec<u8>, ExportError> {
    let Some(explanation) = &run.explanation else {
        return Err(ExportError::NoProfile {
            format,
            run: run.id.clone(),
        });
    };
    match format {
        Format::Folded => Ok(export::folded(explanation).into_bytes()),
        Format::Speedscope => {
            serde_json::to_vec(&export::speedscope(explanation)).map_err(|e| ExportError::form(format, e))
        }
        _ => export::pprof(explanation).map_err(|e| ExportError::form(format, e)),
    }
}

/// Writes a run to a file, or to a folder of files ([`Format::is_folder`]); `-` is standard output.
///
/// # Errors
/// If the build lacks the format's feature, or rendering or writing fails.
pub fn write(format: Format, run: &RunRecord, path: &Path) -> Result<(), ExportError> {
    if format.is_folder() {
        if path == Path::new("-") {
            return Err(ExportError::Folder(format));
        }
        return write_folder(format, run, path);
    }
    put(path, &render(format, run)?)
}

#[cfg(feature = "pictures")]
fn write_folder(format: Format, run: &RunRecord, folder: &Path) -> Result<(), ExportError> {
    for chart in pictures::charts(run) {
        let svg = pictures::svg(&chart).map_err(|e| ExportError::form(format, e))?;
        let bytes = match format {
            Format::Png => pictures::png(&svg).map_err(|e| ExportError::form(format, e))?,
            _ => svg.into_bytes(),
        };
        put(&folder.join(format!("{}.{format}", chart.id)), &bytes)?;
    }
    Ok(())
}

#[cfg(not(feature = "pictures"))]
fn write_folder(format: Format, _run: &RunRecord, _folder: &Path) -> Result<(), ExportError> {
    format.check_built()
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), ExportError> {
    let written = if path == Path::new("-") {
        ignore_closed_pipe(std::io::stdout().write_all(bytes))
    } else {
        write_output(path, bytes)
    };
    written.map_err(|source| ExportError::Disk {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_an_unknown_one_lists_them() {
        for format in Format::ALL {
            assert_eq!(format.name().parse::<Format>().unwrap(), format);
        }
        let error = "pdf".parse::<Format>().unwrap_err().to_string();
        assert!(error.contains("`pdf`") && error.contains("xlsx"), "{error}");
    }

    #[cfg(not(all(feature = "junit", feature = "spreadsheet", feature = "pictures")))]
    #[test]
    fn format_without_its_feature_names_the_feature() {
        let absent = Format::ALL
            .into_iter()
            .filter_map(|format| Some((format, format.feature()?)));
        for (format, (feature, built)) in absent {
            let checked = format.check_built();
            assert_eq!(checked.is_ok(), built, "{format}");
            if let Err(error) = checked {
                let error = error.to_string();
                assert!(
                    error.contains(&format!("--features wsgibench-harness/{feature}")),
                    "{error}"
                );
            }
        }
    }
}
