//! Errors of stored files.

use std::{
    io,
    path::{Path, PathBuf},
};

/// A run could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A file operation failed.
    #[error("failed to {action} {path}: {source}; check free space and permissions")]
    Io {
        /// The attempted action.
        action: &'static str,
        /// The path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file is damaged or was not written by wsgibench.
    #[error("{path} is not {what} of wsgibench: {reason}{remedy}")]
    Damaged {
        /// The path.
        path: PathBuf,
        /// The expected content, with its article.
        what: &'static str,
        /// The problem.
        reason: String,
        /// The remedy with a leading semicolon; empty if the caller adds one.
        remedy: &'static str,
    },
    /// A file has a later schema version.
    #[error("{path} was written by a later wsgibench (schema {found}, this one reads up to {known}); update wsgibench")]
    TooNew {
        /// The path.
        path: PathBuf,
        /// Its schema version.
        found: u32,
        /// The latest supported schema version.
        known: u32,
    },
    /// The baseline does not exist.
    #[error("baseline `{name}` not found; {hint}")]
    UnknownBaseline {
        /// The requested name.
        name: String,
        /// The existing baselines.
        hint: String,
    },
    /// The name would leave the folder of baselines.
    #[error("`{0}` is not a valid baseline name; use letters, digits, `-`, `_` and `.`")]
    BaselineName(String),
    /// The run does not exist.
    #[error("run `{name}` not found in {folder}; {hint}")]
    Unknown {
        /// The requested name.
        name: String,
        /// The searched folder.
        folder: PathBuf,
        /// The existing runs.
        hint: String,
    },
}

/// Returns a closure that adds action and path to an I/O error.
pub(super) fn io_error<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> StoreError + 'a {
    move |source| StoreError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}
