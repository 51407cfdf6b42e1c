//! Profiles of servers under load, and what they say about a change.
//!
//! [`sampler`] looks at every thread of a server some hundred times a second, from outside: whether it runs, and which Python
//! functions it is in ([`python`]). [`LaunchProfile`] turns the samples of one launch into microseconds per request,
//! [`mod@explain`] compares the launches of two arms function by function, into an [`Explanation`], and [`export`] writes
//! other tools' formats. Only the sampler does input and output.

pub mod explain;
mod explanation;
pub mod export;
pub mod launch;
pub mod permission;
pub(crate) mod place;
pub mod python;
pub mod sampler;
pub(crate) mod stacks;
mod state;
pub mod tree;

use serde::{Deserialize, Serialize};

pub use explanation::{ArmProfile, CaseExplanation, Explanation, FunctionChange, GroupChange, TotalChange};
pub use launch::LaunchProfile;
pub use sampler::{Options, Sampled, sample};
pub(crate) use state::call;
pub use tree::Tree;

/// A frame of a stack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Frame {
    /// Function, qualified by its class from Python 3.11 on. In square brackets: what is no Python function.
    pub function: String,
    /// Source file, relative to the application's folder or to the folder of packages; empty for what is no Python function.
    pub file: String,
    /// Line that ran; 0 if there is none.
    pub line: i32,
    /// Line at which the function begins; 0 if there is none.
    pub first_line: i32,
}

impl Frame {
    /// A frame that is no Python function.
    #[must_use]
    pub fn other(name: &str) -> Self {
        Self {
            function: format!("[{name}]"),
            ..Self::default()
        }
    }

    /// `function (file:line)`, or the name alone.
    #[must_use]
    pub fn title(&self) -> String {
        if self.file.is_empty() {
            self.function.clone()
        } else {
            format!("{} ({}:{})", self.function, self.file, self.line)
        }
    }
}
