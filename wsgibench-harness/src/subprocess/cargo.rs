//! `cargo` for a package that is not the one that runs.

use std::{
    env,
    ffi::OsStr,
    path::Path,
    process::{Command, Stdio},
};

use super::remove_local_variables;

/// The toolchain that a call of cargo uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// That of the running bench.
    Current,
    /// The one that rustup chooses for the folder.
    OfFolder,
}

/// Variables that cargo sets for the program it runs. They describe that program's package, so another package's build
/// script or cargo configuration must not see them.
fn describes_running_package(name: &str) -> bool {
    const EXACT: &[&str] = &[
        "CARGO_MANIFEST_DIR",
        "CARGO_MANIFEST_PATH",
        "CARGO_MANIFEST_LINKS",
        "CARGO_CRATE_NAME",
        "CARGO_BIN_NAME",
        "CARGO_PRIMARY_PACKAGE",
        "CARGO_TARGET_TMPDIR",
        "OUT_DIR",
        // rustup counts how often its proxies call each other, and stops at 20.
        "RUST_RECURSION_COUNT",
    ];
    EXACT.contains(&name) || name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_BIN_EXE_")
}

/// Returns a `cargo` command that works in `dir`.
///
/// Variables that describe the package of the running program are removed; cargo's configuration variables
/// (`CARGO_HOME`, `CARGO_NET_OFFLINE`, `RUSTFLAGS`, ...) stay. A `CARGO_TARGET_DIR` that is relative to the folder where
/// the user called cargo is removed too: in `dir` it would name another folder.
#[must_use]
pub(crate) fn cargo(dir: &Path, toolchain: Toolchain) -> Command {
    let current = env::var_os("CARGO").filter(|path| !path.is_empty());
    // With rustup the `cargo` of the search path is a proxy that chooses the toolchain by the folder.
    let by_rustup = env::var_os("RUSTUP_TOOLCHAIN").is_some();
    let program = match (toolchain, current) {
        (Toolchain::OfFolder, _) if by_rustup => "cargo".into(),
        (_, Some(current)) => current,
        (_, None) => "cargo".into(),
    };
    let mut command = Command::new(program);
    // Build scripts ask git for versions.
    remove_local_variables(&mut command);
    for (name, value) in env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| describes_running_package(name) || is_relative_target(name, &value))
        {
            command.env_remove(name);
        }
    }
    if toolchain == Toolchain::OfFolder {
        for name in ["RUSTUP_TOOLCHAIN", "RUSTUP_TOOLCHAIN_SOURCE", "CARGO"] {
            command.env_remove(name);
        }
    }
    command.current_dir(dir).stdin(Stdio::null());
    command
}

fn is_relative_target(name: &str, value: &OsStr) -> bool {
    const FOLDERS: &[&str] = &["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR", "CARGO_BUILD_BUILD_DIR"];
    FOLDERS.contains(&name) && Path::new(value).is_relative()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_the_running_package_are_removed_and_configuration_stays() {
        for name in [
            "CARGO_MANIFEST_DIR",
            "CARGO_PKG_NAME",
            "CARGO_PKG_VERSION_MAJOR",
            "CARGO_BIN_EXE_x",
            "OUT_DIR",
        ] {
            assert!(describes_running_package(name), "{name}");
        }
        for name in [
            "CARGO_HOME",
            "CARGO_NET_OFFLINE",
            "CARGO_TARGET_DIR",
            "CARGO_BUILD_JOBS",
            "CARGO_INCREMENTAL",
            "RUSTFLAGS",
        ] {
            assert!(!describes_running_package(name), "{name}");
        }
        assert!(is_relative_target("CARGO_TARGET_DIR", OsStr::new("out")));
        assert!(is_relative_target("CARGO_TARGET_DIR", OsStr::new("")));
        assert!(!is_relative_target("CARGO_TARGET_DIR", OsStr::new("/out")));
        assert!(!is_relative_target("CARGO_HOME", OsStr::new("home")));
    }

    #[test]
    fn cargo_runs_in_the_folder_without_the_tests_own_variables() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let command = cargo(folder, Toolchain::Current);
        assert_eq!(command.get_current_dir(), Some(folder));
        let removed = |name: &str| command.get_envs().any(|(key, value)| key == name && value.is_none());
        assert!(removed("CARGO_MANIFEST_DIR") && removed("CARGO_PKG_NAME") && removed("GIT_DIR"));
        assert!(!removed("PATH"));
    }
}
