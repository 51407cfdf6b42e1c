//! The connection to the container engine.

use std::time::Duration;

use testcontainers::{bollard::Docker, core::client::docker_client_instance};

use super::endpoint::Endpoint;
use crate::sandbox::SandboxError;

/// An engine that answers.
#[derive(Clone)]
pub(crate) struct Engine {
    /// Connected by testcontainers, to the engine that [`Endpoint`] names.
    pub(crate) api: Docker,
    /// `Docker 20.10.24`.
    pub(crate) version: String,
    /// Its cgroup version, `v1` or `v2`, where it tells.
    pub(crate) cgroup: Option<String>,
    /// The registry of names without one, as the engine and the user's docker configuration call it.
    pub(crate) registry: Option<String>,
}

impl Engine {
    /// Connects and asks for the version, within 10 seconds.
    pub(crate) async fn connect() -> Result<Self, SandboxError> {
        Endpoint::resolve()
            .and_then(|endpoint| endpoint.check())
            .map_err(SandboxError::Endpoint)?;
        let no = |error: &dyn std::fmt::Display| SandboxError::NoEngine(error.to_string());
        let ask = async {
            let api = docker_client_instance().await.map_err(|error| no(&error))?;
            let version = api.version().await.map_err(|error| no(&error))?;
            let info = api.info().await.map_err(|error| no(&error))?;
            let name = version
                .platform
                .map(|platform| platform.name)
                .filter(|name| name.to_lowercase().contains("podman"))
                .map_or("Docker", |_| "Podman");
            Ok(Self {
                api,
                version: format!(
                    "{name} {}",
                    version.version.unwrap_or_else(|| "of unknown version".into())
                ),
                registry: info.index_server_address.filter(|address| !address.is_empty()),
                cgroup: info
                    .cgroup_version
                    .map(|version| format!("v{version}"))
                    .filter(|text| text.len() == 2),
            })
        };
        tokio::time::timeout(Duration::from_secs(10), ask)
            .await
            .unwrap_or_else(|_| Err(SandboxError::NoEngine("timed out after 10 s".into())))
    }
}

/// The message of an engine's refusal without the wrapping.
pub(crate) fn reason(error: &testcontainers::bollard::errors::Error) -> String {
    use testcontainers::bollard::errors::Error;
    match error {
        Error::DockerResponseServerError { message, .. } => message.clone(),
        Error::DockerStreamError { error } => error.clone(),
        error => error.to_string(),
    }
}

/// The engine says that there is no such thing.
pub(crate) fn is_not_found(error: &testcontainers::bollard::errors::Error) -> bool {
    matches!(
        error,
        testcontainers::bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }
    )
}
