//! A server that can be launched.

use std::{collections::BTreeMap, path::PathBuf};

use crate::declare::ServerSpec;

/// A server whose image, or virtual environment, is there.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The server.
    pub spec: ServerSpec,
    /// Image tag, path of the virtual environment, or address of a server that runs already.
    pub image: String,
    /// Digest of the image (`sha256:...`).
    pub digest: Option<String>,
    /// Size of the image, bytes.
    pub bytes: Option<u64>,
    /// Versions inside, by package, and `python`.
    pub versions: BTreeMap<String, String>,
    /// Images of its companions, in the order of `spec.services`.
    #[cfg_attr(not(feature = "docker"), expect(dead_code, reason = "companions need containers"))]
    pub(crate) services: Vec<String>,
    /// The virtual environment (process sandbox).
    pub(crate) environment: Option<PathBuf>,
}
