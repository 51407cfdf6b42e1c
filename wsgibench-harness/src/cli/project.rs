//! The checkout in which cargo was called.
//!
//! The folder of the declaring crate is compiled into a bench. If two checkouts of a repository share a target folder (one
//! `CARGO_TARGET_DIR` for all projects), cargo compares names and times of files and may run a bench that was built in the
//! other checkout.

use std::{
    env,
    path::{Path, PathBuf},
};

use super::Failure;
use crate::{
    against::{BuildInputs, bench::CHECKOUT_VARIABLE},
    declare::Declarations,
    subprocess::{Metadata, Toolchain},
};

/// The crate identity compiled into a bench.
#[derive(Clone, Copy, Debug)]
pub(super) struct Baked<'a> {
    /// Folder of the crate.
    pub(super) manifest_dir: &'a Path,
    /// Name of the package.
    pub(super) package: &'a str,
}

/// The user's crate.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Project {
    /// Folder of the crate in which cargo was called.
    pub(super) manifest_dir: PathBuf,
    /// The roots of the build's checkout and of this one, if they differ.
    moved: Option<(PathBuf, PathBuf)>,
}

impl Project {
    /// Finds the crate from cargo's variables. A bench started without cargo uses the crate that it was built from.
    ///
    /// # Errors
    /// If the bench was built in another checkout whose files differ from this one's.
    pub(super) fn locate(baked: Baked<'_>) -> Result<Self, Failure> {
        let project = Self::of(baked, called_in(baked.package));
        if let Some((from, to)) = &project.moved {
            let executable = env::current_exe().unwrap_or_default();
            refuse_other_sources(baked, &project.manifest_dir, &executable, from, to)?;
        }
        Ok(project)
    }

    /// Returns the crate for a bench that exports declarations: one in a checkout with the same files, if given.
    pub(super) fn of_declarations(baked: Baked<'_>) -> Self {
        Self::of(baked, env::var_os(CHECKOUT_VARIABLE).map(PathBuf::from))
    }

    fn of(baked: Baked<'_>, called_in: Option<PathBuf>) -> Self {
        let unmoved = || Self {
            manifest_dir: baked.manifest_dir.to_owned(),
            moved: None,
        };
        let Some(manifest_dir) = called_in.filter(|dir| dir.is_absolute()) else {
            return unmoved();
        };
        if real(&manifest_dir) == real(baked.manifest_dir) {
            return unmoved();
        }
        let moved = roots(baked.manifest_dir, &manifest_dir);
        Self {
            manifest_dir,
            moved: Some(moved),
        }
    }

    /// Replaces declared folders by those of this checkout. Returns a notice if they changed.
    pub(super) fn relocate(&self, declarations: &mut Declarations) -> Option<String> {
        let (from, to) = self.moved.as_ref()?;
        declarations.relocate(from, to);
        Some(format!(
            "cargo built this bench in {} from identical files; using images and applications of {}",
            from.display(),
            to.display()
        ))
    }
}

/// Returns the folder of the crate, if cargo started this program for the same package.
fn called_in(package: &str) -> Option<PathBuf> {
    let same = env::var("CARGO_PKG_NAME").is_ok_and(|name| name == package);
    same.then(|| env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from))
        .flatten()
}

/// Strips the common trailing components of two folders.
fn roots(one: &Path, other: &Path) -> (PathBuf, PathBuf) {
    let (mut one, mut other) = (one.to_owned(), other.to_owned());
    while one.file_name().is_some() && one.file_name() == other.file_name() {
        one.pop();
        other.pop();
    }
    (one, other)
}

fn refuse_other_sources(
    baked: Baked<'_>,
    manifest_dir: &Path,
    executable: &Path,
    from: &Path,
    to: &Path,
) -> Result<(), Failure> {
    // The project was moved or its folder deleted: cargo has compared the existing files.
    if !baked.manifest_dir.join("Cargo.toml").is_file() {
        return Ok(());
    }
    let workspace = Metadata::read(manifest_dir, Toolchain::Current).map(|metadata| metadata.workspace_root);
    let inputs = workspace.and_then(|workspace| BuildInputs::read(executable, &workspace, manifest_dir, &[to, from]));
    let why = match inputs {
        Ok(inputs) => inputs.difference(from, to, &[]),
        Err(unknown) => Some(unknown),
    };
    match why {
        None => Ok(()),
        Some(why) => Err(Failure::usage(format!(
            "cargo ran a bench that was built in {}, not in {} where it was called: the two checkouts share a target folder, and {why}; \
             give each checkout a CARGO_TARGET_DIR of its own, or run `cargo clean -p {}` first",
            from.display(),
            to.display(),
            baked.package
        ))),
    }
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(baked: &str, called_in: Option<&str>) -> Project {
        let baked = Baked {
            manifest_dir: Path::new(baked),
            package: "p",
        };
        Project::of(baked, called_in.map(PathBuf::from))
    }

    #[test]
    fn roots_are_the_differing_prefixes() {
        let moved = |baked, called_in| of(baked, Some(called_in)).moved;
        let pair = |from: &str, to: &str| Some((PathBuf::from(from), PathBuf::from(to)));
        assert_eq!(moved("/w/one/bench", "/w/two/bench"), pair("/w/one", "/w/two"));
        assert_eq!(moved("/w/one", "/w/two"), pair("/w/one", "/w/two"));
        assert_eq!(moved("/a/x/bench", "/b/x/bench"), pair("/a", "/b"));
        assert_eq!(moved("/w/one/bench", "/w/one/bench"), None);
        assert_eq!(of("/w/one", None).manifest_dir, Path::new("/w/one"));
        assert_eq!(of("/w/one", Some("relative")).manifest_dir, Path::new("/w/one"));
        assert_eq!(of("/w/one", Some("/w/two")).manifest_dir, Path::new("/w/two"));
    }
}
