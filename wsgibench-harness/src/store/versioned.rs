//! Files that say in which version of their form they were written.

use std::{fs, path::Path};

use serde::{Deserialize, de::DeserializeOwned};

use super::error::{StoreError, io_error};

/// A kind of file that carries its version.
pub(super) trait Versioned: DeserializeOwned {
    /// The latest version that this wsgibench reads.
    const KNOWN: u32;

    /// What such a file is, with its article.
    const WHAT: &'static str;

    /// What to do about a damaged one, from its semicolon on.
    const REMEDY: &'static str;
}

/// Files of baselines call it `version`.
#[derive(Deserialize)]
struct Version {
    #[serde(alias = "version")]
    schema_version: Option<u32>,
}

/// Reads one. The version is looked at first: what a later wsgibench wrote is not called damaged for being new.
pub(super) fn read<T: Versioned>(path: &Path) -> Result<T, StoreError> {
    let text = fs::read(path).map_err(io_error("read", path))?;
    let damaged = |reason: String| StoreError::Damaged {
        path: path.to_owned(),
        what: T::WHAT,
        reason,
        remedy: T::REMEDY,
    };
    let version: Version = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
    match version.schema_version {
        None => Err(damaged("it has no version, so wsgibench did not write it".to_owned())),
        Some(found) if found > T::KNOWN => Err(StoreError::TooNew {
            path: path.to_owned(),
            found,
            known: T::KNOWN,
        }),
        Some(_) => serde_json::from_slice(&text).map_err(|error| damaged(error.to_string())),
    }
}
