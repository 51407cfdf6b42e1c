//! A run for other programs: spreadsheets, CI systems, benchmark trackers, papers.

mod bencher;
mod csv;
mod github;
mod junit;
mod markdown;
#[cfg(feature = "pictures")]
pub mod pictures;
mod table;
mod xlsx;

use std::{fmt, path::Path, str::FromStr};

pub(super) use table::harmless;

use crate::store::{record::RunRecord, write_atomically};

/// A form in which a run can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// One row a round.
    Csv,
    /// A workbook: summary, rounds, faults where there are any, environment.
    Xlsx,
    /// `JUnit` XML: a case is a test, a gated regression a failure.
    Junit,
    /// Tables for a pull-request comment or a job summary.
    Markdown,
    /// Bencher's metric format (JSON).
    Bencher,
    /// Lines as libtest's benches print them.
    BencherLines,
    /// github-action-benchmark's `customSmallerIsBetter` (JSON).
    Github,
    /// The run itself.
    Json,
    /// A folder of charts as SVG.
    Svg,
    /// A folder of charts as PNG.
    Png,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 10] = [
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
    ];

    /// Its name on the command line.
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
        }
    }

    /// Whether it makes a folder of files.
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

/// Why nothing was exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// No such format.
    #[error("there is no format `{0}`; choose from {list}", list = names())]
    Unknown(String),
    /// A format that is several files was asked for as one.
    #[error("{0} is a folder of files: give `--export {0}=FOLDER`")]
    Folder(Format),
    /// Built without it.
    #[error("this build has no {0}: build with the feature `pictures`")]
    NotBuilt(Format),
    /// The disk said no.
    #[error("{path}: {source}")]
    Disk {
        /// What was written.
        path: std::path::PathBuf,
        /// Why it was not.
        source: std::io::Error,
    },
    /// A library that makes the format refused.
    #[error("the run cannot be written as {format}: {reason}")]
    Form {
        /// Which.
        format: Format,
        /// Its words.
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

/// The bytes of a format that is one file.
///
/// # Errors
/// When the format is a folder, or the library that makes it refuses.
pub fn render(format: Format, run: &RunRecord) -> Result<Vec<u8>, ExportError> {
    match format {
        Format::Csv => csv::render(run),
        Format::Xlsx => xlsx::render(run),
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
        Format::Svg | Format::Png => Err(ExportError::Folder(format)),
    }
}

/// Writes a run as a file, or as a folder of files ([`Format::is_folder`]); each is written whole or not at all.
///
/// # Errors
/// When the disk refuses, or the library that makes the format does.
pub fn write(format: Format, run: &RunRecord, path: &Path) -> Result<(), ExportError> {
    if format.is_folder() {
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
    Err(ExportError::NotBuilt(format))
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), ExportError> {
    write_atomically(path, bytes).map_err(|source| ExportError::Disk {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back_and_a_wrong_one_lists_them() {
        for format in Format::ALL {
            assert_eq!(format.name().parse::<Format>().unwrap(), format);
        }
        let error = "pdf".parse::<Format>().unwrap_err().to_string();
        assert!(error.contains("`pdf`") && error.contains("xlsx"), "{error}");
    }
}
