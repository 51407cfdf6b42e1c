//! Cargo's target folder.

use std::path::{Path, PathBuf};

use crate::subprocess;

/// Returns cargo's target folder of the running bench, whose crate is `manifest_dir`.
#[must_use]
pub fn dir(manifest_dir: &Path) -> PathBuf {
    subprocess::target_of_bench(manifest_dir)
}
