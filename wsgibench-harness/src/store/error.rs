//! What may go wrong between a record and the disk.

use std::{
    io,
    path::{Path, PathBuf},
};

/// A run could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk said no.
    #[error("cannot {action} {path}: {source}; check free space and permissions")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Not a file of ours, or a broken one.
    #[error("{path} is not {what} of wsgibench: {reason}{remedy}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What it should be, with its article.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
        /// What to do, from its semicolon on; nothing where the caller knows more.
        remedy: &'static str,
    },
    /// A file of a later version.
    #[error("{path} was written by a later wsgibench (schema {found}, this one reads up to {known}); update wsgibench")]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The latest that this one reads.
        known: u32,
    },
    /// No baseline of that name.
    #[error("there is no baseline `{name}`; {hint}")]
    UnknownBaseline {
        /// The name asked for.
        name: String,
        /// The baselines there are.
        hint: String,
    },
    /// A name that would leave the folder of baselines.
    #[error("`{0}` cannot name a baseline: use letters, digits, `-`, `_` and `.`")]
    BaselineName(String),
    /// No run of that name.
    #[error("there is no run `{name}` under {folder}; {hint}")]
    Unknown {
        /// The name asked for.
        name: String,
        /// Where it was looked for.
        folder: PathBuf,
        /// The runs there are.
        hint: String,
    },
}

/// What makes an error of the disk tell what was tried, and on what.
pub(super) fn io_error<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> StoreError + 'a {
    move |source| StoreError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}
