//! An item that `clean` can remove.

use std::path::PathBuf;

/// The kind of an item, in order of removal: containers before their network and image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A container.
    Container,
    /// A network.
    Network,
    /// An image.
    Image,
    /// A virtual environment, or a temporary folder.
    Environment,
    /// A stored run.
    Run,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Container => "container",
            Self::Network => "network",
            Self::Environment => "environment",
            Self::Run => "run",
        }
    }
}

/// The location of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the engine, with the name or id to remove it by.
    #[cfg_attr(not(feature = "docker"), expect(dead_code, reason = "no engine without the feature"))]
    Engine(String),
    /// On disk, with associated files that are removed with it.
    Disk(Vec<PathBuf>),
}

/// A removable item of wsgibench.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) kind: Kind,
    /// Its name.
    pub(super) name: String,
    pub(super) place: Place,
    /// Its size, if it has one.
    pub(super) bytes: Option<u64>,
    /// Why it must be kept, if so.
    pub(super) stays: Option<String>,
}
