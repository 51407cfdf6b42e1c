//! Profiles by name: registered, from files, and built in.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{Profile, check, suggest};

/// Folder next to Cargo.toml with the file `NAME.toml` of `--profile NAME`.
pub const FOLDER: &str = "wsgibench-profiles";

/// An error in finding or reading a profile.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// No profile has this name.
    #[error(
        "profile `{name}` not found{}\nprofiles: {}; a file `{FOLDER}/{name}.toml` next to Cargo.toml or the path of a TOML file works too",
        suggest::did_you_mean(.meant.as_deref()),
        .known.join(", ")
    )]
    Unknown {
        /// The requested name.
        name: String,
        /// The most similar name.
        meant: Option<String>,
        /// All names.
        known: Vec<String>,
    },
    /// The same name in the code and in a file.
    #[error("the profile `{name}` is both registered by `profile!` and in {}; rename one of them", .file.display())]
    Twice {
        /// The name.
        name: String,
        /// The file.
        file: PathBuf,
    },
    /// A file could not be read.
    #[error("failed to read the profile file {}: {source}", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file has invalid content.
    #[error("the profile file {} is invalid: {problem}", .file.display())]
    Wrong {
        /// The file.
        file: PathBuf,
        /// The problem and its line.
        problem: String,
    },
}

/// Finds the profile of `--profile NAME` or `--profile path.toml`. A registered one or a file replaces a built-in one of the
/// same name. Reads files.
///
/// # Errors
/// An unknown name, a name with two profiles, or a file that cannot be read or is invalid.
pub fn find(name: &str, registered: &[Profile], manifest_dir: &Path) -> Result<Profile, ProfileError> {
    if let Some(file) = as_file(name) {
        return read(file);
    }
    let file = manifest_dir.join(FOLDER).join(format!("{name}.toml"));
    let declared = registered.iter().find(|profile| profile.name == name);
    match (declared, file.is_file()) {
        (Some(_), true) => Err(ProfileError::Twice {
            name: name.into(),
            file,
        }),
        (Some(profile), false) => Ok(profile.clone()),
        (None, true) => read(&file),
        (None, false) => built_in()
            .into_iter()
            .find(|profile| profile.name == name)
            .ok_or_else(|| {
                let known: Vec<String> = available(registered, manifest_dir)
                    .into_iter()
                    .map(|(name, _)| name)
                    .collect();
                ProfileError::Unknown {
                    name: name.into(),
                    meant: suggest::nearest(name, known.iter().map(String::as_str)).map(ToOwned::to_owned),
                    known,
                }
            }),
    }
}

/// Returns the path if `--profile NAME` is the path of a file.
#[must_use]
pub fn as_file(name: &str) -> Option<&Path> {
    let path = Path::new(name);
    let is_file = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("toml")) || name.contains('/');
    is_file.then_some(path)
}

/// Returns the names and descriptions of all profiles, for `--help` and messages; files are listed by name. Reads the file
/// system.
#[must_use]
pub fn available(registered: &[Profile], manifest_dir: &Path) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    let mut add = |name: String, description: String| {
        if !all.iter().any(|(known, _)| *known == name) {
            all.push((name, description));
        }
    };
    for profile in registered.iter().cloned().chain(built_in()) {
        add(profile.name, profile.description);
    }
    let mut files: Vec<PathBuf> = fs::read_dir(manifest_dir.join(FOLDER))
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    files.retain(|file| file.extension().is_some_and(|end| end == "toml"));
    files.sort();
    for file in files {
        if let Some(name) = file.file_stem().and_then(|stem| stem.to_str()) {
            add(name.to_owned(), format!("from {FOLDER}/{name}.toml"));
        }
    }
    all
}

fn built_in() -> [Profile; 2] {
    [Profile::default(), Profile::quick()]
}

fn read(file: &Path) -> Result<Profile, ProfileError> {
    let text = fs::read_to_string(file).map_err(|source| ProfileError::Unreadable {
        file: file.into(),
        source,
    })?;
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or("profile");
    parse(&text, stem).map_err(|problem| ProfileError::Wrong {
        file: file.into(),
        problem,
    })
}

/// Parses a profile from TOML. Missing keys have the values of the default profile; a missing `name` is `stem`.
///
/// # Errors
/// The line and the valid choices, for syntax errors, unknown keys, wrong types and values out of range.
pub fn parse(text: &str, stem: &str) -> Result<Profile, String> {
    let table: toml::Table = toml::from_str(text).map_err(|error| error.to_string())?;
    let mut profile: Profile = toml::from_str(text).map_err(|error| unknown_key(&error.to_string(), &table))?;
    if !table.contains_key("name") {
        stem.clone_into(&mut profile.name);
    }
    if !table.contains_key("description") {
        profile.description = format!(
            "{} launches of {} warm-up and {} rounds of {}",
            profile.launches,
            humantime::format_duration(profile.warm_up_time),
            profile.rounds,
            humantime::format_duration(profile.measurement_time)
        );
    }
    let problems = check::profile(&profile);
    if problems.is_empty() {
        Ok(profile)
    } else {
        Err(problems.join("; "))
    }
}

/// Adds the most similar key to the parser's message.
fn unknown_key(message: &str, table: &toml::Table) -> String {
    const KEYS: [&str; 9] = [
        "name",
        "description",
        "cases",
        "launches",
        "rounds",
        "warm_up_time",
        "measurement_time",
        "statistics_interval",
        "limits",
    ];
    let unknown = table.keys().find(|key| !KEYS.contains(&key.as_str()));
    let meant = unknown.and_then(|key| suggest::nearest(key, KEYS));
    match meant {
        Some(meant) => format!("{}\ndid you mean `{meant}`?", message.trim_end()),
        None => message.trim_end().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path, time::Duration};

    use super::{FOLDER, available, find, parse};
    use crate::declare::Profile;

    const NIGHTLY: &str = r#"
        cases = ["^ping/"]
        launches = 20
        measurement_time = "1m 30s"
        [limits]
        cpus = 2
    "#;

    #[test]
    fn profile_file_overrides_the_default() {
        let profile = parse(NIGHTLY, "nightly").unwrap();
        assert_eq!(
            (profile.name.as_str(), profile.launches, profile.rounds),
            ("nightly", 20, 2)
        );
        assert_eq!(profile.measurement_time, Duration::from_secs(90));
        assert_eq!(profile.limits.as_ref().map(|limits| limits.cpus), Some(2));
        assert_eq!(profile.description, "20 launches of 1s warm-up and 2 rounds of 1m 30s");
    }

    #[test]
    fn mistakes_in_a_profile_file_are_reported() {
        let text = parse("lauches = 3", "x").unwrap_err();
        assert!(
            text.contains("unknown field `lauches`") && text.contains("line 1"),
            "{text}"
        );
        assert!(text.contains("did you mean `launches`?"), "{text}");
        assert!(parse("launches = 0", "x").unwrap_err().contains("`launches` is 0"));
        let text = parse("statistics_interval = \"10ms\"", "x").unwrap_err();
        assert!(text.contains("at least a second"), "{text}");
        let every = parse("statistics_interval = \"10s\"", "x").unwrap().statistics_interval;
        assert_eq!(every, Some(Duration::from_secs(10)));
        assert!(parse("launches = \"many\"", "x").unwrap_err().contains("invalid type"));
        assert!(parse("warm_up_time = \"soon\"", "x").unwrap_err().contains("line 1"));
        assert!(
            parse("cases = [\"(\"]", "x")
                .unwrap_err()
                .contains("not a regular expression")
        );
        assert!(parse("= 1", "x").is_err());
    }

    #[test]
    fn profiles_are_found_in_code_then_files_then_built_in() {
        let project = tempfile::tempdir().unwrap();
        let folder = project.path().join(FOLDER);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("nightly.toml"), NIGHTLY).unwrap();
        fs::write(folder.join("quick.toml"), "launches = 3").unwrap();
        let registered = [Profile {
            name: "default".into(),
            launches: 9,
            ..Profile::default()
        }];
        let find = |name: &str| find(name, &registered, project.path());
        assert_eq!(find("default").unwrap().launches, 9);
        assert_eq!(find("nightly").unwrap().launches, 20);
        assert_eq!(find("quick").unwrap().launches, 3);
        assert_eq!(
            find(folder.join("nightly.toml").to_str().unwrap()).unwrap().name,
            "nightly"
        );
        let names: Vec<_> = available(&registered, project.path())
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, ["default", "quick", "nightly"]);
        let text = find("nihgtly").unwrap_err().to_string();
        assert!(
            text.contains("did you mean `nightly`?") && text.contains("profiles: default, quick, nightly"),
            "{text}"
        );
        assert!(find("missing.toml").unwrap_err().to_string().contains("failed to read"));
        fs::write(folder.join("default.toml"), "launches = 3").unwrap();
        assert!(find("default").unwrap_err().to_string().contains("both registered"));
    }

    #[test]
    fn built_in_profiles_need_no_declaration() {
        let nowhere = Path::new("/nonexistent");
        assert_eq!(find("quick", &[], nowhere).unwrap(), Profile::quick());
        assert_eq!(find("default", &[], nowhere).unwrap(), Profile::default());
    }
}
