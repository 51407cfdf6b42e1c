//! A commit's tree in a folder of its own.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::AgainstError;

/// First bytes of a file that stands for another one elsewhere.
const LARGE_FILE_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// A commit, written out.
#[derive(Clone, Debug)]
pub struct Checkout {
    /// As the user gave it.
    pub reference: String,
    /// Full hash.
    pub commit: String,
    /// Where its tree is.
    pub root: PathBuf,
    /// The user's crate in it.
    pub manifest_dir: PathBuf,
}

/// Writes `reference` out under `<folder>/<commit>`; one that is there already is used again.
///
/// # Errors
/// No repository, no such commit, submodules or large-file pointers, no disk.
pub fn check_out(reference: &str, manifest_dir: &Path, folder: &Path) -> Result<Checkout, AgainstError> {
    let top = git(manifest_dir, &["rev-parse", "--show-toplevel"]).map_err(|error| {
        let remedy = if error.contains("not a git repository") {
            "; make one: git init, git add ., git commit"
        } else {
            ""
        };
        AgainstError::NoRepository(error + remedy)
    })?;
    let top = PathBuf::from(top);
    let spec = format!("{reference}^{{commit}}");
    // `--end-of-options`: a reference that begins with a dash stays a reference.
    let commit = git(&top, &["rev-parse", "--verify", "--quiet", "--end-of-options", &spec]).map_err(|_| {
        AgainstError::UnknownReference {
            reference: reference.to_owned(),
            hint: hint(&top, reference),
        }
    })?;
    refuse_submodules(&top, &commit, reference)?;
    let root = folder.join(&commit);
    if !root.join(DONE).is_file() {
        write_out(&top, &commit, reference, folder, &root)?;
    }
    let inside = relative(manifest_dir, &top);
    Ok(Checkout {
        reference: reference.to_owned(),
        commit,
        manifest_dir: root.join(inside),
        root,
    })
}

/// Marks a tree that is whole.
const DONE: &str = ".wsgibench-complete";

fn write_out(top: &Path, commit: &str, reference: &str, folder: &Path, root: &Path) -> Result<(), AgainstError> {
    let io = |source: io::Error| AgainstError::Io {
        path: folder.to_owned(),
        source,
    };
    fs::create_dir_all(folder).map_err(io)?;
    let fresh = tempfile::Builder::new()
        .prefix(".tmp-")
        .tempdir_in(folder)
        .map_err(io)?;
    let mut archive = Command::new("git")
        .arg("-C")
        .arg(top)
        .args(["archive", "--format=tar", commit])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| AgainstError::NoRepository(e.to_string()))?;
    if let Some(stdout) = archive.stdout.take() {
        tar::Archive::new(stdout).unpack(fresh.path()).map_err(io)?;
    }
    let status = archive.wait().map_err(io)?;
    if !status.success() {
        return Err(AgainstError::UnknownReference {
            reference: reference.to_owned(),
            hint: hint(top, reference),
        });
    }
    refuse_pointers(fresh.path(), reference)?;
    fs::write(fresh.path().join(DONE), b"").map_err(io)?;
    if root.exists() {
        fs::remove_dir_all(root).map_err(io)?;
    }
    fs::rename(fresh.path(), root).map_err(io)
}

/// The manifest's folder inside the repository, whatever links lead to it.
fn relative(manifest_dir: &Path, top: &Path) -> PathBuf {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    real(manifest_dir)
        .strip_prefix(real(top))
        .map(Path::to_owned)
        .unwrap_or_default()
}

fn hint(top: &Path, reference: &str) -> String {
    let shallow = git(top, &["rev-parse", "--is-shallow-repository"]).is_ok_and(|text| text == "true");
    if shallow {
        format!(
            "; the clone is shallow: `git fetch --unshallow`, or `git fetch origin {reference}` (in CI: fetch-depth: 0)"
        )
    } else {
        "; `git fetch` brings what others have pushed, `git branch -a` and `git tag` list what is here".to_owned()
    }
}

fn refuse_submodules(top: &Path, commit: &str, reference: &str) -> Result<(), AgainstError> {
    let tree = git(top, &["ls-tree", "-r", "-z", commit]).map_err(AgainstError::NoRepository)?;
    // <mode> <type> <hash>\t<path>; a submodule's type is `commit`.
    let submodule = tree.split('\0').find_map(|entry| {
        let (head, path) = entry.split_once('\t')?;
        (head.split(' ').nth(1) == Some("commit")).then(|| path.to_owned())
    });
    match submodule {
        Some(path) => Err(AgainstError::NotInRepository {
            path,
            what: "a submodule",
            reference: reference.to_owned(),
        }),
        None => Ok(()),
    }
}

fn refuse_pointers(root: &Path, reference: &str) -> Result<(), AgainstError> {
    for entry in walkdir::WalkDir::new(root).into_iter().flatten() {
        // Pointer files are a few lines.
        let small = entry.metadata().is_ok_and(|m| m.is_file() && m.len() < 1_024);
        if small && fs::read(entry.path()).is_ok_and(|bytes| bytes.starts_with(LARGE_FILE_POINTER)) {
            let path = entry.path().strip_prefix(root).unwrap_or(entry.path());
            return Err(AgainstError::NotInRepository {
                path: path.display().to_string(),
                what: "a large-file pointer",
                reference: reference.to_owned(),
            });
        }
    }
    Ok(())
}

fn git(dir: &Path, args: &[&str]) -> Result<String, String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(dir)
        .args(args)
        .env("LC_ALL", "C") // what went wrong is told apart by its text
        .output()
        .map_err(|e| format!("git cannot be started: {e}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout)
            .trim_end_matches('\n')
            .to_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(dir: &Path, args: &[&str]) {
        git(dir, args).unwrap_or_else(|e| panic!("git {args:?}: {e}"));
    }

    fn repository() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        run(dir.path(), &["init", "-q"]);
        run(dir.path(), &["config", "user.name", "t"]);
        run(dir.path(), &["config", "user.email", "t@example.org"]);
        fs::create_dir(dir.path().join("crate")).unwrap();
        fs::write(dir.path().join("crate/file"), "old").unwrap();
        run(dir.path(), &["add", "-A"]);
        run(dir.path(), &["commit", "-qm", "first"]);
        fs::write(dir.path().join("crate/file"), "new").unwrap();
        dir
    }

    #[test]
    fn a_commit_is_written_out_and_the_tree_is_left_alone() {
        let repo = repository();
        let folder = tempfile::tempdir().unwrap();
        let checkout = check_out("HEAD", &repo.path().join("crate"), folder.path()).unwrap();
        assert_eq!(fs::read_to_string(checkout.manifest_dir.join("file")).unwrap(), "old");
        assert_eq!(fs::read_to_string(repo.path().join("crate/file")).unwrap(), "new");
        let again = check_out("HEAD", &repo.path().join("crate"), folder.path()).unwrap();
        assert_eq!(again.root, checkout.root);
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "no temporary folder stays"
        );
    }

    #[test]
    fn an_unknown_reference_and_no_repository_are_named() {
        let repo = repository();
        let folder = tempfile::tempdir().unwrap();
        let error = check_out("nowhere", repo.path(), folder.path()).unwrap_err();
        assert!(error.to_string().contains("`nowhere` is no commit"), "{error}");
        let outside = tempfile::tempdir().unwrap();
        let error = check_out("HEAD", outside.path(), folder.path()).unwrap_err();
        assert!(matches!(error, AgainstError::NoRepository(_)), "{error}");
        assert!(error.to_string().contains("git init"), "{error}");
    }

    #[test]
    fn large_file_pointers_are_refused() {
        let repo = repository();
        fs::write(
            repo.path().join("crate/model.bin"),
            "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        )
        .unwrap();
        run(repo.path(), &["add", "-A"]);
        run(repo.path(), &["commit", "-qm", "pointer"]);
        let folder = tempfile::tempdir().unwrap();
        let error = check_out("HEAD", repo.path(), folder.path()).unwrap_err();
        assert!(
            error.to_string().contains("crate/model.bin is a large-file pointer"),
            "{error}"
        );
    }
}
