//! Where cargo keeps what it builds.

use std::path::{Path, PathBuf};

/// The target folder of the running bench: cargo's `CARGO_TARGET_DIR`, else the folder above the executable that cargo has
/// marked with `CACHEDIR.TAG`, else `target` in the user's crate.
#[must_use]
pub fn dir(manifest_dir: &Path) -> PathBuf {
    if let Some(dir) = std::env::var_os("CARGO_TARGET_DIR").filter(|dir| !dir.is_empty()) {
        return absolute(Path::new(&dir));
    }
    std::env::current_exe()
        .ok()
        .and_then(|exe| marked(&exe))
        .unwrap_or_else(|| absolute(&manifest_dir.join("target")))
}

fn marked(exe: &Path) -> Option<PathBuf> {
    exe.ancestors()
        .skip(1)
        .find(|folder| folder.join("CACHEDIR.TAG").is_file())
        .map(Path::to_owned)
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
