//! Servers in containers, started by testcontainers.
//!
//! Adds to testcontainers an internal network, limits, readiness at the container's own address, and cleanup on every exit path
//! (testcontainers removes a container only if its handle is dropped inside a runtime, and leaks one whose start failed).

mod base_image;
mod blocking;
mod build;
mod build_steps;
mod companion;
mod container;
mod container_stats;
mod context_files;
mod dockerignore;
mod endpoint;
mod engine;
mod guard;
mod image_prune;
mod launch;
mod network;
mod orphan_cleanup;
mod prepare;
mod pull;
mod remote;
mod versions;

use std::{env, path::Path, sync::Arc};

pub(crate) use base_image::{BASE_REPOSITORY, looked_for as base_images};
#[cfg(feature = "kubernetes")]
pub(super) use container::split_reference;
pub(crate) use endpoint::Endpoint;
pub(crate) use engine::{Engine, reason};
#[cfg(feature = "kubernetes")]
pub(super) use guard::write_log;
pub(crate) use launch::DockerLaunch;
pub(crate) use orphan_cleanup::{emergency_cleanup, reap_quietly};
pub(crate) use prepare::IMAGE_LABEL;
#[cfg(feature = "kubernetes")]
pub(super) use pull::credentials;
pub use remote::engine_usage;

use self::{
    base_image::BaseImages,
    network::{Network, Route},
};
use super::{LaunchError, PrepareError, PreparedServer, SandboxError, context::SandboxContext, owner};
use crate::declare::ServerSpec;

/// Label of all objects of one run.
const RUN_LABEL: &str = "wsgibench.run";

/// Labels of all objects that this process creates in the engine.
fn labels(run_id: &str) -> [(String, String); 2] {
    [
        (owner::LABEL.to_owned(), owner::Owner::this().to_string()),
        (RUN_LABEL.to_owned(), run_id.to_owned()),
    ]
}

/// An engine, a base image and the run's network.
pub(crate) struct DockerSandbox {
    context: Arc<SandboxContext>,
    engine: Engine,
    network: Network,
    bases: BaseImages,
    descriptors: launch::DescriptorLimit,
    tags: prepare::Tags,
}

impl DockerSandbox {
    /// Connects, removes objects left by dead runs, finds a base image (if `need_base`), and creates the network.
    pub(crate) async fn open(context: Arc<SandboxContext>) -> Result<Self, SandboxError> {
        let engine = Engine::connect().await?;
        if let Some(notice) = engine.other_platform(env::var("DOCKER_DEFAULT_PLATFORM").ok().as_deref()) {
            context.notice("", &notice);
        }
        if engine.is_podman {
            context.notice(
                "",
                "Podman is not supported yet: it builds images, but version 4.3 did not start servers through Docker's API; \
                 use Docker, or local processes with --sandbox process",
            );
        }
        orphan_cleanup::mark_used();
        orphan_cleanup::reap_dead(&engine, &context).await;
        let bases = BaseImages::new(engine.clone(), context.clone());
        bases.get(None).await.map_err(SandboxError::NoBaseImage)?;
        let network = Network::create(&engine, &context).await?;
        if network.route == Route::PublishedPort {
            context.notice(
                "",
                "the containers' own addresses are not used: the load goes through published ports, which cost a fast server more \
                 than half of its throughput; read such figures as suspect",
            );
        }
        Ok(Self {
            context,
            engine,
            network,
            bases,
            descriptors: launch::DescriptorLimit::default(),
            tags: prepare::Tags::default(),
        })
    }

    /// The connection to the engine.
    #[cfg(feature = "kubernetes")]
    pub(super) fn api(&self) -> Engine {
        self.engine.clone()
    }

    pub(crate) fn engine(&self) -> &str {
        &self.engine.version
    }

    pub(crate) fn cgroup(&self) -> Option<&str> {
        self.engine.cgroup.as_deref()
    }

    pub(crate) fn path(&self) -> &'static str {
        match self.network.route {
            Route::Bridge => "bridge",
            Route::PublishedPort => "published port",
        }
    }

    pub(crate) async fn prepare(&self, spec: &ServerSpec) -> Result<PreparedServer, PrepareError> {
        prepare::prepare(self, spec).await
    }

    pub(crate) async fn launch(&self, prepared: &PreparedServer, log: &Path) -> Result<DockerLaunch, LaunchError> {
        launch::launch(self, prepared, log).await
    }

    /// The image's entry point, then the declared command or the image's.
    pub(crate) async fn command_of(&self, prepared: &PreparedServer) -> Result<Vec<String>, String> {
        let inspected = self.engine.api.inspect_image(&prepared.image).await;
        let config = inspected.map_err(|error| reason(&error))?.config.unwrap_or_default();
        let command = &prepared.spec.command;
        let own = if command.is_empty() {
            config.cmd.unwrap_or_default()
        } else {
            command.clone()
        };
        Ok(config.entrypoint.unwrap_or_default().into_iter().chain(own).collect())
    }

    /// Removes the network.
    pub(crate) async fn close(self) {
        if let Err(error) = self.network.remove(&self.engine).await {
            self.context.report_progress(
                "sandbox",
                &format!("failed to remove the network {}: {error}", self.network.name),
            );
        }
    }
}

impl Drop for DockerSandbox {
    fn drop(&mut self) {
        let (engine, network) = (self.engine.clone(), self.network.clone());
        blocking::run(async move {
            let _ = network.remove(&engine).await;
        });
    }
}
