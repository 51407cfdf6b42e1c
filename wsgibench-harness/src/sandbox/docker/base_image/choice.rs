//! Candidates for the base image of a Python version. Pure.

use crate::declare::python;

/// Repository of the base images made by wsgibench.
pub(crate) const BASE_REPOSITORY: &str = "wsgibench-base";

/// Candidates for a base image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Environment variable that overrides the image.
    pub(super) variable: String,
    /// The official image.
    pub(super) official: String,
    /// The image made with debootstrap.
    pub(super) own: String,
    /// Debian release with this Python; `None` if there is none.
    pub(super) release: Option<&'static str>,
}

impl Wanted {
    /// Returns the candidates for a Python `3.x`, or for any version.
    pub(super) fn new(python: Option<&str>) -> Result<Self, String> {
        let Some(python) = python else {
            return Ok(Self::with("WSGIBENCH_BASE_IMAGE", "3.12", "bookworm", Some("bookworm")));
        };
        let known = python::find(python)?;
        // An image named for all servers may not have this Python, so each version has a variable of its own.
        let variable = format!("WSGIBENCH_BASE_IMAGE_{}", python.replace('.', "_"));
        let release = known.packaged.then_some(known.release);
        Ok(Self::with(&variable, python, known.release, release))
    }

    fn with(variable: &str, python: &str, official: &str, release: Option<&'static str>) -> Self {
        Self {
            variable: variable.to_owned(),
            official: format!("python:{python}-slim-{official}"),
            own: format!("{BASE_REPOSITORY}:{}", release.unwrap_or("none")),
            release,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_image_candidates_for_any_python_and_for_a_version() {
        let any = Wanted::new(None).unwrap();
        assert_eq!(
            (any.official.as_str(), any.own.as_str()),
            ("python:3.12-slim-bookworm", "wsgibench-base:bookworm")
        );
        let old = Wanted::new(Some("3.9")).unwrap();
        assert_eq!(
            (old.official.as_str(), old.own.as_str()),
            ("python:3.9-slim-bullseye", "wsgibench-base:bullseye")
        );
        assert_eq!(old.variable, "WSGIBENCH_BASE_IMAGE_3_9");
        assert_eq!(Wanted::new(Some("3.12")).unwrap().release, None);
        for wrong in ["2.7", "3", "3.x", "latest"] {
            assert!(Wanted::new(Some(wrong)).unwrap_err().contains(wrong));
        }
    }
}
