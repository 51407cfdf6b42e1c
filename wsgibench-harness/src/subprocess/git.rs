//! `git` with an environment of its own.

use std::{
    env,
    ffi::{OsStr, OsString},
    path::Path,
    process::{Command, Stdio},
};

/// Variables that bind git to a repository or change how it reads paths. The first part is what
/// `git rev-parse --local-env-vars` prints; hooks, aliases and `rebase --exec` set them.
const LOCAL_VARIABLES: &[&str] = &[
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CONFIG",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_COUNT",
    "GIT_OBJECT_DIRECTORY",
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_REPLACE_REF_BASE",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_COMMON_DIR",
    "GIT_INTERNAL_SUPER_PREFIX",
    // Not local to a repository, but they change which files a command sees.
    "GIT_ATTR_SOURCE",
    "GIT_QUARANTINE_PATH",
    "GIT_LITERAL_PATHSPECS",
    "GIT_GLOB_PATHSPECS",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_ICASE_PATHSPECS",
    "GIT_EXTERNAL_DIFF",
    "GIT_DIFF_OPTS",
];

/// Keys that describe a repository. Set through `GIT_CONFIG_COUNT`, they would apply to every repository.
const LOCAL_KEYS: &[&str] = &["core.worktree", "core.bare"];

/// Returns a `git` command that works on the repository around `dir`, whatever repository the environment names.
///
/// `GIT_CONFIG_COUNT` with its keys and values is passed on, since CI systems set `safe.directory` and credentials
/// that way; keys that describe a repository are left out. Messages are in English, and git neither prompts nor
/// refreshes the user's index.
#[must_use]
pub(crate) fn git(dir: &Path) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(dir);
    remove_local_variables(&mut command);
    for (name, _) in env::vars_os() {
        if is_numbered(&name) {
            command.env_remove(name);
        }
    }
    for (name, value) in passed_configuration(|name| env::var_os(name)) {
        command.env(name, value);
    }
    command
        .env("LC_ALL", "C") // callers look for words in the messages
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::null());
    command
}

/// Removes the variables that bind git to a repository, for programs that may call git in another one.
pub(crate) fn remove_local_variables(command: &mut Command) {
    for name in LOCAL_VARIABLES {
        command.env_remove(name);
    }
}

/// Whether a variable is a key or a value of `GIT_CONFIG_COUNT`.
fn is_numbered(name: &OsStr) -> bool {
    name.to_str()
        .is_some_and(|name| name.starts_with("GIT_CONFIG_KEY_") || name.starts_with("GIT_CONFIG_VALUE_"))
}

/// The entries of `GIT_CONFIG_COUNT` without [`LOCAL_KEYS`], numbered anew.
fn passed_configuration(variable: impl Fn(&str) -> Option<OsString>) -> Vec<(String, OsString)> {
    let count: usize = variable("GIT_CONFIG_COUNT")
        .and_then(|count| count.to_str()?.parse().ok())
        .unwrap_or(0);
    let mut passed = Vec::new();
    let mut number = 0;
    // git itself refuses far smaller numbers, so that a wrong one is no endless loop here either.
    for index in 0..count.min(10_000) {
        let entry = variable(&format!("GIT_CONFIG_KEY_{index}")).zip(variable(&format!("GIT_CONFIG_VALUE_{index}")));
        let Some((key, value)) = entry else { continue };
        if LOCAL_KEYS.iter().any(|local| key.eq_ignore_ascii_case(local)) {
            continue;
        }
        passed.push((format!("GIT_CONFIG_KEY_{number}"), key));
        passed.push((format!("GIT_CONFIG_VALUE_{number}"), value));
        number += 1;
    }
    if number > 0 {
        passed.push(("GIT_CONFIG_COUNT".to_owned(), number.to_string().into()));
    }
    passed
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn every_local_variable_of_the_installed_git_is_removed() {
        let output = Command::new("git")
            .args(["rev-parse", "--local-env-vars"])
            .output()
            .unwrap();
        assert!(output.status.success());
        let printed = String::from_utf8(output.stdout).unwrap();
        let unknown: Vec<&str> = printed.lines().filter(|name| !LOCAL_VARIABLES.contains(name)).collect();
        assert!(unknown.is_empty(), "not removed: {unknown:?}");
        let command = git(Path::new("/"));
        for name in printed.lines() {
            let removed = command.get_envs().any(|(key, value)| key == name && value.is_none());
            assert!(removed || name == "GIT_CONFIG_COUNT", "{name} is passed on");
        }
    }

    #[test]
    fn configuration_is_passed_on_without_what_names_a_repository() {
        let variables: BTreeMap<&str, &str> = [
            ("GIT_CONFIG_COUNT", "4"),
            ("GIT_CONFIG_KEY_0", "safe.directory"),
            ("GIT_CONFIG_VALUE_0", "*"),
            ("GIT_CONFIG_KEY_1", "Core.WorkTree"),
            ("GIT_CONFIG_VALUE_1", "/elsewhere"),
            ("GIT_CONFIG_KEY_2", "http.proxy"),
            ("GIT_CONFIG_VALUE_2", "p"),
            ("GIT_CONFIG_KEY_3", "without.value"),
        ]
        .into();
        let passed = passed_configuration(|name| variables.get(name).map(Into::into));
        let expected = [
            ("GIT_CONFIG_KEY_0", "safe.directory"),
            ("GIT_CONFIG_VALUE_0", "*"),
            ("GIT_CONFIG_KEY_1", "http.proxy"),
            ("GIT_CONFIG_VALUE_1", "p"),
            ("GIT_CONFIG_COUNT", "2"),
        ];
        let passed: Vec<(&str, &str)> = passed.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
        assert_eq!(passed, expected);
        assert!(passed_configuration(|name| (name == "GIT_CONFIG_COUNT").then(|| "many".into())).is_empty());
    }
}
