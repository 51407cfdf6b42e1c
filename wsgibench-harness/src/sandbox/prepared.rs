//! Servers that are ready to be launched.

use std::{collections::BTreeMap, path::PathBuf};

use super::Instrument;
use crate::declare::ServerSpec;

/// A server with its image or virtual environment.
#[derive(Clone, Debug)]
pub struct PreparedServer {
    /// The server.
    pub spec: ServerSpec,
    /// Image tag, path of the virtual environment, or address of an external server.
    pub image: String,
    /// Digest of the image (`sha256:...`).
    pub digest: Option<String>,
    /// Size of the image, bytes.
    pub bytes: Option<u64>,
    /// Versions in it, by package, and `python`.
    pub versions: BTreeMap<String, String>,
    /// Images of its companions, in the order of `spec.companions`.
    pub(crate) companions: Vec<String>,
    /// The virtual environment (process sandbox).
    pub(crate) environment: Option<PathBuf>,
    /// A tool that it runs under.
    pub(crate) instrument: Option<Instrument>,
}

impl PreparedServer {
    /// Returns the images of its companions by name.
    #[must_use]
    pub fn companions(&self) -> BTreeMap<String, String> {
        let names = self.spec.companions.iter().map(|companion| companion.name.clone());
        names.zip(self.companions.iter().cloned()).collect()
    }
}
