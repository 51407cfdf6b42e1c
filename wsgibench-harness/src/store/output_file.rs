//! Writing to user-specified paths, including links, pipes, devices and mounted files.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, fchown},
    path::{Component, Path, PathBuf},
};

/// Maximum number of symbolic links to follow.
const MAX_LINKS: usize = 40;

/// Writes a file at a user-specified path.
///
/// A regular file is replaced atomically and keeps its mode and owner; a symbolic link is kept and its target is written; a
/// pipe or a device is written to directly. A file that cannot be replaced, because it is a mount point or its folder is
/// read-only, is written in place. `~/` expands to the home folder.
///
/// # Errors
/// If the folder cannot be created or the file cannot be written, and for `~user`, which only a shell expands. A pipe
/// closed early by its reader is not an error.
pub fn write_output(path: &Path, content: &[u8]) -> io::Result<()> {
    let path = follow_links(expand_home(path)?)?;
    match fs::metadata(&path) {
        Ok(old) if is_stream(&path, old.file_type()) => write_stream(&path, content),
        Ok(old) if old.is_dir() => Err(io::Error::new(io::ErrorKind::IsADirectory, "is a folder")),
        Ok(old) => replace(&path, &old, content),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !is_virtual(&path) => {
            super::write_atomically(&path, content)
        }
        Err(error) => Err(error),
    }
}

fn expand_home(path: &Path) -> io::Result<PathBuf> {
    let Some(Component::Normal(first)) = path.components().next() else {
        return Ok(path.to_owned());
    };
    if !first.as_encoded_bytes().starts_with(b"~") || path.exists() {
        return Ok(path.to_owned());
    }
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty() && first == "~");
    let home = home.ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            "`~` cannot be expanded here; use the full path, or ./~ for a file of that name",
        )
    })?;
    Ok(PathBuf::from(home).join(path.strip_prefix(first).unwrap_or(path)))
}

/// Resolves a chain of symbolic links to a path that need not exist. Stops at links in `/dev` and `/proc`, which name open
/// files instead of paths.
fn follow_links(mut path: PathBuf) -> io::Result<PathBuf> {
    for _ in 0..MAX_LINKS {
        if is_virtual(&path) {
            return Ok(path);
        }
        let Ok(target) = fs::read_link(&path) else {
            return Ok(path);
        };
        path = path.parent().unwrap_or(Path::new("")).join(target);
    }
    Err(io::Error::other("too many levels of symbolic links"))
}

fn is_virtual(path: &Path) -> bool {
    path.starts_with("/dev") || path.starts_with("/proc")
}

fn is_stream(path: &Path, kind: fs::FileType) -> bool {
    is_virtual(path) || kind.is_fifo() || kind.is_char_device() || kind.is_block_device() || kind.is_socket()
}

fn write_stream(path: &Path, content: &[u8]) -> io::Result<()> {
    // Append, to keep the content of a file to which standard output is redirected.
    let mut stream = OpenOptions::new().append(true).open(path)?;
    ignore_closed_pipe(stream.write_all(content))
}

/// Replaces a file atomically, or writes it in place if that is not possible.
fn replace(path: &Path, old: &fs::Metadata, content: &[u8]) -> io::Result<()> {
    let renamed = || -> io::Result<()> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new().prefix(".tmp-").tempfile_in(folder)?;
        file.write_all(content)?;
        let new = file.as_file().metadata()?;
        if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
            fchown(file.as_file(), Some(old.uid()), Some(old.gid()))?;
        }
        file.as_file().set_permissions(old.permissions())?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    // Open for writing first, so that a read-only file is not replaced.
    let file = OpenOptions::new().write(true).open(path)?;
    match renamed() {
        Err(error) if is_unreplaceable(&error) => write_in_place(file, content),
        outcome => outcome,
    }
}

/// Returns whether a file that cannot be replaced may be writable in place: its folder or owner prevents renaming, or it is
/// a mount point.
fn is_unreplaceable(error: &io::Error) -> bool {
    use io::ErrorKind::{CrossesDevices, PermissionDenied, ReadOnlyFilesystem, ResourceBusy};
    matches!(
        error.kind(),
        CrossesDevices | PermissionDenied | ReadOnlyFilesystem | ResourceBusy
    )
}

fn write_in_place(mut file: File, content: &[u8]) -> io::Result<()> {
    file.write_all(content)?;
    file.set_len(content.len() as u64)?;
    file.sync_all()
}

/// Treats a closed pipe as success, as with `head`.
///
/// # Errors
/// Any other write failure.
pub fn ignore_closed_pipe(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn link_is_kept_and_its_target_written() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("a ü 漢.csv"), folder.path().join("link"));
        symlink("a ü 漢.csv", &link).unwrap();
        for content in ["first", "2"] {
            write_output(&link, content.as_bytes()).unwrap();
            assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
            assert_eq!(fs::read_to_string(&target).unwrap(), content);
        }
        symlink("loop", folder.path().join("loop")).unwrap();
        assert!(write_output(&folder.path().join("loop"), b"x").is_err());
    }

    #[test]
    fn mode_and_owner_are_kept_without_temporary_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        fs::write(&path, "a longer text").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        write_output(&path, b"new").unwrap();
        let found = fs::metadata(&path).unwrap();
        assert_eq!((found.permissions().mode() & 0o777, found.len()), (0o640, 3));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn pipe_is_written_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RWXU,
            0,
        )
        .unwrap();
        let reader = std::thread::spawn({
            let path = path.clone();
            move || fs::read_to_string(path).unwrap()
        });
        write_output(&path, b"through").unwrap();
        assert_eq!(reader.join().unwrap(), "through");
        assert!(fs::metadata(&path).unwrap().file_type().is_fifo());
        write_output(Path::new("/dev/null"), b"x").unwrap();
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    }

    #[test]
    fn irreplaceable_file_is_written_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        fs::write(&path, "a longer text").unwrap();
        write_in_place(OpenOptions::new().write(true).open(&path).unwrap(), b"new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    }

    #[test]
    fn home_folder_is_expanded_or_refused() {
        let home = std::env::var_os("HOME").map(PathBuf::from);
        if let Some(home) = home.filter(|home| !home.as_os_str().is_empty()) {
            assert_eq!(expand_home(Path::new("~/a/b")).unwrap(), home.join("a/b"));
        }
        let error = write_output(Path::new("~nobody-here/x"), b"").unwrap_err().to_string();
        assert!(error.contains("full path"), "{error}");
    }

    #[test]
    fn overlong_name_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(write_output(&folder.path().join("漢".repeat(100)), b"x").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
