//! What a reader of the results must know.

use serde::{Deserialize, Serialize};

/// A clamp, a fallback or a warning: shown while a run is on and kept with its results.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// A case id, the name of a server, or empty for the whole run.
    pub about: String,
    /// One sentence, with the remedy where there is one.
    pub text: String,
}
