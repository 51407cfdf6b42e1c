//! What can be wrong with the declarations of a project as a whole. Each message names the places and the remedy.

use std::fmt;

use super::Location;

/// One mistake in what is declared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeclareError {
    /// No server, or no scenario, is registered.
    #[error(
        "no {what} is registered: a crate whose functions nothing refers to is not linked; write `use my_suite as _;` in the bench target for the crate that declares them, and put `#[{what}]` on them"
    )]
    Nothing {
        /// `server` or `scenario`.
        what: &'static str,
    },
    /// Two of a kind with one name.
    #[error("two {what}s are called `{name}`: one at {first}, the other at {second}; rename one of them")]
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
    /// Two names that differ, but not once they are names of files.
    #[error(
        "`{one}` at {first} and `{other}` at {second} both become `{safe}` as the name of a file (file systems may ignore case); rename one of them"
    )]
    Collision {
        /// The first id.
        one: String,
        /// The second id.
        other: String,
        /// What both become.
        safe: String,
        /// Place of the first.
        first: Location,
        /// Place of the second.
        second: Location,
    },
    /// A function that has no place in the run as it is.
    #[error("{what} `{name}` at {location}: {problem}")]
    Invalid {
        /// `server`, `scenario` or `profile`.
        what: &'static str,
        /// The name.
        name: String,
        /// Place.
        location: Location,
        /// What is wrong and how to mend it.
        problem: String,
    },
}

/// All mistakes at once.
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
