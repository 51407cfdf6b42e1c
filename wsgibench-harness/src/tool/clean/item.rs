//! Something of ours that could go.

use std::path::PathBuf;

/// What it is. In the order in which it must go: a container before the network that it is in and the image that it uses.
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

/// Where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the engine, by the name or id that it is removed by.
    #[cfg_attr(not(feature = "docker"), expect(dead_code, reason = "no engine without the feature"))]
    Engine(String),
    /// On the disk, with what lies beside it and goes with it.
    Disk(Vec<PathBuf>),
}

/// One thing of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) kind: Kind,
    /// What it is called.
    pub(super) name: String,
    pub(super) place: Place,
    /// Its size, where it has one.
    pub(super) bytes: Option<u64>,
    /// Why it must stay, if it must.
    pub(super) stays: Option<String>,
}
