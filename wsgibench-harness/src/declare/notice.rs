//! Notices to the reader of the results.

use serde::{Deserialize, Serialize};

/// A clamped limit, a fallback or a warning: shown during the run and kept with its results.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// A case id, the name of a server, or empty for the whole run.
    pub about: String,
    /// One sentence, with the remedy if there is one.
    pub text: String,
}
