//! Files of wsgibench under the target folder.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use super::item::{Item, Kind, Place};
use crate::store::Store;

/// Returns stored runs, oldest first; the `keep` newest and active ones are kept.
pub(super) fn runs(store: &Store, keep: usize) -> Vec<Item> {
    let folders = entries(&store.root().join("runs"));
    let count = folders.len();
    folders
        .into_iter()
        .enumerate()
        .map(|(number, folder)| Item {
            kind: Kind::Run,
            name: name(&folder),
            bytes: Some(size(&folder)),
            stays: if is_alive(&folder) {
                Some("it is being measured".into())
            } else {
                (number + keep >= count).then(|| format!("it is one of the {keep} newest"))
            },
            place: Place::Disk(vec![folder]),
        })
        .collect()
}

/// Returns virtual environments, temporary folders and image metadata; all are kept while a run is active.
pub(super) fn environments(store: &Store) -> Vec<Item> {
    let alive = entries(&store.root().join("runs"))
        .iter()
        .find(|run| is_alive(run))
        .map(|run| name(run));
    let stays = alive.map(|run| format!("run {run} may be using it"));
    let mut items: Vec<Item> = entries(&store.root().join("venvs"))
        .into_iter()
        .filter(|path| path.is_dir())
        .map(|path| {
            let siblings = ["lock", "log"].map(|end| path.with_extension(end));
            Item {
                kind: Kind::Environment,
                name: name(&path),
                bytes: Some(size(&path)),
                stays: stays.clone(),
                place: Place::Disk(
                    std::iter::once(path)
                        .chain(siblings.into_iter().filter(|p| p.exists()))
                        .collect(),
                ),
            }
        })
        .collect();
    for folder in ["tmp", "images"] {
        let path = store.root().join(folder);
        if !entries(&path).is_empty() {
            items.push(Item {
                kind: Kind::Environment,
                name: format!("{folder}/"),
                bytes: Some(size(&path)),
                stays: stays.clone(),
                place: Place::Disk(vec![path]),
            });
        }
    }
    items
}

/// Removes files and folders; missing ones are not an error.
pub(super) fn remove(paths: &[PathBuf]) -> Result<(), String> {
    for path in paths {
        let is_folder = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
        let removed = if is_folder {
            fs::remove_dir_all(path)
        } else {
            fs::remove_file(path)
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(format!("{}: {error}", path.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Returns whether a run is being measured: it then holds its lock.
fn is_alive(run: &Path) -> bool {
    File::open(run.join("lock")).is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
}

/// Returns a folder's entries by name; run ids sort by time.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.path())
        .collect();
    paths.sort();
    paths
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn size(path: &Path) -> u64 {
    walkdir::WalkDir::new(path)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.metadata().ok())
        .filter(fs::Metadata::is_file)
        .map(|metadata| metadata.len())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        for id in ["r1", "r2", "r3"] {
            fs::create_dir_all(store.run_dir(id)).unwrap();
            fs::write(store.run_dir(id).join("run.json"), "{}").unwrap();
            fs::write(store.run_dir(id).join("lock"), "").unwrap();
        }
        (folder, store)
    }

    #[test]
    fn newest_and_active_runs_are_kept() {
        let (_folder, store) = store();
        let lock = File::open(store.run_dir("r1").join("lock")).unwrap();
        lock.try_lock().unwrap();
        let goes: Vec<String> = runs(&store, 1)
            .into_iter()
            .filter(|i| i.stays.is_none())
            .map(|i| i.name)
            .collect();
        assert_eq!(goes, ["r2"]);
        drop(lock);
        assert_eq!(runs(&store, 0).iter().filter(|item| item.stays.is_none()).count(), 3);
        assert_eq!(runs(&store, 9).iter().filter(|item| item.stays.is_none()).count(), 0);
    }

    #[test]
    fn environments_are_removed_with_lock_and_log_unless_a_run_is_active() {
        let (_folder, store) = store();
        let environment = store.root().join("venvs/gunicorn-1a2b");
        fs::create_dir_all(environment.join("bin")).unwrap();
        fs::write(environment.join("bin/python"), "0123456789").unwrap();
        fs::write(environment.with_extension("log"), "").unwrap();
        let items = environments(&store);
        assert_eq!(
            (items.len(), items[0].bytes, items[0].stays.as_ref()),
            (1, Some(10), None)
        );
        let Place::Disk(paths) = &items[0].place else {
            panic!("on the disk")
        };
        remove(paths).unwrap();
        assert!(environments(&store).is_empty() && entries(&store.root().join("venvs")).is_empty());
        remove(paths).unwrap();

        fs::create_dir_all(&environment).unwrap();
        let lock = File::open(store.run_dir("r2").join("lock")).unwrap();
        lock.try_lock().unwrap();
        assert!(
            environments(&store)[0]
                .stays
                .as_ref()
                .is_some_and(|why| why.contains("r2"))
        );
    }
}
