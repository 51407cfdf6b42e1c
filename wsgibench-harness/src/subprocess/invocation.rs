//! The call of cargo that started this program.

use std::{
    fs,
    os::unix::{ffi::OsStrExt as _, process::parent_id},
    path::{Path, PathBuf},
};

/// The working directory and the options of the call of cargo that runs this bench.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invocation {
    /// The folder where the user called cargo. Relative paths in variables and options start there.
    pub(crate) folder: PathBuf,
    /// The options that decide what is compiled: features, configuration, offline mode. `None`: the subcommand is an alias, and its
    /// options are not on the command line.
    pub(crate) options: Option<Vec<String>>,
    /// Its option `--target-dir`.
    pub(crate) target_dir: Option<PathBuf>,
}

impl Invocation {
    /// Reads the parent process, if it is cargo.
    #[must_use]
    pub(crate) fn of_parent() -> Option<Self> {
        let process = PathBuf::from(format!("/proc/{}", parent_id()));
        let command = fs::read(process.join("cmdline")).ok()?;
        let words: Vec<String> = command
            .split(|byte| *byte == 0)
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect();
        let program = fs::read_link(process.join("exe")).ok()?;
        let is_cargo = program
            .file_name()
            .is_some_and(|name| name.as_bytes().starts_with(b"cargo"));
        let folder = fs::read_link(process.join("cwd")).ok()?;
        is_cargo.then(|| Self {
            options: build_options(&words, &folder),
            target_dir: target_dir(&words, &folder),
            folder,
        })
    }
}

/// The options in cargo's command line that decide what a bench is compiled from.
fn build_options(words: &[String], folder: &Path) -> Option<Vec<String>> {
    let mut options = Vec::new();
    let mut subcommand = None;
    let mut words = words.iter().skip(1).map(String::as_str);
    while let Some(word) = words.next() {
        if word == "--" {
            break;
        }
        let (name, value) = match word.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value)),
            _ => (word, None),
        };
        match name {
            "--features" | "-F" => options.push(format!("--features={}", value.or_else(|| words.next())?)),
            "--config" => options.push(format!(
                "--config={}",
                configuration(value.or_else(|| words.next())?, folder)
            )),
            "-Z" => options.push(format!("-Z{}", words.next()?)),
            "--all-features" | "--no-default-features" | "--offline" | "--frozen" => {
                // Frozen is locked and offline; the lock file of another commit may be missing.
                let option = if name == "--frozen" { "--offline" } else { name };
                options.push(option.to_owned());
            }
            // Options whose value could be taken for a subcommand.
            "-C" | "--color" | "--manifest-path" | "--target-dir" | "--bench" | "-p" | "--package" | "--profile"
            | "--target"
                if value.is_none() =>
            {
                words.next();
            }
            _ if name.starts_with("-F") => options.push(format!("--features={}", &name[2..])),
            _ if name.starts_with("-Z") => options.push(name.to_owned()),
            _ if !name.starts_with(['-', '+']) && subcommand.is_none() => subcommand = Some(name),
            _ => {}
        }
    }
    matches!(subcommand?, "bench" | "test" | "t" | "nextest").then_some(options)
}

/// The option `--target-dir`, made absolute.
fn target_dir(words: &[String], folder: &Path) -> Option<PathBuf> {
    let mut words = words.iter().take_while(|word| *word != "--");
    let value = words.find_map(|word| {
        let rest = word.strip_prefix("--target-dir")?;
        Some(rest.strip_prefix('=').map(str::to_owned))
    })?;
    let value = value.or_else(|| words.next().cloned())?;
    Some(folder.join(value))
}

/// A `--config` is `KEY=VALUE` or a file.
fn configuration(value: &str, folder: &Path) -> String {
    if value.contains('=') {
        value.to_owned()
    } else {
        folder.join(value).display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Option<Vec<String>> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        build_options(&words, Path::new("/home/me"))
    }

    #[test]
    fn options_that_decide_what_is_compiled_are_found() {
        for (line, expected) in [
            ("cargo bench -- --features no", vec![]),
            (
                "cargo bench --features a,b -Fc -F d --bench x",
                vec!["--features=a,b", "--features=c", "--features=d"],
            ),
            ("cargo +nightly -Zfoo -Z bar bench", vec!["-Zfoo", "-Zbar"]),
            (
                "cargo --config a.toml --config net.retry=1 bench",
                vec!["--config=/home/me/a.toml", "--config=net.retry=1"],
            ),
            ("cargo --color never t --all-features", vec!["--all-features"]),
            (
                "cargo -C sub bench --no-default-features --frozen",
                vec!["--no-default-features", "--offline"],
            ),
        ] {
            assert_eq!(options(line).unwrap(), expected, "{line}");
        }
        assert_eq!(options("cargo gate --features a"), None, "an alias hides options");
        assert_eq!(options("cargo bench --features"), None);
        let target = |line: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            target_dir(&words, Path::new("/home/me"))
        };
        assert_eq!(target("cargo bench --target-dir out"), Some("/home/me/out".into()));
        assert_eq!(target("cargo bench --target-dir=/out"), Some("/out".into()));
        assert_eq!(target("cargo bench -- --target-dir out"), None);
        assert_eq!(options("cargo"), None);
    }
}
