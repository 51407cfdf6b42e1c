//! `python` and `pip` without the user's own Python settings.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsStr,
    path::Path,
    process::{Command, Stdio},
};

/// pip's options that say where packages come from and how the index is reached. All others (`user`, `target`,
/// `prefix`, `constraint`, ...) say where packages go or which ones, so they would break or change an environment.
const INDEX_OPTIONS: &[&str] = &[
    "index-url",
    "extra-index-url",
    "no-index",
    "find-links",
    "trusted-host",
    "cert",
    "client-cert",
    "proxy",
    "timeout",
    "default-timeout",
    "retries",
    "cache-dir",
    "no-cache-dir",
    "keyring-provider",
    "use-feature",
    "use-deprecated",
];

/// Prints pip's effective settings as JSON. `pip config list` is the public way to read the configuration files; for
/// one option, the `install` section replaces `global`, and the environment replaces both.
const LIST_SETTINGS: &str = "\
import ast, json, subprocess, sys
listed = subprocess.run([sys.executable, '-m', 'pip', 'config', 'list'], stdout=subprocess.PIPE, text=True)
found = {'global': {}, 'install': {}, ':env:': {}}
for line in listed.stdout.splitlines():
    key, _, value = line.partition('=')
    section, _, name = key.rpartition('.')
    try:
        found.get(section, {})[name.replace('_', '-')] = str(ast.literal_eval(value))
    except (SyntaxError, ValueError):
        pass
print(json.dumps({**found['global'], **found['install'], **found[':env:']}))
sys.exit(listed.returncode)
";

/// Whether a variable of the user changes what Python imports or where pip installs.
fn is_user_setting(name: &str) -> bool {
    const EXACT: &[&str] = &["VIRTUAL_ENV", "__PYVENV_LAUNCHER__"];
    EXACT.contains(&name)
        || name.starts_with("PYTHON")
        || name.strip_prefix("PIP_").is_some_and(|option| {
            option != "CONFIG_FILE" && !INDEX_OPTIONS.contains(&option.to_ascii_lowercase().replace('_', "-").as_str())
        })
}

/// Returns a command for a Python interpreter that ignores `PYTHONHOME`, `PYTHONPATH` and the like, an activated
/// virtual environment, and all of pip's variables but those of the package index.
#[must_use]
pub(crate) fn python(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(is_user_setting) {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// Returns a command for the pip of the environment at `environment`.
///
/// No configuration file is read, since `user = true`, `target` and `prefix` there cannot be undone by an option. The
/// index settings of those files are passed on as variables.
///
/// # Errors
/// pip cannot read its configuration: what it printed.
pub(crate) fn pip(environment: &Path) -> Result<Command, String> {
    let program = environment.join("bin/python");
    let listed = python(&program)
        .args(["-c", LIST_SETTINGS])
        // `user = true` in a file would be taken for `pip config --user`, and only the user's own file be listed.
        .envs([("PIP_USER", "0"), ("PIP_GLOBAL", "0"), ("PIP_SITE", "0")])
        .output()
        .map_err(|error| format!("failed to start {}: {error}", program.display()))?;
    if !listed.status.success() {
        let said = String::from_utf8_lossy(&listed.stderr);
        return Err(format!("failed to read pip's configuration: {}", said.trim()));
    }
    let settings: BTreeMap<String, String> = serde_json::from_slice(&listed.stdout)
        .map_err(|error| format!("failed to read pip's configuration: {error}"))?;
    let mut command = python(program);
    for (name, value) in settings {
        if INDEX_OPTIONS.contains(&name.as_str()) {
            command.env(format!("PIP_{}", name.to_ascii_uppercase().replace('-', "_")), value);
        }
    }
    command.env("PIP_CONFIG_FILE", "/dev/null");
    command.args(["-m", "pip", "--no-input", "--disable-pip-version-check"]);
    // A `CFLAGS` replaces Python's own flags, `-DNDEBUG` among them: extensions would be measured with assertions.
    command.env_remove("CFLAGS");
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_the_index_stay_and_those_of_the_installation_go() {
        for name in [
            "PIP_USER",
            "PIP_TARGET",
            "PIP_PREFIX",
            "PIP_ROOT",
            "PIP_CONSTRAINT",
            "PIP_REQUIRE_VIRTUALENV",
            "PYTHONHOME",
            "PYTHONPATH",
            "PYTHONUSERBASE",
            "VIRTUAL_ENV",
        ] {
            assert!(is_user_setting(name), "{name}");
        }
        for name in [
            "PIP_INDEX_URL",
            "PIP_EXTRA_INDEX_URL",
            "PIP_TRUSTED_HOST",
            "PIP_CERT",
            "PIP_PROXY",
            "PIP_CONFIG_FILE",
            "HTTPS_PROXY",
            "REQUESTS_CA_BUNDLE",
            "SSL_CERT_FILE",
            "HOME",
        ] {
            assert!(!is_user_setting(name), "{name}");
        }
    }
}
