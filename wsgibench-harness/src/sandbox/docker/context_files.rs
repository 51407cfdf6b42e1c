//! The build context of an image: its folder, the application folder as `app/`, and the hash of both.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use ring::digest;

use crate::sandbox::short_hash;

/// Folders and files that Python, git and editors make: no part of an image.
const IGNORED: [&str; 6] = [
    "__pycache__",
    ".git",
    ".venv",
    ".pytest_cache",
    ".mypy_cache",
    ".DS_Store",
];

/// One file of the context.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// Path in the context, with `/`.
    path: String,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    File { content: Vec<u8>, executable: bool },
    Link(PathBuf),
}

/// All files of a build context, sorted by path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ContextFiles(Vec<Entry>);

impl ContextFiles {
    /// Adds a folder's files under `prefix` (empty, or ending in `/`).
    pub(super) fn add_folder(&mut self, folder: &Path, prefix: &str) -> io::Result<()> {
        let walk = walkdir::WalkDir::new(folder).into_iter().filter_entry(|entry| {
            let name = entry.file_name().to_string_lossy();
            entry.depth() == 0 || !(IGNORED.contains(&&*name) || name.ends_with(".pyc"))
        });
        for entry in walk {
            let entry = entry?;
            let Ok(below) = entry.path().strip_prefix(folder) else {
                continue;
            };
            let below: Vec<_> = below
                .components()
                .map(|part| part.as_os_str().to_string_lossy())
                .collect();
            let path = format!("{prefix}{}", below.join("/"));
            let kind = if entry.file_type().is_symlink() {
                Kind::Link(fs::read_link(entry.path())?)
            } else if entry.file_type().is_file() {
                Kind::File {
                    content: fs::read(entry.path())?,
                    executable: is_executable(&entry.metadata()?),
                }
            } else {
                continue;
            };
            self.0.push(Entry { path, kind });
        }
        self.0.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(())
    }

    /// Adds a file.
    pub(super) fn add(&mut self, path: &str, content: impl Into<Vec<u8>>) {
        let kind = Kind::File {
            content: content.into(),
            executable: false,
        };
        self.0.push(Entry {
            path: path.to_owned(),
            kind,
        });
        self.0.sort_by(|a, b| a.path.cmp(&b.path));
    }

    pub(super) fn contains(&self, path: &str) -> bool {
        self.0.iter().any(|entry| entry.path == path)
    }

    /// Whether there is a file below the folder `name`.
    pub(super) fn has_folder(&self, name: &str) -> bool {
        self.0
            .iter()
            .any(|entry| entry.path.strip_prefix(name).is_some_and(|rest| rest.starts_with('/')))
    }

    /// Hash of all names, contents and executable bits, and of `more`: 12 hexadecimal digits. Dates, owners and the umask that the
    /// files were checked out with make no difference.
    pub(super) fn hash(&self, more: &[&str]) -> String {
        let mut hash = digest::Context::new(&digest::SHA256);
        let mut add = |bytes: &[u8]| {
            hash.update(&(bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        for Entry { path, kind } in &self.0 {
            add(path.as_bytes());
            match kind {
                Kind::File { content, executable } => {
                    add(if *executable { b"x" } else { b"-" });
                    add(content);
                }
                Kind::Link(target) => {
                    add(b"l");
                    add(target.to_string_lossy().as_bytes());
                }
            }
        }
        for text in more {
            add(text.as_bytes());
        }
        short_hash(hash)
    }

    /// The context as the engine takes it. The same files make the same bytes.
    pub(super) fn tar(&self) -> io::Result<Vec<u8>> {
        let mut archive = tar::Builder::new(Vec::new());
        for Entry { path, kind } in &self.0 {
            let mut header = tar::Header::new_gnu();
            header.set_mtime(0);
            match kind {
                Kind::File { content, executable } => {
                    header.set_mode(if *executable { 0o755 } else { 0o644 });
                    header.set_size(content.len() as u64);
                    archive.append_data(&mut header, path, content.as_slice())?;
                }
                Kind::Link(target) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    header.set_size(0);
                    archive.append_link(&mut header, path, target)?;
                }
            }
        }
        archive.into_inner()
    }
}

fn is_executable(metadata: &fs::Metadata) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        metadata.permissions().mode() & 0o100 != 0
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(folder: &Path) -> ContextFiles {
        let mut files = ContextFiles::default();
        files.add_folder(folder, "").unwrap();
        files
    }

    #[test]
    fn the_hash_is_of_content_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("sub")).unwrap();
        fs::write(folder.path().join("Dockerfile"), "FROM x").unwrap();
        fs::write(folder.path().join("sub/a.py"), "a = 1").unwrap();
        let before = of(folder.path());
        assert!(before.contains("sub/a.py") && before.has_folder("sub") && !before.has_folder("su"));

        fs::create_dir(folder.path().join("sub/__pycache__")).unwrap();
        fs::write(folder.path().join("sub/__pycache__/a.pyc"), "x").unwrap();
        assert_eq!(of(folder.path()).hash(&[]), before.hash(&[]), "caches are no content");
        assert_ne!(before.hash(&["base"]), before.hash(&["other"]));
        assert_ne!(before.hash(&["a", "b"]), before.hash(&["ab"]));

        fs::write(folder.path().join("sub/a.py"), "a = 2").unwrap();
        assert_ne!(of(folder.path()).hash(&[]), before.hash(&[]));
    }

    #[test]
    fn the_archive_has_the_files_and_is_reproducible() {
        let mut files = ContextFiles::default();
        files.add("b/run", "2");
        files.add("Dockerfile", "1");
        let bytes = files.tar().unwrap();
        assert_eq!(bytes, files.clone().tar().unwrap());
        let mut archive = tar::Archive::new(bytes.as_slice());
        let paths: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(paths, ["Dockerfile", "b/run"]);
    }
}
