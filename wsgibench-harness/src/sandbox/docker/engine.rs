//! The connection to the container engine.

use std::time::Duration;

use testcontainers::{bollard::Docker, core::client::docker_client_instance};

use super::endpoint::Endpoint;
use crate::sandbox::SandboxError;

/// A responding container engine.
#[derive(Clone)]
pub(crate) struct Engine {
    /// testcontainers' client, connected to the engine of [`Endpoint`].
    pub(crate) api: Docker,
    /// `Docker 20.10.24`.
    pub(crate) version: String,
    /// Cgroup version of the engine, `v1` or `v2`, if it reports one.
    pub(crate) cgroup: Option<String>,
    /// Registry for image names without a registry, as written in the engine's and the user's docker configuration.
    pub(crate) registry: Option<String>,
}

impl Engine {
    /// Connects and requests the version; times out after 10 seconds.
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

/// Returns the engine's own message from an error.
pub(crate) fn reason(error: &testcontainers::bollard::errors::Error) -> String {
    use testcontainers::bollard::errors::Error;
    match error {
        Error::DockerResponseServerError { message, .. } => message.clone(),
        Error::DockerStreamError { error } => error.clone(),
        error => error.to_string(),
    }
}

/// Whether the engine reports that the object does not exist.
pub(crate) fn is_not_found(error: &testcontainers::bollard::errors::Error) -> bool {
    matches!(
        error,
        testcontainers::bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }
    )
}
