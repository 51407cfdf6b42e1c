//! How the command fails.

use std::{io, path::PathBuf, process::ExitCode};

use crate::store::StoreError;

/// Why the command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum ToolError {
    /// What was asked for makes no sense.
    #[error("{0}")]
    Usage(String),
    /// It makes sense and could not be done.
    #[error("{0}")]
    Failed(String),
    /// A run could not be had.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The disk said no.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl ToolError {
    pub(super) fn exit_code(&self) -> ExitCode {
        let code = match self {
            Self::Usage(_) | Self::Store(StoreError::Unknown { .. } | StoreError::UnknownBaseline { .. }) => 2,
            Self::Failed(_) | Self::Store(_) | Self::Io { .. } => 1,
        };
        ExitCode::from(code)
    }

    /// For `map_err`.
    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}
