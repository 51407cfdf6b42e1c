//! Opens files that are only locked, in folders that others may write to.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use rustix::{fs::OFlags, io::Errno};

/// Opens the lock file at `path` and creates it if there is none, readable and writable as `mode` says. A file that may not be
/// written to is opened for reading, which suffices for a lock. Its content is left alone.
///
/// # Errors
/// If the file can be neither opened nor created, or `path` is something other than a file with one name: a link there could
/// lead to any file of this user.
pub(crate) fn open(path: &Path, mode: u32) -> io::Result<File> {
    // Systems refuse to open another user's file in a shared folder with `O_CREAT`, so an existing one is opened without.
    let file = match existing(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(path, mode).or_else(|failed| {
            if failed.kind() == io::ErrorKind::AlreadyExists {
                existing(path)
            } else {
                Err(failed)
            }
        }),
        opened => opened,
    };
    let file = file.map_err(|error| {
        if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) {
            io::Error::new(io::ErrorKind::InvalidInput, "it is a symbolic link")
        } else {
            error
        }
    })?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.nlink() > 1 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not a regular file with one name",
        ));
    }
    Ok(file)
}

fn existing(path: &Path) -> io::Result<File> {
    options().read(true).write(true).open(path).or_else(|error| {
        if matches!(
            error.kind(),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
        ) {
            options().read(true).open(path)
        } else {
            Err(error)
        }
    })
}

fn create(path: &Path, mode: u32) -> io::Result<File> {
    let file = options().read(true).write(true).create_new(true).open(path)?;
    // The umask does not apply: every user of the machine must be able to lock a shared file.
    let _ = file.set_permissions(std::fs::Permissions::from_mode(mode));
    Ok(file)
}

/// Opening a FIFO would block without `O_NONBLOCK`; on regular files it has no effect.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
    options
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn a_file_is_created_once_and_keeps_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = open(&path, 0o666).unwrap();
        assert_eq!(first.metadata().unwrap().mode() & 0o777, 0o666);
        fs::write(&path, "text").unwrap();
        let second = open(&path, 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"text");
        assert_eq!(second.metadata().unwrap().mode() & 0o777, 0o666);
        first.try_lock().unwrap();
        assert!(matches!(second.try_lock(), Err(fs::TryLockError::WouldBlock)));
    }

    #[test]
    fn links_fifos_and_folders_are_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("precious"), "content").unwrap();
        symlink(at("precious"), at("link")).unwrap();
        symlink(at("missing"), at("dangling")).unwrap();
        fs::hard_link(at("precious"), at("hard")).unwrap();
        fs::create_dir(at("folder")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            at("fifo"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        for name in ["link", "dangling", "hard", "folder", "fifo"] {
            assert!(open(&at(name), 0o666).is_err(), "{name}");
        }
        assert!(!at("missing").exists());
        assert_eq!(fs::read(at("precious")).unwrap(), b"content");
    }
}
