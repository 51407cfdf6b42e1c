//! `--against GIT_REF`: the base arm, from a commit's tree.
//!
//! The commit is written to a folder outside the working tree; the working tree, its index and git's own state are not
//! touched, so that a kill leaves nothing to clean up in the repository.

pub mod bench;
mod build;
mod git;
mod inputs;
mod place;

pub use bench::{Declared, DeclaredCase, Request, Source, declarations, source};
pub use git::{Base, Checkout, check_out};
pub use inputs::BuildInputs;
pub use place::isolated_folder;

/// Why there is no base arm.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgainstError {
    /// No git, or not a repository.
    #[error("--against needs the project in a git repository: {0}")]
    NoRepository(String),
    /// The reference is unknown here.
    #[error("`{reference}` is not a commit of this repository ({reason}); {hint}")]
    UnknownReference {
        /// As given.
        reference: String,
        /// git's message.
        reason: String,
        /// The remedy.
        hint: String,
    },
    /// The history is too short to find where the branch began.
    #[error(
        "cannot find the merge base of HEAD and {reference}: the clone is shallow; run `git fetch --unshallow` (in CI: `fetch-depth: 0`, \
         `GIT_DEPTH: \"0\"`), or compare with the tip by --against-tip {reference}"
    )]
    NoMergeBase {
        /// The reference.
        reference: String,
    },
    /// git failed at something that it should be able to do.
    #[error("failed to {action}; git says:\n{output}")]
    Git {
        /// The operation, as a verb phrase.
        action: String,
        /// Its standard error.
        output: String,
    },
    /// The commit has entries whose content git does not have.
    #[error("{path} is {what} at {reference}, so its content is not in this repository; {remedy}")]
    NotInRepository {
        /// Path in the repository.
        path: String,
        /// `an unresolved Git LFS pointer`, or the like.
        what: &'static str,
        /// The reference.
        reference: String,
        /// The remedy.
        remedy: &'static str,
    },
    /// git failed to write a submodule's tree.
    #[error(
        "failed to check out submodule {path} of {reference}; run `git submodule update --init --recursive` and `git fetch` in it; git says:\n{output}"
    )]
    Submodule {
        /// Path in the repository.
        path: String,
        /// The reference.
        reference: String,
        /// Its standard error.
        output: String,
    },
    /// Every folder that could hold the tree lies below settings of cargo.
    #[error(
        "cannot check out the base: {} applies in every folder that could hold it; set TMPDIR to a folder outside of any cargo project",
        inherited.display()
    )]
    NoFolder {
        /// A file from which cargo would take settings.
        inherited: std::path::PathBuf,
    },
    /// The commit lacks the crate.
    #[error(
        "{reference} has no {}: the benchmark is not part of that commit, so there is nothing to compare with; name a commit that has it, or \
         run without --against",
        manifest.display()
    )]
    NoManifest {
        /// The reference.
        reference: String,
        /// The manifest's path in the repository.
        manifest: std::path::PathBuf,
    },
    /// The base arm would be made of the working tree.
    #[error("the base would be compared with itself: {what}; {remedy}")]
    SameTree {
        /// The finding.
        what: String,
        /// The remedy.
        remedy: &'static str,
    },
    /// The bench of that commit does not build.
    #[error("failed to build the bench of {reference}; cargo says:\n{output}")]
    Build {
        /// The reference.
        reference: String,
        /// Last lines of cargo.
        output: String,
    },
    /// The bench of that commit does not tell its declarations.
    #[error("failed to read the declarations of {reference}, which needs a wsgibench like this one: {reason}")]
    Declarations {
        /// The reference.
        reference: String,
        /// Why.
        reason: String,
    },
    /// A file could not be written.
    #[error("failed to write to {path}: {source}; check free space and permissions")]
    Io {
        /// The file or folder.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
}
