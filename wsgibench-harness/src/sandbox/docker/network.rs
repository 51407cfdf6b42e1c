//! One internal network for each run: its containers reach each other and this machine, and nothing else.

use std::{collections::HashMap, path::Path};

use testcontainers::bollard::{
    models::{NetworkCreateRequest, NetworkDisconnectRequest},
    query_parameters::ListContainersOptionsBuilder,
};

use super::{engine::Engine, engine::reason, labels};
use crate::sandbox::{SandboxError, context::SandboxContext};

/// Path of the load to a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// The container's own address.
    Bridge,
    /// The engine's port proxy.
    PublishedPort,
}

/// The network of a run.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    pub(crate) name: String,
    id: String,
    pub(crate) route: Route,
    /// Whether addresses of its containers are reachable from here.
    pub(crate) has_route: bool,
}

impl Network {
    /// Creates the network: internal if its addresses are reachable from here, else an ordinary one.
    pub(crate) async fn create(engine: &Engine, context: &SandboxContext) -> Result<Self, SandboxError> {
        // The engine accepts a second network of the same name, and then finds neither by name.
        let name = format!("wsgibench-{}-{:08x}", context.options.run_id, rand::random::<u32>());
        let internal = !context.options.published_port;
        let mut id = make(engine, context, &name, internal).await?;
        let has_route = has_route(&id);
        if internal && !has_route {
            // An internal network publishes no ports.
            let _ = engine.api.remove_network(&id).await;
            id = make(engine, context, &name, false).await?;
        }
        let route = if internal && has_route {
            Route::Bridge
        } else {
            Route::PublishedPort
        };
        Ok(Self {
            name,
            id,
            route,
            has_route,
        })
    }

    /// Removes the network, after disconnecting containers whose handles outlive the sandbox.
    pub(crate) async fn remove(&self, engine: &Engine) -> Result<(), String> {
        let filters = HashMap::from([("network".to_owned(), vec![self.id.clone()])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let containers = engine.api.list_containers(Some(options)).await;
        for container in containers.as_deref().unwrap_or_default() {
            let container = container.id.clone().unwrap_or_default();
            let request = NetworkDisconnectRequest {
                container,
                force: Some(true),
            };
            // If the network cannot be removed, the engine's error for that says more than this one.
            let _ = engine.api.disconnect_network(&self.id, request).await;
        }
        match engine.api.remove_network(&self.id).await {
            Err(error) if !super::engine::is_not_found(&error) => Err(match containers {
                Ok(_) => reason(&error),
                Err(unlisted) => format!(
                    "{}; failed to list the containers in it: {}",
                    reason(&error),
                    reason(&unlisted)
                ),
            }),
            _ => Ok(()),
        }
    }
}

async fn make(engine: &Engine, context: &SandboxContext, name: &str, internal: bool) -> Result<String, SandboxError> {
    let labels: HashMap<String, String> = labels(&context.options.run_id).into_iter().collect();
    let request = NetworkCreateRequest {
        name: name.to_owned(),
        driver: Some("bridge".into()),
        internal: Some(internal),
        labels: Some(labels),
        ..NetworkCreateRequest::default()
    };
    let answer = engine
        .api
        .create_network(request)
        .await
        .map_err(|error| SandboxError::Engine(reason(&error)))?;
    Ok(answer.id)
}

/// Whether the network's bridge is an interface of this machine, so that containers are reachable at their own addresses. It is not with an
/// engine in a virtual machine (Docker Desktop), on another machine, or in another network namespace (rootless).
fn has_route(network_id: &str) -> bool {
    network_id
        .get(..12)
        .is_some_and(|id| Path::new("/sys/class/net").join(format!("br-{id}")).exists())
}
