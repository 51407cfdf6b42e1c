//! Files with a schema version.

use std::{fs, path::Path};

use serde::{Deserialize, de::DeserializeOwned};

use super::error::{StoreError, io_error};

/// A kind of file with a schema version.
pub(super) trait Versioned: DeserializeOwned {
    /// The latest supported schema version.
    const KNOWN: u32;

    /// Description of the file, with its article.
    const WHAT: &'static str;

    /// Remedy for a damaged file, with a leading semicolon.
    const REMEDY: &'static str;
}

/// Baseline files call it `version`.
#[derive(Deserialize)]
struct Version {
    #[serde(alias = "version")]
    schema_version: Option<u32>,
}

/// Reads and parses a file.
pub(super) fn read<T: Versioned>(path: &Path) -> Result<T, StoreError> {
    parse(path, &fs::read(path).map_err(io_error("read", path))?)
}

/// Parses the content of the file at `path`. The version is checked first, so that a file of a later wsgibench is not
/// reported as damaged.
pub(super) fn parse<T: Versioned>(path: &Path, text: &[u8]) -> Result<T, StoreError> {
    let damaged = |reason: String| StoreError::Damaged {
        path: path.to_owned(),
        what: T::WHAT,
        reason,
        remedy: T::REMEDY,
    };
    let version: Version = serde_json::from_slice(text).map_err(|error| damaged(error.to_string()))?;
    match version.schema_version {
        None => Err(damaged("it has no schema version".to_owned())),
        Some(found) if found > T::KNOWN => Err(StoreError::TooNew {
            path: path.to_owned(),
            found,
            known: T::KNOWN,
        }),
        Some(_) => serde_json::from_slice(text).map_err(|error| damaged(error.to_string())),
    }
}
