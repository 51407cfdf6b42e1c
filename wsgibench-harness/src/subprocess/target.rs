//! Cargo's target folder, found in one way by benches and by the `wsgibench` command.

use std::{
    env,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use super::{Invocation, Metadata, Toolchain};

/// Variables that name the target folder, the stronger one first. Relative ones start at the folder where cargo was called.
const VARIABLES: [&str; 2] = ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"];

/// Returns the target folder of the project around `dir`, as cargo called there would use it; `None` outside of projects.
pub(crate) fn target_of_project(dir: &Path) -> Option<PathBuf> {
    configured(dir, |name| env::var_os(name)).or_else(|| {
        let metadata = Metadata::read(dir, Toolchain::Current).ok()?;
        Some(metadata.target_directory)
    })
}

/// Returns the target folder of the running bench, whose crate is `manifest_dir`.
///
/// The order is cargo's: its option `--target-dir`, its variables, its configuration. Configuration on cargo's command line is not
/// seen; such a folder is found from the place of the executable.
pub(crate) fn target_of_bench(manifest_dir: &Path) -> PathBuf {
    let invocation = Invocation::of_parent();
    if let Some(folder) = invocation.as_ref().and_then(|invocation| invocation.target_dir.clone()) {
        return folder;
    }
    let called_in = invocation
        .map(|invocation| invocation.folder)
        .or_else(|| env::var_os("PWD").map(PathBuf::from))
        .unwrap_or_else(|| manifest_dir.to_owned());
    if let Some(folder) = configured(&called_in, |name| env::var_os(name)) {
        return folder;
    }
    let metadata = Metadata::read(manifest_dir, Toolchain::Current).ok();
    of_executable(env::current_exe().ok().as_deref(), metadata.as_ref())
        .or_else(|| metadata.map(|metadata| metadata.target_directory))
        .unwrap_or_else(|| absolute(&manifest_dir.join("target")))
}

fn configured(called_in: &Path, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    VARIABLES
        .iter()
        .find_map(|name| variable(name).filter(|value| !value.is_empty()))
        .map(|value| absolute(&called_in.join(value)))
}

/// The target folder that an executable belongs to: cargo's answer where the executable lies in cargo's folders, else the
/// folder above `[<triple>/]<profile>/deps`.
fn of_executable(executable: Option<&Path>, metadata: Option<&Metadata>) -> Option<PathBuf> {
    let executable = executable?;
    if let Some(metadata) = metadata {
        let folders = [Some(&metadata.target_directory), metadata.build_directory.as_ref()];
        if folders
            .into_iter()
            .flatten()
            .any(|folder| executable.starts_with(real(folder)))
        {
            return Some(metadata.target_directory.clone());
        }
    }
    let deps = executable.parent()?;
    if deps.file_name() != Some(OsStr::new("deps")) {
        return None;
    }
    let root = deps.parent()?.parent()?;
    let root = if is_triple(root) { root.parent()? } else { root };
    Some(root.to_owned())
}

/// Whether a folder is named after a compilation target, `<arch>-<vendor>-<system>[-<abi>]`.
fn is_triple(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    // Cargo marks target folders, not those of a triple in them.
    name.split('-').count() >= 3 && !folder.join("CACHEDIR.TAG").is_file() && {
        let architecture = name.split('-').next().unwrap_or_default();
        architecture.starts_with(env::consts::ARCH)
    }
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs};

    use super::*;

    #[test]
    fn relative_variables_start_where_cargo_was_called_and_empty_ones_are_unset() {
        let ask = |variables: &[(&str, &str)]| {
            let variables: BTreeMap<&str, OsString> = variables.iter().map(|(n, v)| (*n, (*v).into())).collect();
            configured(Path::new("/ws"), |name| variables.get(name).cloned())
        };
        assert_eq!(ask(&[("CARGO_TARGET_DIR", "out")]), Some("/ws/out".into()));
        assert_eq!(ask(&[("CARGO_TARGET_DIR", "/out")]), Some("/out".into()));
        assert_eq!(
            ask(&[("CARGO_TARGET_DIR", ""), ("CARGO_BUILD_TARGET_DIR", "b")]),
            Some("/ws/b".into())
        );
        assert_eq!(
            ask(&[("CARGO_TARGET_DIR", "a"), ("CARGO_BUILD_TARGET_DIR", "b")]),
            Some("/ws/a".into())
        );
        assert_eq!(ask(&[]), None);
    }

    #[test]
    fn cargos_answer_counts_where_the_executable_is_in_cargos_folders() {
        let metadata = |build: Option<&str>| Metadata {
            workspace_root: "/ws".into(),
            target_directory: "/ws/target".into(),
            build_directory: build.map(PathBuf::from),
            packages: Vec::new(),
        };
        let find = |executable: &str, metadata: Option<&Metadata>| of_executable(Some(Path::new(executable)), metadata);
        let target = Some(PathBuf::from("/ws/target"));
        assert_eq!(find("/ws/target/release/deps/b-1", Some(&metadata(None))), target);
        assert_eq!(
            find(
                "/ws/target/x86_64-unknown-linux-musl/release/deps/b-1",
                Some(&metadata(None))
            ),
            target
        );
        assert_eq!(
            find("/cache/build/release/deps/b-1", Some(&metadata(Some("/cache/build")))),
            target
        );
        // Elsewhere: `--config build.target-dir=...`, with or without a triple.
        let triple = format!("/else/{}-unknown-linux-gnu/release/deps/b-1", env::consts::ARCH);
        for executable in ["/else/release/deps/b-1", &triple] {
            assert_eq!(
                find(executable, Some(&metadata(None))),
                Some("/else".into()),
                "{executable}"
            );
            assert_eq!(find(executable, None), Some("/else".into()), "{executable}");
        }
        assert_eq!(find("/usr/bin/bench", None), None);
    }

    #[test]
    fn a_target_folder_that_was_there_before_needs_no_mark() {
        let project = tempfile::tempdir().unwrap();
        let root = project.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("src")).unwrap();
        fs::create_dir_all(root.join("target/release/deps")).unwrap();
        fs::write(root.join("src/lib.rs"), "").unwrap();
        fs::write(
            root.join("Cargo.toml"),
            "[package]\nname = \"p\"\nversion = \"0.1.0\"\nedition = \"2024\"\n",
        )
        .unwrap();
        let metadata = Metadata::read(&root, Toolchain::Current).unwrap();
        let executable = root.join("target/release/deps/bench-1");
        assert!(
            of_executable(Some(&executable), Some(&metadata))
                .unwrap()
                .ends_with("target")
        );
        // Configuration is cargo's to read.
        fs::create_dir(root.join(".cargo")).unwrap();
        fs::write(root.join(".cargo/config.toml"), "[build]\ntarget-dir = \"built\"\n").unwrap();
        let metadata = Metadata::read(&root, Toolchain::Current).unwrap();
        if env::var_os("CARGO_TARGET_DIR").is_none() {
            assert!(metadata.target_directory.ends_with("built"));
        }
    }
}
