//! Errors in the declarations of a project. Each message names the places and the remedy.

use std::fmt;

use super::Location;

/// An error in a declaration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeclareError {
    /// No server, or no scenario, is registered.
    #[error(
        "no {what} is registered; add `#[{what}]` to the functions, and `use my_suite as _;` to the bench target, since an unused crate is not linked"
    )]
    Nothing {
        /// `server` or `scenario`.
        what: &'static str,
    },
    /// Two declarations of one kind have the same name.
    #[error("two {what}s are named `{name}`, at {first} and at {second}; rename one")]
    Duplicate {
        /// `server`, `scenario` or `profile`.
        what: &'static str,
        /// The name.
        name: String,
        /// Place of the first.
        first: Location,
        /// Place of the second.
        second: Location,
    },
    /// Two ids differ, but their file names do not.
    #[error(
        "`{one}` at {first} and `{other}` at {second} have the same file name `{safe}` (file systems may ignore case); rename one"
    )]
    Collision {
        /// The first id.
        one: String,
        /// The second id.
        other: String,
        /// The file name of both.
        safe: String,
        /// Place of the first.
        first: Location,
        /// Place of the second.
        second: Location,
    },
    /// A declared value is invalid, or its function panicked.
    #[error("{what} `{name}` at {location}: {problem}")]
    Invalid {
        /// `server`, `scenario` or `profile`.
        what: &'static str,
        /// The name.
        name: String,
        /// Place.
        location: Location,
        /// The problem and its remedy.
        problem: String,
    },
}

/// All errors of a project, reported together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclareErrors(pub Vec<DeclareError>);

impl fmt::Display for DeclareErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for DeclareErrors {}
