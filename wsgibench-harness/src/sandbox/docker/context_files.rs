//! The build context of an image: its folder, the application folder as `app/`, and the hash of both.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

use ring::digest;

use super::dockerignore::Ignore;
use crate::sandbox::short_hash;

/// Files that Python, git and editors create, which are excluded from every image.
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
    /// Adds a folder's files under `prefix` (empty, or ending in `/`), except those excluded by its `.dockerignore`.
    ///
    /// A symbolic link that stays inside the folder remains a link; a link that leaves it is replaced by its target's content.
    ///
    /// # Errors
    /// If a file cannot be part of a context; the message names it and the reason.
    pub(super) fn add_folder(&mut self, folder: &Path, prefix: &str) -> Result<(), String> {
        let root = folder
            .canonicalize()
            .map_err(|error| format!("failed to read {}: {error}", folder.display()))?;
        let ignore = Ignore::of_folder(folder)?;
        self.add_below(&root, folder, "", prefix, &ignore, &mut Vec::new())?;
        self.0.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(())
    }

    /// Adds the entries of `folder`, whose path below the root is `below` (empty, or ending in `/`).
    fn add_below(
        &mut self,
        root: &Path,
        folder: &Path,
        below: &str,
        prefix: &str,
        ignore: &Ignore,
        followed: &mut Vec<PathBuf>,
    ) -> Result<(), String> {
        let unreadable = |path: &Path, error: io::Error| format!("failed to read {}: {error}", path.display());
        let entries = fs::read_dir(folder).map_err(|error| unreadable(folder, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(folder, error))?;
            let (name, path) = (entry.file_name(), entry.path());
            let Some(name) = name.to_str() else {
                return Err(format!(
                    "the name of {:?} is not valid UTF-8; rename the file or move it out of the folder",
                    path.display().to_string()
                ));
            };
            if IGNORED.contains(&name) || name.strip_suffix(".pyc").is_some() {
                continue;
            }
            let relative = format!("{below}{name}");
            let excluded = ignore.excludes(&relative) && !(below.is_empty() && name == "Dockerfile");
            let kind = entry.file_type().map_err(|error| unreadable(&path, error))?;
            if kind.is_symlink() && !excluded {
                let target = fs::read_link(&path).map_err(|error| unreadable(&path, error))?;
                match path.canonicalize() {
                    Ok(_) if followed.is_empty() && stays_inside(below, &target) => {
                        self.push(prefix, &relative, Kind::Link(target));
                    }
                    Ok(found) if found.is_dir() => {
                        if followed.contains(&found) || root.starts_with(&found) {
                            return Err(format!(
                                "the symbolic link {} points to a folder that contains it ({}); remove it, or list it in .dockerignore",
                                path.display(),
                                found.display()
                            ));
                        }
                        followed.push(found.clone());
                        self.add_below(root, &found, &format!("{relative}/"), prefix, ignore, followed)?;
                        followed.pop();
                    }
                    Ok(found) => self.add_file(&found, prefix, &relative)?,
                    // The link may point to a path in the container.
                    Err(_) if target.is_absolute() => self.push(prefix, &relative, Kind::Link(target)),
                    Err(error) => {
                        return Err(format!(
                            "the symbolic link {} points to {}, which cannot be read ({error}); correct it, or list it in .dockerignore",
                            path.display(),
                            target.display()
                        ));
                    }
                }
            } else if kind.is_dir() {
                if (excluded && ignore.can_prune()) || is_build_output(&path) {
                    continue;
                }
                self.add_below(root, &path, &format!("{relative}/"), prefix, ignore, followed)?;
            } else if !excluded && kind.is_file() {
                self.add_file(&path, prefix, &relative)?;
            } else if !excluded && !is_socket(kind) {
                return Err(format!(
                    "{} is neither a file, a folder nor a link; remove it, or list it in .dockerignore",
                    path.display()
                ));
            }
        }
        Ok(())
    }

    fn add_file(&mut self, path: &Path, prefix: &str, relative: &str) -> Result<(), String> {
        let unreadable = |error: io::Error| format!("failed to read {}: {error}", path.display());
        let metadata = fs::metadata(path).map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(format!("{} is neither a file nor a folder", path.display()));
        }
        let kind = Kind::File {
            content: fs::read(path).map_err(unreadable)?,
            executable: is_executable(&metadata),
        };
        self.push(prefix, relative, kind);
        Ok(())
    }

    fn push(&mut self, prefix: &str, relative: &str, kind: Kind) {
        let path = format!("{prefix}{relative}");
        self.0.push(Entry { path, kind });
    }

    /// Removes the files that `ignore` excludes, as docker's client does. The Dockerfile is kept.
    pub(super) fn exclude(&mut self, ignore: &Ignore) {
        self.0
            .retain(|entry| entry.path == "Dockerfile" || !ignore.excludes(&entry.path));
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

    /// Whether the context has a file below the folder `name`.
    pub(super) fn has_folder(&self, name: &str) -> bool {
        self.0
            .iter()
            .any(|entry| entry.path.strip_prefix(name).is_some_and(|rest| rest.starts_with('/')))
    }

    /// Returns a hash of all names, contents and executable bits, and of `more`: 12 hexadecimal digits. Dates, owners and the
    /// umask of the checkout do not affect it.
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

    /// Returns the context as a tar archive. Equal files give an identical archive.
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

/// Whether the target of a link in the folder `below` the root stays inside the root.
fn stays_inside(below: &str, target: &Path) -> bool {
    let mut depth = below.matches('/').count();
    target.components().all(|part| match part {
        Component::ParentDir => depth.checked_sub(1).map(|above| depth = above).is_some(),
        Component::Normal(_) => {
            depth += 1;
            true
        }
        Component::CurDir => true,
        Component::RootDir | Component::Prefix(_) => false,
    })
}

/// Whether cargo or another tool marked the folder as reproducible output (<https://bford.info/cachedir/>).
fn is_build_output(folder: &Path) -> bool {
    const SIGNATURE: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55";
    fs::read(folder.join("CACHEDIR.TAG")).is_ok_and(|tag| tag.starts_with(SIGNATURE))
}

/// Whether the file is a socket, which a server may have left behind; docker skips sockets too.
fn is_socket(kind: fs::FileType) -> bool {
    use std::os::unix::fs::FileTypeExt;
    kind.is_socket()
}

fn is_executable(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o100 != 0
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
    fn context_hash_depends_on_content_only() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("sub")).unwrap();
        fs::write(folder.path().join("Dockerfile"), "FROM x").unwrap();
        fs::write(folder.path().join("sub/a.py"), "a = 1").unwrap();
        let before = of(folder.path());
        assert!(before.contains("sub/a.py") && before.has_folder("sub") && !before.has_folder("su"));

        fs::create_dir(folder.path().join("sub/__pycache__")).unwrap();
        fs::write(folder.path().join("sub/__pycache__/a.pyc"), "x").unwrap();
        assert_eq!(
            of(folder.path()).hash(&[]),
            before.hash(&[]),
            "caches do not affect the hash"
        );
        assert_ne!(before.hash(&["base"]), before.hash(&["other"]));
        assert_ne!(before.hash(&["a", "b"]), before.hash(&["ab"]));

        fs::write(folder.path().join("sub/a.py"), "a = 2").unwrap();
        assert_ne!(of(folder.path()).hash(&[]), before.hash(&[]));
    }

    #[test]
    fn archive_of_equal_files_is_identical() {
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

    fn paths(files: &ContextFiles) -> Vec<&str> {
        files.0.iter().map(|entry| entry.path.as_str()).collect()
    }

    #[test]
    fn dockerignore_build_output_and_git_stay_out_of_context_and_hash() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(".dockerignore", "*.env\nlogs\n!logs/keep.txt\n");
        write("app.py", "");
        write("logs/keep.txt", "");
        let before = of(folder.path());
        write("secret.env", "password");
        write("logs/today", "");
        write(".git/HEAD", "");
        write(
            "target/CACHEDIR.TAG",
            "Signature: 8a477f597d28d172789f06886806bc55\n# cargo",
        );
        write("target/debug/huge", "");
        let after = of(folder.path());
        assert_eq!(paths(&after), [".dockerignore", "app.py", "logs/keep.txt"]);
        assert_eq!(after.hash(&[]), before.hash(&[]));
    }

    #[test]
    fn links_that_leave_the_folder_become_their_content() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("app");
        let shared = parent.path().join("shared");
        fs::create_dir_all(folder.join("sub")).unwrap();
        fs::create_dir_all(&shared).unwrap();
        fs::write(shared.join("a.py"), "shared").unwrap();
        fs::write(folder.join("b.py"), "b").unwrap();
        let link = |target: &str, name: &str| std::os::unix::fs::symlink(target, folder.join(name)).unwrap();
        link("../shared/a.py", "file.py");
        link("../shared", "package");
        link("../b.py", "sub/inside.py");
        link("/nowhere/in/the/container", "container");
        let files = of(&folder);
        assert_eq!(
            paths(&files),
            ["b.py", "container", "file.py", "package/a.py", "sub/inside.py"]
        );
        let kind = |path: &str| &files.0.iter().find(|entry| entry.path == path).unwrap().kind;
        assert!(matches!(kind("file.py"), Kind::File { content, .. } if content == b"shared"));
        assert!(matches!(kind("sub/inside.py"), Kind::Link(_)) && matches!(kind("container"), Kind::Link(_)));
        let hash = files.hash(&[]);
        fs::write(shared.join("a.py"), "changed").unwrap();
        assert_ne!(of(&folder).hash(&[]), hash, "the target's content is part of the hash");

        let refused = |name: &str| {
            let error = ContextFiles::default().add_folder(&folder, "").unwrap_err();
            assert!(error.contains(name), "{error}");
            fs::remove_file(folder.join(name)).unwrap();
        };
        link("../none.py", "dangling.py");
        refused("dangling.py");
        link("../..", "around");
        refused("around");
    }

    #[test]
    fn unsupported_files_are_named_in_the_error() {
        use std::os::unix::ffi::OsStrExt;
        let folder = tempfile::tempdir().unwrap();
        let error = || ContextFiles::default().add_folder(folder.path(), "").unwrap_err();
        let odd = folder.path().join(std::ffi::OsStr::from_bytes(b"odd-\xff"));
        fs::write(&odd, "").unwrap();
        assert!(error().contains("odd-") && error().contains("UTF-8"), "{}", error());
        fs::remove_file(odd).unwrap();

        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        assert!(
            error().contains("pipe") && error().contains(".dockerignore"),
            "{}",
            error()
        );
        fs::write(folder.path().join(".dockerignore"), "pipe\n").unwrap();

        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("control.sock")).unwrap();
        let long = format!("{0}/{0}/a.py", "n".repeat(120));
        fs::create_dir_all(folder.path().join(&long).parent().unwrap()).unwrap();
        fs::write(folder.path().join(&long), "x").unwrap();
        let bytes = of(folder.path()).tar().unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let names: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(names, [".dockerignore".to_owned(), long]);
    }
}
