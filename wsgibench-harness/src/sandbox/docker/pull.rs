//! Image pulls with a time limit; a failed pull is not repeated within the run.

use std::{collections::BTreeMap, time::Duration};

use docker_credential::DockerCredential;
use futures_util::StreamExt;
use testcontainers::bollard::{auth::DockerCredentials, query_parameters::CreateImageOptionsBuilder};
use tokio::{sync::Mutex, time::timeout};

use super::{
    container::split_reference,
    engine::{Engine, reason},
};

/// Time limit for a registry's first response and between messages.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(20);
/// Time limit for a pull.
const PULL_TIMEOUT: Duration = Duration::from_secs(600);

/// Key for the registry of names without one.
const OWN_REGISTRY: &str = "the engine's default registry";

/// A puller that does not retry failed images.
pub(crate) struct Pulls {
    engine: Engine,
    /// Reasons by image, or by registry if the registry could not be reached.
    refused: Mutex<BTreeMap<String, String>>,
}

impl Pulls {
    pub(super) fn new(engine: Engine) -> Self {
        Self {
            engine,
            refused: Mutex::default(),
        }
    }

    /// Makes an image available in the engine.
    pub(super) async fn find_or_pull(&self, reference: &str) -> Result<(), String> {
        if self.engine.api.inspect_image(reference).await.is_ok() {
            return Ok(());
        }
        self.pull(reference).await
    }

    /// Pulls an image.
    pub(super) async fn pull(&self, reference: &str) -> Result<(), String> {
        let registry = registry(reference);
        let mut refused = self.refused.lock().await;
        if let Some(why) = refused.get(reference).or_else(|| refused.get(registry)) {
            return Err(why.clone());
        }
        let outcome = timeout(PULL_TIMEOUT, self.try_pull(reference)).await;
        let (key, why) = match outcome {
            Ok(Ok(())) => return Ok(()),
            Ok(Err((Refusal::Image, why))) => (reference, why),
            Ok(Err((Refusal::Registry, why))) => (registry, why),
            Err(_) => (registry, format!("timed out after {} s", PULL_TIMEOUT.as_secs())),
        };
        let why = format!("failed to pull {reference}: {why}");
        refused.insert(key.to_owned(), why.clone());
        Err(why)
    }

    async fn try_pull(&self, reference: &str) -> Result<(), (Refusal, String)> {
        let (name, tag) = split_reference(reference);
        let options = if let Some(name) = name.strip_suffix("@sha256") {
            CreateImageOptionsBuilder::new()
                .from_image(&format!("{name}@sha256:{tag}"))
                .build()
        } else {
            CreateImageOptionsBuilder::new().from_image(&name).tag(&tag).build()
        };
        let server = match registry(reference) {
            OWN_REGISTRY => self.engine.registry.clone(),
            named => Some(named.to_owned()),
        };
        let credentials = match server {
            Some(server) => credentials(server).await,
            None => None,
        };
        let mut messages = self.engine.api.create_image(Some(options), None, credentials);
        loop {
            match timeout(MESSAGE_TIMEOUT, messages.next()).await {
                Err(_) => {
                    return Err((
                        Refusal::Registry,
                        format!("no response within {} s", MESSAGE_TIMEOUT.as_secs()),
                    ));
                }
                Ok(None) => return Ok(()),
                Ok(Some(Ok(_))) => {}
                Ok(Some(Err(error))) => {
                    let why = reason(&error);
                    let unknown =
                        super::engine::is_not_found(&error) || why.contains("manifest") || why.contains("denied");
                    return Err((if unknown { Refusal::Image } else { Refusal::Registry }, why));
                }
            }
        }
    }
}

/// Returns the credentials for a registry from the user's docker configuration.
pub(in crate::sandbox) async fn credentials(server: String) -> Option<DockerCredentials> {
    // Blocking: it may run a credential helper.
    let found = {
        let server = server.clone();
        tokio::task::spawn_blocking(move || docker_credential::get_credential(&server).ok())
            .await
            .ok()??
    };
    Some(match found {
        DockerCredential::IdentityToken(token) => DockerCredentials {
            identitytoken: Some(token),
            serveraddress: Some(server),
            ..DockerCredentials::default()
        },
        DockerCredential::UsernamePassword(username, password) => DockerCredentials {
            username: Some(username),
            password: Some(password),
            serveraddress: Some(server),
            ..DockerCredentials::default()
        },
    })
}

/// The scope of a refusal.
enum Refusal {
    Image,
    Registry,
}

/// Returns the registry of a reference: its first part if that is a host name, else the engine's default.
fn registry(reference: &str) -> &str {
    match reference.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => OWN_REGISTRY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries() {
        assert_eq!(registry("python:3.12"), registry("library/python"));
        assert_eq!(registry("example.org:5000/a/b:1"), "example.org:5000");
        assert_eq!(registry("localhost/a"), "localhost");
    }
}
