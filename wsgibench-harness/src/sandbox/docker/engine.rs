//! The connection to the container engine.

use std::{error::Error, time::Duration};

use testcontainers::{
    bollard::{Docker, models::SystemVersion},
    core::client::docker_client_instance,
};

use super::endpoint::Endpoint;
use crate::sandbox::SandboxError;

/// A responding container engine.
#[derive(Clone)]
pub(crate) struct Engine {
    /// testcontainers' client, connected to the engine of [`Endpoint`].
    pub(crate) api: Docker,
    /// Whether it is Podman, which speaks Docker's API without `BuildKit`.
    pub(crate) is_podman: bool,
    /// `Docker 20.10.24`.
    pub(crate) version: String,
    /// Cgroup version of the engine, `v1` or `v2`, if it reports one.
    pub(crate) cgroup: Option<String>,
    /// Operating system and architecture of the engine's machine, e.g. `linux/amd64`, if it reports them.
    pub(crate) platform: Option<String>,
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
            let platform = version.os.as_ref().zip(version.arch.as_ref());
            let platform = platform.map(|(system, architecture)| format!("{system}/{architecture}"));
            let is_podman = is_podman(&version);
            let name = if is_podman { "Podman" } else { "Docker" };
            Ok(Self {
                api,
                is_podman,
                version: format!(
                    "{name} {}",
                    version.version.unwrap_or_else(|| "of unknown version".into())
                ),
                platform,
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

impl Engine {
    /// Returns a notice if `wanted`, the value of `DOCKER_DEFAULT_PLATFORM`, is not the engine's own platform. Servers of another one
    /// would be emulated, and their figures would be those of the emulator.
    pub(crate) fn other_platform(&self, wanted: Option<&str>) -> Option<String> {
        let (wanted, own) = (wanted.filter(|wanted| !wanted.is_empty())?, self.platform.as_deref()?);
        // A variant such as `linux/arm64/v8` may follow.
        let is_own = wanted
            .strip_prefix(own)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        (!is_own).then(|| {
            format!(
                "DOCKER_DEFAULT_PLATFORM={wanted} is ignored: servers are built and measured for the engine's own platform, {own}, since \
                 emulation would distort every figure; use an engine on a {wanted} machine to measure that platform"
            )
        })
    }
}

/// Whether the engine is Podman, which names itself among its components, and in some versions as the platform.
fn is_podman(version: &SystemVersion) -> bool {
    let components = version.components.iter().flatten().map(|component| &component.name);
    let platform = version.platform.iter().map(|platform| &platform.name);
    components
        .chain(platform)
        .any(|name| name.to_lowercase().contains("podman"))
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

    #[test]
    fn another_default_platform_is_noted() {
        let engine = Engine {
            api: Docker::connect_with_http("tcp://127.0.0.1:1", 2, testcontainers::bollard::API_DEFAULT_VERSION)
                .unwrap(),
            is_podman: false,
            version: "Docker 20.10.24".to_owned(),
            cgroup: None,
            platform: Some("linux/arm64".to_owned()),
            registry: None,
        };
        for same in [None, Some(""), Some("linux/arm64"), Some("linux/arm64/v8")] {
            assert_eq!(engine.other_platform(same), None, "{same:?}");
        }
        for other in ["linux/amd64", "linux/arm", "linux/arm64v8"] {
            let notice = engine.other_platform(Some(other)).unwrap();
            assert!(
                notice.contains(other) && notice.contains("own platform, linux/arm64,"),
                "{notice}"
            );
        }
    }

    #[test]
    fn podman_is_recognized_by_its_components() {
        let version = |text: &str| serde_json::from_str::<SystemVersion>(text).unwrap();
        let podman = r#"{"Platform": {"Name": "linux/amd64/debian-12"}, "Components": [{"Name": "Podman Engine", "Version": "4.3.1"}]}"#;
        assert!(is_podman(&version(podman)));
        assert!(is_podman(&version(r#"{"Platform": {"Name": "Podman"}}"#)));
        let docker = r#"{"Platform": {"Name": "Docker Engine - Community"}, "Components": [{"Name": "Engine", "Version": "28.2.2"}]}"#;
        assert!(!is_podman(&version(docker)));
        assert!(!is_podman(&version("{}")));
    }

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
