//! Supported Python versions.

use super::suggest;

/// A Python version and its base image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Python {
    /// `3.13`.
    pub(crate) version: &'static str,
    /// Debian release of the official image.
    pub(crate) release: &'static str,
    /// Whether it is the release's own Python, so that a base image can be built from its packages.
    pub(crate) packaged: bool,
}

const fn python(version: &'static str, release: &'static str, packaged: bool) -> Python {
    Python {
        version,
        release,
        packaged,
    }
}

/// Oldest first.
const KNOWN: [Python; 8] = [
    python("3.8", "bullseye", false),
    python("3.9", "bullseye", true),
    python("3.10", "bookworm", false),
    python("3.11", "bookworm", true),
    python("3.12", "bookworm", false),
    python("3.13", "trixie", true),
    python("3.14", "trixie", false),
    python("3.15", "trixie", false),
];

/// Finds a Python version, as a server declares it.
///
/// # Errors
/// The supported versions, and the most similar one.
pub(crate) fn find(version: &str) -> Result<&'static Python, String> {
    let known = || KNOWN.iter().map(|python| python.version);
    KNOWN.iter().find(|python| python.version == version).ok_or_else(|| {
        let written = normal(version);
        let meant = known()
            .find(|known| *known == written)
            .or_else(|| suggest::nearest(&written, known()));
        format!(
            "Python `{version}` is not supported; write one of {}{}",
            known().collect::<Vec<_>>().join(", "),
            suggest::did_you_mean(meant)
        )
    })
}

/// Parses major and minor from common spellings: `python3.13`, `3.13.1`, `3,13`, `313`.
fn normal(version: &str) -> String {
    let mut numbers = version
        .split(|c: char| !c.is_ascii_digit())
        .filter(|number| !number.is_empty());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) => format!("{major}.{minor}"),
        (Some(one), None) if one.len() > 1 => format!("{}.{}", &one[..1], &one[1..]),
        _ => version.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn python_versions_are_found_in_common_spellings() {
        let found = find("3.13").unwrap();
        assert_eq!((found.release, found.packaged), ("trixie", true));
        assert!(!find("3.12").unwrap().packaged);
    }

    #[test]
    fn unsupported_python_has_a_suggestion() {
        for (wrong, meant) in [
            ("python3.13", "3.13"),
            ("3.9.18", "3.9"),
            ("3,11", "3.11"),
            ("313", "3.13"),
            ("2.7", "3.8"),
            ("3.113", "3.11"),
        ] {
            let message = find(wrong).unwrap_err();
            assert!(
                message.starts_with(&format!("Python `{wrong}` is not supported")),
                "{message}"
            );
            assert!(
                message.contains("3.8, 3.9, 3.10, 3.11, 3.12, 3.13, 3.14, 3.15"),
                "{message}"
            );
            assert_eq!(
                message.contains(&format!("did you mean `{meant}`?")),
                wrong != "2.7",
                "{message}"
            );
        }
        assert!(!find("latest").unwrap_err().contains("did you mean"));
    }
}
