//! The files that the running bench was built from, and whether two checkouts have the same ones.

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

/// The files of one checkout from which a bench was built. Paths are relative to the checkout's root.
///
/// The files are those in the dependency files (`.d`) that rustc wrote beside the executable, for all crates in that folder: more than
/// this bench needs, never fewer. Dependencies from a registry are fixed by `Cargo.lock`.
#[derive(Debug, Default)]
pub struct BuildInputs {
    /// Files; one that is absent in both checkouts is the same in both.
    files: BTreeSet<PathBuf>,
    /// Whole folders: packages with a build script that names no files, and folders that a build script names.
    folders: BTreeSet<PathBuf>,
    /// An input that no checkout has, such as git's own files.
    outside: Option<String>,
    /// Cargo's folder of built files, where it is inside the checkout.
    built: Option<PathBuf>,
}

impl BuildInputs {
    /// Reads what `executable` (`<profile>/deps/<name>-<hash>`) was built from. `workspace` is the root of the workspace, from which
    /// rustc names files; `roots` are the names of the checkout's root, the first of them the present one.
    ///
    /// # Errors
    /// Why the inputs are unknown: another layout of the target folder, or no dependency file.
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
        // With `--target` the crates that run while compiling are built one folder further up.
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

    /// The first difference between the checkout that the bench was built in and another one in what it was built from, as a phrase.
    /// `changed` are files that were added, removed or changed between them.
    #[must_use]
    pub fn difference(&self, one: &Path, other: &Path, changed: &[PathBuf]) -> Option<String> {
        if let Some(outside) = &self.outside {
            return Some(format!("its build script reads {outside}"));
        }
        let differs = |file: &&PathBuf| {
            let content = fs::read(other.join(file)).ok();
            // A lock file that git ignores goes with the build.
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
        // Macros that read a whole folder leave only the files in the dependency files that are still there.
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
        moved.map(|file| format!("{} was added or removed beside its sources", file.display()))
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

/// Settings stand in many folders that are not sources.
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

    /// The path inside the checkout. Cargo names files by links that lead to them, too.
    fn inside(&self, path: &Path) -> Option<PathBuf> {
        let inside = |path: &Path| {
            // Generated files follow from the build script, which is an input itself.
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

    /// Settings of cargo and rustup that apply to the bench's package, and build scripts that either checkout may have.
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

    /// `build/<package>-<hash>` holds a build script with its dependency file, or what one printed.
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
            // Of a registry's package, or no script.
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
        // Without a name, cargo runs it again when any file of its package has changed. A script that names only variables reads no
        // file, but that it cannot be held to.
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

/// The paths behind the colons of a dependency file, as rustc writes it: one rule a line, blanks in names escaped.
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

/// A path without `.` and `..`, by name.
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
