//! The files from which the running bench was built, and whether they are equal in two checkouts.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    path::{Component, Path, PathBuf},
};

/// Files that decide how cargo builds a package or a workspace, in any folder from the package up to the root.
const SETTINGS: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    ".cargo/config.toml",
    ".cargo/config",
    "rust-toolchain.toml",
    "rust-toolchain",
];

/// The files of a checkout from which a bench was built. Paths are relative to the checkout's root.
///
/// They are read from the dependency files (`.d`) that rustc wrote next to the executable, for all crates in that folder: possibly more than
/// this bench needs, never fewer. Dependencies from a registry are fixed by `Cargo.lock`.
#[derive(Debug, Default)]
pub struct BuildInputs {
    /// Files; a file absent in both checkouts is equal in both.
    files: BTreeSet<PathBuf>,
    /// Whole folders: packages whose build script names no files, and folders that a build script names.
    folders: BTreeSet<PathBuf>,
    /// An input outside of every checkout, such as git's own files.
    outside: Option<String>,
    /// Cargo's folder of built files, where it is inside the checkout.
    built: Option<PathBuf>,
}

impl BuildInputs {
    /// Reads the inputs of `executable` (`<profile>/deps/<name>-<hash>`). `workspace` is the root of the workspace, to which rustc's
    /// paths are relative; `roots` are the names of the checkout's root, the current one first.
    ///
    /// # Errors
    /// If the inputs are unknown: the target folder has another layout, or there is no dependency file. Returns the reason.
    pub fn read(executable: &Path, workspace: &Path, manifest_dir: &Path, roots: &[&Path]) -> Result<Self, String> {
        let deps = executable
            .parent()
            .filter(|folder| folder.file_name() == Some(OsStr::new("deps")));
        let profile = deps
            .and_then(Path::parent)
            .ok_or_else(|| format!("{} is not in cargo's target folder", executable.display()))?;
        let own = executable.with_extension("d");
        if !own.is_file() {
            return Err(format!("{} is missing", own.display()));
        }
        let mut reader = Reader {
            workspace,
            roots,
            target: profile.parent().unwrap_or(profile),
            inputs: Self::default(),
        };
        // With `--target`, crates that run at compile time are built one folder higher.
        let name = profile.file_name().unwrap_or_default();
        let host = profile.parent().and_then(Path::parent).map(|folder| folder.join(name));
        for profile in std::iter::once(profile.to_owned()).chain(host) {
            for file in entries(&profile.join("deps")) {
                if file.extension() == Some(OsStr::new("d")) {
                    reader.dependency_file(&file);
                }
            }
            reader.build_scripts(&profile.join("build"));
        }
        reader.settings(manifest_dir);
        let mut inputs = reader.inputs;
        inputs.built = relative_to(profile.parent().unwrap_or(profile), roots);
        Ok(inputs)
    }

    /// Returns a phrase for the first difference in the inputs between the checkout in which the bench was built and another one.
    /// `changed` are the files that were added, removed or changed between them.
    #[must_use]
    pub fn difference(&self, one: &Path, other: &Path, changed: &[PathBuf]) -> Option<String> {
        if let Some(outside) = &self.outside {
            return Some(format!("its build script reads {outside}"));
        }
        let differs = |file: &&PathBuf| {
            let content = fs::read(other.join(file)).ok();
            // A lock file that git ignores is copied for the build.
            let lent = content.is_none() && file.ends_with("Cargo.lock");
            !lent && fs::read(one.join(file)).ok() != content
        };
        if let Some(file) = self.files.iter().find(differs) {
            return Some(format!("{} differs", file.display()));
        }
        for folder in &self.folders {
            if let Some(file) = self.differs_within(folder, one, other) {
                return Some(format!("{} differs, which a build script may read", file.display()));
            }
        }
        // A macro that reads a whole folder leaves only files that still exist in the dependency files.
        let moved = changed.iter().find(|file| {
            let in_one_only = one.join(file).exists() != other.join(file).exists();
            file.parent().filter(|_| in_one_only).is_some_and(|folder| {
                !one.join(folder).join("Cargo.toml").is_file()
                    && self
                        .files
                        .iter()
                        .any(|known| known.parent() == Some(folder) && is_source(known))
            })
        });
        moved.map(|file| format!("{} was added or removed next to its sources", file.display()))
    }

    fn differs_within(&self, folder: &Path, one: &Path, other: &Path) -> Option<PathBuf> {
        let list = |root: &Path| -> BTreeSet<PathBuf> {
            let files = walkdir::WalkDir::new(root.join(folder))
                .into_iter()
                .filter_entry(|entry| {
                    let path = entry.path().strip_prefix(root).unwrap_or(entry.path());
                    self.built.as_deref() != Some(path) && entry.file_name() != ".git"
                });
            files
                .flatten()
                .filter(|entry| !entry.file_type().is_dir())
                .filter_map(|entry| entry.path().strip_prefix(root).ok().map(Path::to_owned))
                .collect()
        };
        let (of_one, of_other) = (list(one), list(other));
        let mut files = of_one.union(&of_other);
        files
            .find(|file| fs::read(one.join(file)).ok() != fs::read(other.join(file)).ok())
            .cloned()
    }
}

/// Settings are also in many folders without sources.
fn is_source(file: &Path) -> bool {
    !SETTINGS.iter().any(|setting| file.ends_with(setting))
}

struct Reader<'a> {
    workspace: &'a Path,
    roots: &'a [&'a Path],
    target: &'a Path,
    inputs: BuildInputs,
}

impl Reader<'_> {
    fn dependency_file(&mut self, file: &Path) {
        let text = fs::read_to_string(file).unwrap_or_default();
        for path in dependencies(&text) {
            self.add_file(&self.workspace.join(path));
        }
    }

    /// Returns the path inside the checkout. Cargo may name a file by a link to it.
    fn inside(&self, path: &Path) -> Option<PathBuf> {
        let inside = |path: &Path| {
            // Generated files depend on the build script, which is an input itself.
            let path = (!path.starts_with(self.target)).then_some(path)?;
            relative_to(path, self.roots)
        };
        inside(&normal(path)).or_else(|| inside(&path.canonicalize().ok()?))
    }

    fn add_file(&mut self, path: &Path) {
        if let Some(file) = self.inside(path) {
            for folder in file.ancestors().skip(1) {
                self.inputs.files.insert(folder.join("Cargo.toml"));
            }
            self.inputs.files.insert(file);
        }
    }

    /// Adds settings of cargo and rustup that apply to the bench's package, and build scripts that either checkout may have.
    fn settings(&mut self, manifest_dir: &Path) {
        let Some(inside) = self.inside(manifest_dir) else {
            return;
        };
        for folder in inside.ancestors() {
            for name in SETTINGS {
                self.inputs.files.insert(folder.join(name));
            }
        }
        let manifests: Vec<PathBuf> = self
            .inputs
            .files
            .iter()
            .filter(|file| file.ends_with("Cargo.toml") && self.roots.iter().any(|root| root.join(file).is_file()))
            .cloned()
            .collect();
        for manifest in manifests {
            self.inputs.files.insert(manifest.with_file_name("build.rs"));
        }
    }

    /// Adds a folder `build/<package>-<hash>`, which has a build script with its dependency file, or a script's output.
    fn build_scripts(&mut self, build: &Path) {
        let folders = entries(build);
        let package = |folder: &Path| {
            let name = folder.file_name()?.to_str()?;
            Some(name.rsplit_once('-')?.0.to_owned())
        };
        for script in &folders {
            let sources = entries(script)
                .into_iter()
                .filter(|file| file.extension() == Some(OsStr::new("d")))
                .flat_map(|file| dependencies(&fs::read_to_string(file).unwrap_or_default()))
                .map(|path| normal(&self.workspace.join(path)));
            let sources: Vec<PathBuf> = sources.filter(|path| self.inside(path).is_some()).collect();
            // From a package of a registry, or not a script.
            let Some(first) = sources.first() else { continue };
            let Some(root) = first
                .ancestors()
                .skip(1)
                .find(|folder| folder.join("Cargo.toml").is_file())
            else {
                continue;
            };
            let root = root.to_owned();
            for path in &sources {
                self.add_file(path);
            }
            for output in folders.iter().filter(|folder| package(folder) == package(script)) {
                if let Ok(printed) = fs::read_to_string(output.join("output")) {
                    self.build_script(&root, &printed);
                }
            }
        }
    }

    fn build_script(&mut self, package: &Path, printed: &str) {
        let named: Vec<&str> = printed
            .lines()
            .filter_map(|line| line.strip_prefix("cargo::").or_else(|| line.strip_prefix("cargo:")))
            .filter_map(|line| line.strip_prefix("rerun-if-changed="))
            .collect();
        // A script that names no inputs runs again when any file of its package has changed. A script that names only variables is assumed
        // to read no files, which cannot be verified.
        if named.is_empty() {
            self.inputs.folders.extend(self.inside(package));
        }
        for name in named {
            let path = normal(&package.join(name));
            if path
                .components()
                .any(|part| part == Component::Normal(OsStr::new(".git")))
            {
                self.inputs.outside = Some(name.to_owned());
            }
            let Some(inside) = self.inside(&path) else { continue };
            if path.is_dir() {
                self.inputs.folders.insert(inside);
            } else {
                self.inputs.files.insert(inside);
            }
        }
    }
}

/// Returns the paths after the colons of a dependency file in rustc's format: one rule a line, spaces in names escaped.
fn dependencies(text: &str) -> Vec<PathBuf> {
    let rules = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(": "));
    let mut paths = Vec::new();
    for (_, list) in rules {
        let mut path = String::new();
        let mut characters = list.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '\\' if characters.peek() == Some(&' ') => {
                    path.push(' ');
                    characters.next();
                }
                ' ' => paths.push(std::mem::take(&mut path)),
                other => path.push(other),
            }
        }
        paths.push(path);
    }
    paths
        .into_iter()
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
        .collect()
}

/// Normalizes `.` and `..` without following links.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}

fn relative_to(path: &Path, roots: &[&Path]) -> Option<PathBuf> {
    roots
        .iter()
        .find_map(|root| path.strip_prefix(root).ok().map(Path::to_owned))
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

#[cfg(test)]
#[path = "inputs_tests.rs"]
mod tests;
