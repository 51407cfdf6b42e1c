//! The connection to the container engine.

use std::{error::Error, time::Duration};

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
        let endpoint = Endpoint::resolve().map_err(SandboxError::Endpoint)?;
        endpoint.check().map_err(SandboxError::Endpoint)?;
        let no = |error: &dyn Error| SandboxError::NoEngine(unanswered(endpoint.address(), error));
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
            .unwrap_or_else(|_| {
                let text = format!("{}: timed out after 10 s", endpoint.address());
                Err(SandboxError::NoEngine(text))
            })
    }
}

/// Returns the address and the first cause of an error, since the client's own message names neither.
fn unanswered(address: &str, error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    format!("{address}: {cause}")
}

/// Returns the engine's own message from an error.
pub(crate) fn reason(error: &testcontainers::bollard::errors::Error) -> String {
    use testcontainers::bollard::errors::Error::{DockerResponseServerError, DockerStreamError};
    match error {
        DockerResponseServerError { message, .. } => message.clone(),
        DockerStreamError { error } => error.clone(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_unreachable_engine_is_named_with_the_reason() {
        // A port that nothing listens at.
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = format!("tcp://{}", listener.local_addr().unwrap());
        drop(listener);
        let api = Docker::connect_with_http(&address, 2, testcontainers::bollard::API_DEFAULT_VERSION).unwrap();
        let text = unanswered(&address, &api.version().await.unwrap_err());
        assert!(
            text.starts_with(&format!("{address}: ")) && text.contains("refused"),
            "{text}"
        );
    }
}
