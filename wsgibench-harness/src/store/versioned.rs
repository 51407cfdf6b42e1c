//! Files that say in which version of their form they were written.

use std::{fs, path::Path};

use serde::{Deserialize, de::DeserializeOwned};

use super::error::{StoreError, io_error};

/// A kind of file that carries its version.
pub(super) trait Versioned: DeserializeOwned {
    /// The latest version that this wsgibench reads.
    const KNOWN: u32;

    /// What is said of a file that is none of these, or is broken.
    fn damaged(path: &Path, reason: String) -> StoreError;
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
    let damaged = |error: serde_json::Error| T::damaged(path, error.to_string());
    let version: Version = serde_json::from_slice(&text).map_err(damaged)?;
    match version.schema_version {
        None => Err(T::damaged(
            path,
            "it has no version, so wsgibench did not write it".to_owned(),
        )),
        Some(found) if found > T::KNOWN => Err(StoreError::TooNew {
            path: path.to_owned(),
            found,
            known: T::KNOWN,
        }),
        Some(_) => serde_json::from_slice(&text).map_err(damaged),
    }
}
