//! Servers and load in a Kubernetes cluster.
//!
//! Images are built by the local container engine and brought to the nodes. All objects of a run are owned by one, which the bench
//! deletes at its end, and the coordinator when the lease that the bench renews has expired.

mod client;
mod error;
mod images;
mod launch;
mod lease;
mod manifest;
mod observer;
mod options;
mod pods;
mod role;
mod run;

use std::{fs, path::Path, sync::Arc};

pub(crate) use launch::KubernetesLaunch;
pub(crate) use lease::remove_when_expired;
pub(crate) use observer::{Observer, wait_until_ready};
pub use options::{ImageTransport, KubernetesOptions};
pub(crate) use role::{PodRole, of_this_process};
pub(crate) use run::ClusterRun;
pub(super) use run::emergency_cleanup;

use self::{images::Images, manifest::RunShape, run::Reached};
use super::{
    LaunchError, PrepareError, PreparedServer, SandboxError, context::SandboxContext, docker::DockerSandbox, executable,
};
use crate::declare::{DeclaredServer, Location, Machine, Server, ServerSpec, resolve};

/// The port on which the coordinator listens.
pub(crate) const PORT: u16 = 7_070;

/// A run in a cluster, and the engine that builds its images.
pub(crate) struct KubernetesSandbox {
    context: Arc<SandboxContext>,
    docker: DockerSandbox,
    images: Images,
    run: Arc<ClusterRun>,
    engine: String,
}

impl KubernetesSandbox {
    /// Connects to the cluster, builds the image of this program, and starts the coordinator.
    pub(super) async fn open(context: Arc<SandboxContext>, options: &KubernetesOptions) -> Result<Self, SandboxError> {
        let failed = SandboxError::Cluster;
        // Before an image is built for minutes.
        let reached = Reached::new(options, &context).await.map_err(failed)?;
        let docker = DockerSandbox::open(Arc::clone(&context)).await?;
        let images = Images::new(options.images.clone(), docker.api()).map_err(failed)?;
        let (bench, command) = bench_image(&docker, &context).await.map_err(failed)?;
        let bench_image = images.publish(&bench, &context).await.map_err(failed)?;
        let shape = RunShape {
            name: manifest::object_name(&["wsgibench", &context.options.run_id]),
            owner: None,
            bench_image,
            pull_policy: images.pull_policy(),
            command,
            load_pod_cpu: options.load_pod_cpu.clone(),
            load_placement: manifest::Placement::default(),
            server_placement: manifest::Placement::default(),
        };
        let run = ClusterRun::start(reached, options, shape, &context)
            .await
            .map_err(failed)?;
        Ok(Self {
            engine: format!("Kubernetes {}", run.version),
            context,
            docker,
            images,
            run,
        })
    }

    pub(super) fn engine(&self) -> &str {
        &self.engine
    }

    pub(super) async fn prepare(&self, spec: &ServerSpec) -> Result<PreparedServer, PrepareError> {
        manifest::user_of(&spec.user).map_err(PrepareError::Failed)?;
        let mut prepared = self.docker.prepare(spec).await?;
        for image in std::iter::once(&mut prepared.image).chain(&mut prepared.companions) {
            let published = self.images.publish(image, &self.context).await;
            *image = published.map_err(PrepareError::Failed)?;
        }
        Ok(prepared)
    }

    pub(super) async fn launch(&self, prepared: &PreparedServer, log: &Path) -> Result<KubernetesLaunch, LaunchError> {
        launch::launch(&self.run, prepared, &self.context, log).await
    }

    /// Removes the run.
    pub(super) async fn close(self) {
        if let Err(error) = self.run.remove().await {
            self.context.report_progress("sandbox", &error);
        }
        self.docker.close().await;
    }
}

/// Builds the image of this program; returns its name and its command.
async fn bench_image(docker: &DockerSandbox, context: &SandboxContext) -> Result<(String, Vec<String>), String> {
    let failed = |error: std::io::Error| format!("failed to write the build context of the bench's image: {error}");
    let run_dir = &context.options.run_dir;
    let temporary = tempfile::tempdir_in(run_dir).map_err(failed)?;
    // The image is named after its folder.
    let folder = temporary.path().join("bench");
    fs::create_dir(&folder).map_err(failed)?;
    let command = executable::write_context(&folder).map_err(failed)?;
    let declared = DeclaredServer {
        name: "bench".to_owned(),
        description: "The bench's own program.".to_owned(),
        location: Location {
            file: file!(),
            line: line!(),
            column: column!(),
        },
        manifest_dir: folder.clone(),
        setting: None,
        server: Server::dockerfile(&folder),
    };
    let machine = Machine {
        server_cpus: 1,
        memory: u64::MAX,
    };
    let (spec, _) = resolve(&declared, None, &machine);
    let prepared = docker.prepare(&spec).await.map_err(|error| error.to_string())?;
    Ok((prepared.image, manifest::bench_command(&command)))
}
