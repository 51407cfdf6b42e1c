//! Roles of pods that run the bench's own program, passed in their environment.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::declare::ServerSpec;

/// The environment variable with the role of a pod, as JSON.
pub(crate) const VARIABLE: &str = "WSGIBENCH_POD";

/// Line by which an observer reports that the server responds; followed by the time since its start in milliseconds.
pub(crate) const READY: &str = "wsgibench: the server responds after ms: ";

/// The role of a pod or container.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum PodRole {
    /// Holds the barrier, and removes the run when its lease expires.
    Coordinator { token: String, run: RunNames },
    /// Offers one stripe of the load.
    Load {
        token: String,
        coordinator: SocketAddr,
        index: u32,
        pod: String,
    },
    /// Waits until the server of its pod responds, and reads its resource usage.
    Observer {
        token: String,
        coordinator: SocketAddr,
        pod: String,
        spec: Box<ServerSpec>,
    },
}

/// Names of the objects of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunNames {
    pub(crate) namespace: String,
    /// The object that owns all others, and the lease.
    pub(crate) owner: String,
}

/// Returns the role of this process, if it runs in a pod of a run.
///
/// # Errors
/// The variable has another content.
pub(crate) fn of_this_process() -> Option<Result<PodRole, String>> {
    let text = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty())?;
    Some(serde_json::from_str(&text).map_err(|error| format!("{VARIABLE} is not a role of a pod: {error}")))
}
