//! Temporary folders marked with their owner, so that those of a killed run can be removed and those of a live run kept.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::owner::{LABEL, Owner};

/// Folders with live handles, for an emergency cleanup.
static LIVE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// A folder under `<target>/wsgibench/tmp`, removed when dropped.
#[derive(Debug)]
pub(crate) struct TempFolder {
    path: PathBuf,
}

impl TempFolder {
    /// Creates an empty folder under `parent`.
    pub(crate) fn create(parent: &Path, what: &str) -> io::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("{what}-{}-{number}", std::process::id()));
        // An existing folder of this name belongs to a dead process with the same pid.
        remove(&path);
        fs::create_dir_all(path.join("root"))?;
        fs::write(path.join(LABEL), Owner::this().to_string())?;
        LIVE.lock().unwrap_or_else(PoisonError::into_inner).push(path.clone());
        Ok(Self { path })
    }

    /// Returns the folder to use.
    pub(crate) fn root(&self) -> PathBuf {
        self.path.join("root")
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        remove(&self.path);
        LIVE.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|path| *path != self.path);
    }
}

/// Removes all folders with live handles. Processes that write to them must have exited.
pub(crate) fn emergency_cleanup() {
    for path in LIVE.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        remove(&path);
    }
}

/// Removes the folders under `parent` whose owner satisfies `belongs`; returns their number.
pub(crate) fn sweep(parent: &Path, belongs: impl Fn(&Owner) -> bool) -> usize {
    let Ok(entries) = fs::read_dir(parent) else { return 0 };
    let mut removed = 0;
    for folder in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        let owner = fs::read_to_string(folder.join(LABEL))
            .ok()
            .and_then(|text| Owner::parse(&text));
        if owner.is_some_and(|owner| belongs(&owner)) {
            remove(&folder);
            removed += 1;
        }
    }
    removed
}

/// Removes a folder. Anything mounted in it (/proc, after debootstrap was killed) is unmounted first, so that no file is deleted through
/// a mount.
fn remove(folder: &Path) {
    let Ok(folder) = folder.canonicalize() else { return };
    for mount in mounts_below(&folder) {
        let _ = std::process::Command::new("umount").arg("--lazy").arg(&mount).output();
    }
    if mounts_below(&folder).is_empty() {
        let _ = fs::remove_dir_all(&folder);
    }
}

/// Returns the mount points below a folder, the innermost first.
fn mounts_below(folder: &Path) -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = table.lines().filter_map(|line| line.split(' ').nth(4));
    // Spaces are written as octal numbers.
    let points = points.map(|point| PathBuf::from(point.replace("\\040", " ")));
    let mut below: Vec<PathBuf> = points.filter(|point| point.starts_with(folder)).collect();
    below.sort_by_key(|point| std::cmp::Reverse(point.as_os_str().len()));
    below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_is_removed_on_drop_and_swept_by_owner() {
        let parent = tempfile::tempdir().unwrap();
        let folder = TempFolder::create(parent.path(), "a").unwrap();
        fs::write(folder.root().join("file"), "x").unwrap();
        let path = folder.path.clone();
        assert_eq!(sweep(parent.path(), Owner::is_proven_dead), 0, "its owner is alive");
        assert!(path.exists());
        drop(folder);
        assert!(!path.exists());

        let left = TempFolder::create(parent.path(), "b").unwrap();
        let path = left.path.clone();
        std::mem::forget(left);
        fs::create_dir(parent.path().join("a strangers")).unwrap();
        assert_eq!(sweep(parent.path(), |owner| owner == Owner::this()), 1);
        assert!(!path.exists());
        assert!(parent.path().join("a strangers").exists(), "it has no owner of ours");
    }
}
