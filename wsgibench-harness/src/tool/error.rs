//! Errors of the command.

use std::{io, path::PathBuf, process::ExitCode};

use crate::store::StoreError;

/// Why the command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ToolError {
    /// Wrong usage.
    #[error("{0}")]
    Usage(String),
    /// The command could not be carried out.
    #[error("{0}")]
    Failed(String),
    /// A run could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file could not be read or written.
    #[error("failed to {action} {path}: {source}")]
    Io {
        /// The attempted action.
        action: &'static str,
        /// The path.
        path: PathBuf,
        /// The cause.
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

    /// Returns a closure for `map_err`.
    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}
