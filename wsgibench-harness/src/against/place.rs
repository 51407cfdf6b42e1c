//! Where the base commit's tree is written.

use std::{
    env, fs, io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use ring::digest::{SHA256, digest};

use super::AgainstError;

/// Files by which cargo or rustup, called in a folder, takes settings from the folders above it.
const INHERITED: &[&str] = &[
    "Cargo.toml",
    ".cargo/config.toml",
    ".cargo/config",
    "rust-toolchain.toml",
    "rust-toolchain",
];

/// Returns a folder for checked-out trees in which cargo inherits nothing from the working tree: `preferred` where nothing
/// lies above it, else one of this user's among the temporary files or in the cache.
///
/// # Errors
/// When there is no such folder, or it cannot be made.
pub fn isolated_folder(preferred: &Path) -> Result<PathBuf, AgainstError> {
    if inherited_from(preferred).is_none() {
        return Ok(preferred.to_owned());
    }
    let uid = rustix::process::getuid().as_raw();
    let digest = digest(&SHA256, preferred.as_os_str().as_encoded_bytes());
    let name = hex::encode(&digest.as_ref()[..8]);
    let cache = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".cache")))
        .map(|cache| cache.join("wsgibench"));
    let shared = [
        Some(env::temp_dir().join(format!("wsgibench-against-{uid}"))),
        cache.filter(|folder| folder.is_absolute()),
    ];
    let mut failed = None;
    for folder in shared.into_iter().flatten() {
        if inherited_from(&folder).is_some() {
            continue;
        }
        match make_private(&folder, uid) {
            Ok(()) => return Ok(folder.join(name)),
            Err(source) => failed = Some(AgainstError::Io { path: folder, source }),
        }
    }
    Err(failed.unwrap_or_else(|| AgainstError::NoFolder {
        inherited: inherited_from(&env::temp_dir()).unwrap_or_default(),
    }))
}

/// The first file above `folder` (or in it) from which cargo or rustup would take settings there.
fn inherited_from(folder: &Path) -> Option<PathBuf> {
    let home = env::home_dir().map(|home| home.join(".cargo"));
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from).or(home);
    let of_cargo_home = |file: &Path| cargo_home.as_deref().is_some_and(|home| file.starts_with(home));
    folder
        .ancestors()
        .flat_map(|folder| INHERITED.iter().map(|name| folder.join(name)))
        .find(|file| file.is_file() && !of_cargo_home(file))
}

/// Makes a folder that only this user can write to. In a shared folder another user may have taken the name.
fn make_private(folder: &Path, uid: u32) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let found = fs::symlink_metadata(folder)?;
    if !found.is_dir() || found.uid() != uid || found.mode() & 0o022 != 0 {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "it belongs to another user, or others can write to it",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_inside_a_project_is_replaced_by_one_outside() {
        let project = tempfile::tempdir().unwrap();
        let inside = project.path().join("target/wsgibench/against");
        assert_eq!(isolated_folder(&inside).unwrap(), inside);
        for name in INHERITED {
            let file = project.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, "").unwrap();
            let chosen = isolated_folder(&inside).unwrap();
            assert!(!chosen.starts_with(project.path()), "{name}: {}", chosen.display());
            assert_eq!(isolated_folder(&inside).unwrap(), chosen);
            assert_ne!(isolated_folder(&inside.join("other")).unwrap(), chosen);
            fs::remove_file(file).unwrap();
        }
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_refused() {
        let uid = rustix::process::getuid().as_raw();
        let folder = tempfile::tempdir().unwrap();
        let (open, link) = (folder.path().join("open"), folder.path().join("link"));
        make_private(&open, uid).unwrap();
        fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        assert!(make_private(&open, uid).is_err());
        std::os::unix::fs::symlink(folder.path(), &link).unwrap();
        assert!(make_private(&link, uid).is_err());
        assert!(make_private(&folder.path().join("other"), uid + 1).is_err());
    }
}
