//! `cargo metadata` of a project.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{Toolchain, cargo, last_lines};

/// The part of `cargo metadata` that is used here.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    /// Root of the workspace.
    pub(crate) workspace_root: PathBuf,
    /// The target folder, whatever cargo's configuration says.
    pub(crate) target_directory: PathBuf,
    /// The folder of intermediate files, where it is another one (cargo 1.91 and later).
    pub(crate) build_directory: Option<PathBuf>,
    /// Members of the workspace.
    pub(crate) packages: Vec<Package>,
}

/// A member of a workspace.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    /// Its `Cargo.toml`.
    pub(crate) manifest_path: PathBuf,
    /// Its features, and what each enables.
    pub(crate) features: BTreeMap<String, Vec<String>>,
}

impl Metadata {
    /// Asks cargo about the project around `dir`. Needs neither the network nor a lock file.
    ///
    /// # Errors
    /// cargo's message.
    pub(crate) fn read(dir: &Path, toolchain: Toolchain) -> Result<Self, String> {
        let output = cargo(dir, toolchain)
            .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
            .output()
            .map_err(|e| format!("cargo cannot be started: {e}"))?;
        if !output.status.success() {
            return Err(last_lines(&String::from_utf8_lossy(&output.stderr), 20));
        }
        serde_json::from_slice(&output.stdout).map_err(|e| e.to_string())
    }
}
