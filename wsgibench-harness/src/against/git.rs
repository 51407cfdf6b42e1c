//! The base commit, and its tree in a separate folder.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
    process::Command,
};

use super::AgainstError;
use crate::subprocess;

/// First bytes of a Git LFS pointer file.
const LARGE_FILE_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// Settings for writing and comparing whole trees, which override the user's configuration.
const WHOLE_TREE: &[&str] = &[
    "core.sparseCheckout=false",
    "core.splitIndex=false",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "submodule.recurse=false",
    // git runs a user hook after it has written an index.
    "core.hooksPath=/dev/null",
];

/// The commit to compare with, from the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base<'a> {
    /// The merge base of `HEAD` and a reference; the reference itself if they have no common commit (`--against`).
    MergeBase(&'a str),
    /// The reference itself (`--against-tip`).
    Tip(&'a str),
}

impl<'a> Base<'a> {
    /// The reference as given.
    #[must_use]
    pub fn reference(self) -> &'a str {
        match self {
            Self::MergeBase(reference) | Self::Tip(reference) => reference,
        }
    }
}

/// A commit's tree on disk.
#[derive(Clone, Debug)]
pub struct Checkout {
    /// The reference as given.
    pub reference: String,
    /// Full hash of the commit compared with.
    pub commit: String,
    /// Why this commit was chosen, if it is not the tip of the reference.
    pub choice: Option<String>,
    /// Root of the written tree.
    pub root: PathBuf,
    /// The user's crate in the written tree.
    pub manifest_dir: PathBuf,
    /// Root of the working tree.
    pub top: PathBuf,
    git_dir: PathBuf,
    index: PathBuf,
}

/// Writes the tree of the base commit to `<folder>/<commit>` and removes the tree of any other commit there. An unchanged tree
/// is reused.
///
/// The tree is what `git checkout` would write: line endings and filters (Git LFS, git-crypt) as in the working tree;
/// attributes for archives have no effect. Submodules that are initialised in the working tree are written too, at the commit that
/// the base names. A private index is used and git's own state is not touched.
///
/// # Errors
/// If there is no repository, no such commit, a commit without the crate, no merge base in a shallow clone, a submodule at a commit
/// that was not fetched, an unresolved Git LFS pointer, or a write error.
pub fn check_out(base: Base<'_>, manifest_dir: &Path, folder: &Path) -> Result<Checkout, AgainstError> {
    let repository = Repository::discover(manifest_dir)?;
    let reference = base.reference();
    let tip = repository.commit(reference)?;
    let (commit, choice) = match base {
        Base::Tip(_) => (tip, None),
        Base::MergeBase(_) => repository.merge_base(reference, tip)?,
    };
    let submodules = submodules(&repository.top, &commit, reference)?;
    let checkout = Checkout {
        reference: reference.to_owned(),
        root: folder.join(&commit),
        manifest_dir: folder.join(&commit).join(relative(manifest_dir, &repository.top)),
        index: folder.join(format!("{commit}.index")),
        git_dir: repository.git_dir,
        top: repository.top,
        commit,
        choice,
    };
    // A submodule's tree also depends on the working tree, so it is always written again.
    if !submodules.is_empty() || !checkout.is_unchanged() {
        checkout.write(folder, &submodules)?;
    }
    checkout.refuse_pointers()?;
    let manifest = checkout.manifest_dir.join("Cargo.toml");
    if !manifest.is_file() {
        return Err(AgainstError::NoManifest {
            reference: reference.to_owned(),
            manifest: manifest.strip_prefix(&checkout.root).unwrap_or(&manifest).to_owned(),
        });
    }
    Ok(checkout)
}

struct Repository {
    /// Returns the root of the working tree.
    top: PathBuf,
    /// Returns git's folder of this working tree.
    git_dir: PathBuf,
}

impl Repository {
    fn discover(manifest_dir: &Path) -> Result<Self, AgainstError> {
        let ask = |option: &str| {
            let output = run(subprocess::git(manifest_dir).args(["rev-parse", option])).map_err(|error| {
                let remedy = if error.contains("not a git repository") {
                    "; create one: git init, git add ., git commit"
                } else {
                    ""
                };
                AgainstError::NoRepository(error + remedy)
            })?;
            Ok(path(&output))
        };
        Ok(Self {
            top: ask("--show-toplevel")?,
            git_dir: ask("--absolute-git-dir")?,
        })
    }

    fn commit(&self, reference: &str) -> Result<String, AgainstError> {
        let spec = format!("{reference}^{{commit}}");
        // `--end-of-options` keeps a reference that begins with a dash from being an option.
        run(subprocess::git(&self.top).args(["rev-parse", "--verify", "--end-of-options", &spec]))
            .map(|output| text(&output))
            .map_err(|reason| AgainstError::UnknownReference {
                reference: reference.to_owned(),
                reason,
                hint: self.hint(reference),
            })
    }

    /// Returns the merge base of `HEAD` and the tip, and how it was chosen if it is not the tip.
    fn merge_base(&self, reference: &str, tip: String) -> Result<(String, Option<String>), AgainstError> {
        let output = subprocess::git(&self.top)
            .args(["merge-base", "HEAD", &tip])
            .output()
            .map_err(|e| AgainstError::Git {
                action: "find the merge base".to_owned(),
                output: e.to_string(),
            })?;
        if output.status.success() {
            let commit = text(&output.stdout);
            let ahead = self.commits_between(&commit, &tip);
            let choice = (commit != tip).then(|| {
                format!(
                    "the merge base of HEAD and {reference}, which has {ahead} more; --against-tip {reference} compares with its tip"
                )
            });
            return Ok((commit, choice));
        }
        // Status 1 means that there is none, whatever git warns of (an ambiguous name, `GIT_TRACE`); anything else is an error.
        if output.status.code() != Some(1) {
            return Err(AgainstError::Git {
                action: format!("find the merge base of HEAD and {reference}"),
                output: text(&output.stderr),
            });
        }
        if self.is_shallow() {
            return Err(AgainstError::NoMergeBase {
                reference: reference.to_owned(),
            });
        }
        let choice = format!("the tip of {reference}, which has no commit in common with HEAD");
        Ok((tip, Some(choice)))
    }

    fn commits_between(&self, from: &str, to: &str) -> String {
        let range = format!("{from}..{to}");
        let count = run(subprocess::git(&self.top).args(["rev-list", "--count", &range])).map(|output| text(&output));
        match count.as_deref() {
            Ok("1") => "1 commit".to_owned(),
            Ok(count) => format!("{count} commits"),
            Err(_) => "commits".to_owned(),
        }
    }

    fn is_shallow(&self) -> bool {
        run(subprocess::git(&self.top).args(["rev-parse", "--is-shallow-repository"]))
            .is_ok_and(|output| text(&output) == "true")
    }

    fn hint(&self, reference: &str) -> String {
        if self.is_shallow() {
            format!(
                "the clone is shallow: run `git fetch --unshallow`, or `git fetch origin {reference}` (in CI: `fetch-depth: 0`, `GIT_DEPTH: \"0\"`)"
            )
        } else {
            "run `git fetch` for commits that others have pushed; `git branch -a` and `git tag` list the names"
                .to_owned()
        }
    }
}

impl Checkout {
    /// Returns the working-tree files under `paths` (relative to the root, empty: all) that differ from the commit: changed, removed,
    /// or new and not ignored by git. Files of initialised submodules are compared with the commit that the base names.
    ///
    /// # Errors
    /// git's error message.
    pub fn changed_files(&self, paths: &[PathBuf]) -> Result<Vec<PathBuf>, AgainstError> {
        let diff = [
            "diff",
            "--name-only",
            "--no-ext-diff",
            "--no-textconv",
            "--no-renames",
            "--ignore-submodules=all",
            "-z",
        ];
        let others = ["ls-files", "--others", "--exclude-standard", "-z"];
        let mut changed = self.list(&diff, paths)?;
        changed.extend(self.list(&others, paths)?);
        for (submodule, paths) in self.submodules_around(paths)? {
            changed.extend(self.list_in(&submodule, &[&diff[..], &[&submodule.commit]].concat(), &paths)?);
            changed.extend(self.list_in(&submodule, &others, &paths)?);
        }
        changed.sort();
        changed.dedup();
        Ok(changed)
    }

    /// Whether the commit has a file, even if the file was also added to its tree on disk.
    #[must_use]
    pub fn has(&self, file: &Path) -> bool {
        let mut command = self.git(&self.root);
        command.args(["ls-files", "--error-unmatch", "--"]).arg(file);
        run(command.env("GIT_LITERAL_PATHSPECS", "1")).is_ok()
    }

    /// Returns the working-tree files under `paths` that git ignores.
    ///
    /// # Errors
    /// git's error message.
    pub fn ignored_files(&self, paths: &[PathBuf]) -> Result<Vec<PathBuf>, AgainstError> {
        let ignored = ["ls-files", "--others", "--ignored", "--exclude-standard", "-z"];
        let mut files = self.list(&ignored, paths)?;
        for (submodule, paths) in self.submodules_around(paths)? {
            files.extend(self.list_in(&submodule, &ignored, &paths)?);
        }
        Ok(files)
    }

    /// Returns the initialised submodules that contain some of `paths` or are inside them, each with its path from the root and
    /// the paths inside it (empty: all).
    fn submodules_around(&self, paths: &[PathBuf]) -> Result<Vec<(Submodule, Vec<PathBuf>)>, AgainstError> {
        let mut found = Vec::new();
        let mut waiting = submodules(&self.top, &self.commit, &self.reference)?;
        while let Some(submodule) = waiting.pop() {
            let folder = self.top.join(&submodule.path);
            let is_inside = paths.is_empty() || paths.iter().any(|path| submodule.path.starts_with(path));
            let within = paths.iter().filter_map(|path| path.strip_prefix(&submodule.path).ok());
            let within: Vec<PathBuf> = within.map(Path::to_owned).collect();
            let concerned = is_inside || !within.is_empty();
            if !concerned || !folder.join(".git").exists() {
                continue;
            }
            let nested = submodules(&folder, &submodule.commit, &self.reference)?;
            waiting.extend(nested.into_iter().map(|nested| Submodule {
                path: submodule.path.join(&nested.path),
                ..nested
            }));
            found.push((submodule, if is_inside { Vec::new() } else { within }));
        }
        Ok(found)
    }

    /// Runs a command that lists files in a submodule; the files are relative to the root.
    fn list_in(
        &self,
        submodule: &Submodule,
        arguments: &[&str],
        paths: &[PathBuf],
    ) -> Result<Vec<PathBuf>, AgainstError> {
        let command = subprocess::git(&self.top.join(&submodule.path));
        let files = self.list_by(command, arguments, paths)?;
        Ok(files.into_iter().map(|file| submodule.path.join(file)).collect())
    }

    fn list(&self, arguments: &[&str], paths: &[PathBuf]) -> Result<Vec<PathBuf>, AgainstError> {
        self.list_by(self.git(&self.top), arguments, paths)
    }

    fn list_by(
        &self,
        mut command: Command,
        arguments: &[&str],
        paths: &[PathBuf],
    ) -> Result<Vec<PathBuf>, AgainstError> {
        command
            .args(arguments)
            .arg("--")
            .args(paths)
            .env("GIT_LITERAL_PATHSPECS", "1");
        let output = run(&mut command).map_err(|output| AgainstError::Git {
            action: format!("compare the working tree with {}", self.reference),
            output,
        })?;
        let names = output.split(|byte| *byte == 0).filter(|name| !name.is_empty());
        Ok(names.map(|name| PathBuf::from(OsStr::from_bytes(name))).collect())
    }

    /// Returns a git command with the commit's private index and the working tree `tree`.
    fn git(&self, tree: &Path) -> Command {
        git_with_index(&self.git_dir, &self.index, tree)
    }

    fn is_unchanged(&self) -> bool {
        self.index.is_file()
            && self.root.is_dir()
            && run(self.git(&self.root).args(["diff", "--quiet", "--no-ext-diff"])).is_ok()
    }

    fn write(&self, folder: &Path, submodules: &[Submodule]) -> Result<(), AgainstError> {
        let io = |source: io::Error| AgainstError::Io {
            path: folder.to_owned(),
            source,
        };
        fs::create_dir_all(folder).map_err(io)?;
        // Removes trees of other commits and remains of killed runs. Files written now are then newer than anything built from those,
        // so that cargo never reuses another commit's bench.
        for entry in fs::read_dir(folder).map_err(io)? {
            let entry = entry.map_err(io)?;
            if !is_ours(&entry.file_name()) {
                continue;
            }
            if entry.file_type().map_err(io)?.is_dir() {
                fs::remove_dir_all(entry.path()).map_err(io)?;
            } else {
                fs::remove_file(entry.path()).map_err(io)?;
            }
        }
        let fresh = folder.join(format!("{}{TEMPORARY}", self.commit));
        fs::create_dir(&fresh).map_err(io)?;
        run(git_with_index(&self.git_dir, &self.index, &fresh).args(["read-tree", "--reset", "-u", &self.commit]))
            .map_err(|output| AgainstError::Git {
                action: format!("check out {} of {}", self.commit, self.reference),
                output,
            })?;
        self.write_submodules(folder, submodules, &self.top, &fresh)?;
        fs::rename(&fresh, &self.root).map_err(io)
    }

    /// Writes the trees of initialised submodules of the repository at `working` into `tree`, recursively. Other submodules
    /// stay empty, as in the working tree.
    fn write_submodules(
        &self,
        folder: &Path,
        submodules: &[Submodule],
        working: &Path,
        tree: &Path,
    ) -> Result<(), AgainstError> {
        for submodule in submodules {
            let (source, target) = (working.join(&submodule.path), tree.join(&submodule.path));
            if !source.join(".git").exists() {
                continue;
            }
            let index = folder.join(format!("{}.index", submodule.commit));
            let written = fs::create_dir_all(&target)
                .map_err(|e| e.to_string())
                .and_then(|()| run(subprocess::git(&source).args(["rev-parse", "--absolute-git-dir"])))
                .and_then(|git_dir| {
                    let mut git = git_with_index(&path(&git_dir), &index, &target);
                    run(git.args(["read-tree", "--reset", "-u", &submodule.commit]))
                });
            // The index of a submodule is no longer needed. It is missing only if git failed.
            let _ = fs::remove_file(&index);
            written.map_err(|output| AgainstError::Submodule {
                path: source.strip_prefix(&self.top).unwrap_or(&source).display().to_string(),
                reference: self.reference.clone(),
                output,
            })?;
            let nested = self::submodules(&source, &submodule.commit, &self.reference)?;
            self.write_submodules(folder, &nested, &source, &target)?;
        }
        Ok(())
    }

    /// Rejects unresolved LFS pointers. A pointer that is the same in the working tree counts as ordinary content.
    fn refuse_pointers(&self) -> Result<(), AgainstError> {
        for entry in walkdir::WalkDir::new(&self.root).into_iter().flatten() {
            // Pointer files have a few lines.
            if !entry.metadata().is_ok_and(|m| m.is_file() && m.len() < 1_024) {
                continue;
            }
            let Ok(content) = fs::read(entry.path()) else { continue };
            let inside = entry.path().strip_prefix(&self.root).unwrap_or(entry.path());
            if content.starts_with(LARGE_FILE_POINTER)
                && fs::read(self.top.join(inside)).ok().as_ref() != Some(&content)
            {
                return Err(AgainstError::NotInRepository {
                    path: inside.display().to_string(),
                    what: "an unresolved Git LFS pointer",
                    reference: self.reference.clone(),
                    remedy: "install Git LFS (`git lfs install`) and run `git lfs fetch --all`",
                });
            }
        }
        Ok(())
    }
}

/// An entry of a tree that names a commit of another repository.
struct Submodule {
    /// Path in the containing repository.
    path: PathBuf,
    commit: String,
}

/// Returns the submodules of a commit of the repository at `working`.
fn submodules(working: &Path, commit: &str, reference: &str) -> Result<Vec<Submodule>, AgainstError> {
    let tree =
        run(subprocess::git(working).args(["ls-tree", "-r", "-z", "--full-tree", commit])).map_err(|output| {
            AgainstError::Git {
                action: format!("list the files of {reference}"),
                output,
            }
        })?;
    // <mode> <type> <hash>\t<path>; a submodule's type is `commit`.
    let submodule = |entry: &[u8]| {
        let tab = entry.iter().position(|byte| *byte == b'\t')?;
        let mut fields = entry[..tab].split(|byte| *byte == b' ').skip(1);
        let is_submodule = fields.next()? == b"commit";
        let commit = String::from_utf8_lossy(fields.next()?).into_owned();
        let path = PathBuf::from(OsStr::from_bytes(&entry[tab + 1..]));
        is_submodule.then_some(Submodule { path, commit })
    };
    Ok(tree.split(|byte| *byte == 0).filter_map(submodule).collect())
}

/// Suffix of a tree that is being written.
const TEMPORARY: &str = ".tmp";

/// Whether a file name is one that [`Checkout::write`] creates: `<hash>`, `<hash>.tmp`, `<hash>.index`, `<hash>.index.lock`.
fn is_ours(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| {
        let (hash, rest) = name.split_once('.').unwrap_or((name, ""));
        hash.len() >= 40
            && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
            && ["", "tmp", "index", "index.lock"].contains(&rest)
    })
}

fn git_with_index(git_dir: &Path, index: &Path, tree: &Path) -> Command {
    let mut command = subprocess::git(tree);
    for setting in WHOLE_TREE {
        command.args(["-c", setting]);
    }
    command.arg("--git-dir").arg(git_dir).arg("--work-tree").arg(tree);
    command.env("GIT_INDEX_FILE", index);
    command
}

/// Returns the manifest's folder inside the repository, with links resolved.
fn relative(manifest_dir: &Path, top: &Path) -> PathBuf {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    real(manifest_dir)
        .strip_prefix(real(top))
        .map(Path::to_owned)
        .unwrap_or_default()
}

/// Runs git to its end; returns its output, or its standard error.
fn run(command: &mut Command) -> Result<Vec<u8>, String> {
    let output = command.output().map_err(|e| format!("failed to start git: {e}"))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let words = text(&output.stderr);
    Err(if words.is_empty() {
        format!("git exited with {}", output.status)
    } else {
        words
    })
}

fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).trim().to_owned()
}

/// Decodes a path from a line of git's output.
fn path(output: &[u8]) -> PathBuf {
    let line = output.strip_suffix(b"\n").unwrap_or(output);
    PathBuf::from(OsString::from_vec(line.to_owned()))
}

#[cfg(test)]
#[path = "git_tests.rs"]
mod tests;
