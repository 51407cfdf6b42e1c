//! `--against GIT_REF`: that commit's tree beside the working tree.
//!
//! The commit is written out with `git archive` into a folder of its own under the target folder; the user's tree and
//! git's own state are never touched, so a kill leaves nothing to mend.

pub mod bench;
mod git;

pub use bench::{Declared, DeclaredCase, declarations};
pub use git::{Checkout, check_out};

/// Why the other arm cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum AgainstError {
    /// No git, or not a repository.
    #[error("--against needs the project in a git repository: {0}")]
    NoRepository(String),
    /// The reference is unknown here.
    #[error("`{reference}` is no commit of this repository{hint}")]
    UnknownReference {
        /// As given.
        reference: String,
        /// What to do.
        hint: String,
    },
    /// The commit holds files that `git archive` cannot give.
    #[error(
        "{path} is {what} at {reference}: --against cannot see its content; keep what an image is built from in the repository itself"
    )]
    NotInRepository {
        /// Path in the repository.
        path: String,
        /// `a submodule` or `a large-file pointer`.
        what: &'static str,
        /// The reference.
        reference: String,
    },
    /// The bench of that commit does not build.
    #[error("the bench of {reference} does not build; cargo says:\n{output}")]
    Build {
        /// The reference.
        reference: String,
        /// Last lines of cargo.
        output: String,
    },
    /// The bench of that commit does not tell its declarations.
    #[error(
        "the bench of {reference} does not tell its declarations ({reason}); --against needs wsgibench at that commit too"
    )]
    Declarations {
        /// The reference.
        reference: String,
        /// Why.
        reason: String,
    },
    /// The disk said no.
    #[error("cannot write {path}: {source}; check free space and permissions")]
    Io {
        /// Where.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
}
