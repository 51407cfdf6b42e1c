//! Sandboxes: where a server runs, `docker` (testcontainers), `process` (a local process with its own virtual environment) or
//! `kubernetes` (pods of a cluster).
//!
//! [`Sandbox::open`] chooses one and reports the choice and its reason; [`Sandbox::prepare`] makes a server's image or virtual environment;
//! [`Sandbox::launch`] starts it and returns once it responds. Cleanup is complete: each handle removes its objects when it is dropped,
//! [`Sandbox::emergency_cleanup`] does so from a signal thread, and objects of a killed run are removed by the next [`Sandbox::open`], once
//! their owner is proven dead.

mod cgroup;
mod context;
pub mod cpus;
#[cfg(feature = "docker")]
mod docker;
mod error;
pub(crate) mod executable;
mod group;
pub(crate) mod instrument;
#[cfg(feature = "kubernetes")]
pub(crate) mod kubernetes;
mod launch;
mod machine_lock;
mod owner;
mod prepared;
pub(crate) mod proc;
mod process;
mod ready;
mod requirements;
mod running;
mod temp;
mod tree;
pub mod usage;
mod versions;

use std::{future::ready, path::Path, sync::Arc};

use futures_util::{FutureExt, StreamExt, stream};

pub use context::{ProgressSink, SandboxChoice, SandboxOptions};
pub use error::{LaunchError, PrepareError, SandboxError};
pub use instrument::Instrument;
#[cfg(feature = "kubernetes")]
pub use kubernetes::{ImageTransport, KubernetesOptions};
pub use launch::{ExecOutput, Launch, Signal, StopInfo};
pub use machine_lock::MachineLock;
pub use owner::Owner;
pub use prepared::PreparedServer;
pub use usage::Usage;

pub(crate) use cgroup::{own_cpu_quota, own_throttled_seconds};

/// For the command that lists and removes wsgibench's objects in the engine.
#[cfg(feature = "docker")]
pub use self::docker::engine_usage;
#[cfg(feature = "docker")]
pub(crate) use self::{
    docker::{BASE_REPOSITORY, Engine, IMAGE_LABEL, base_images, reason},
    owner::LABEL as OWNER_LABEL,
};

use self::context::SandboxContext;
use crate::declare::{Notice, ServerSpec, Source};

/// Number of images or virtual environments made concurrently: one build waits for the network while another compiles.
const PREPARED_AT_ONCE: usize = 3;

/// Kind of a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SandboxKind {
    /// Containers.
    Docker,
    /// Local processes.
    Process,
    /// Pods of a Kubernetes cluster.
    Kubernetes,
}

impl SandboxKind {
    /// `docker`, `process` or `kubernetes`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Process => "process",
            Self::Kubernetes => "kubernetes",
        }
    }
}

/// An open sandbox.
pub struct Sandbox {
    inner: Inner,
    reason: String,
    context: Arc<SandboxContext>,
}

enum Inner {
    #[cfg(feature = "docker")]
    Docker(Box<docker::DockerSandbox>),
    Process(process::ProcessSandbox),
    #[cfg(feature = "kubernetes")]
    Kubernetes(Box<kubernetes::KubernetesSandbox>),
}

impl Sandbox {
    /// Chooses and opens a sandbox, reports the choice and its reason, and removes objects left by killed runs.
    ///
    /// # Errors
    /// If the requested sandbox is not available; with [`SandboxChoice::Auto`], if neither is.
    pub async fn open(options: SandboxOptions) -> Result<Self, SandboxError> {
        let context = SandboxContext::new(options);
        let of_reaping = Arc::clone(&context);
        // It waits for killed processes to leave their control groups.
        let _ = tokio::task::spawn_blocking(move || process::reap_dead(&of_reaping)).await;
        let choice = context.options.choice;
        let (inner, reason) = match choice {
            SandboxChoice::Process => (open_process(&context).await?, "asked for".to_owned()),
            SandboxChoice::Docker => (open_docker(&context).await?, "asked for".to_owned()),
            SandboxChoice::Auto => match open_docker(&context).await {
                Ok(docker) => (docker, "an engine responds and a base image is available".to_owned()),
                // Local processes would give other results than the engine that the user named.
                Err(error) if engine_is_named() => return Err(error),
                Err(error) => {
                    let reason = format!("docker is not available: {error}");
                    (open_process(&context).await?, reason)
                }
            },
        };
        let sandbox = Self { inner, reason, context };
        sandbox.report_choice();
        Ok(sandbox)
    }

    /// Opens a sandbox in a Kubernetes cluster; the choice of `options` is ignored. Removes what expired runs left there.
    ///
    /// # Errors
    /// The cluster or the container engine, which builds the images, is not available, or the cluster refuses an object of the run.
    #[cfg(feature = "kubernetes")]
    pub async fn open_in_cluster(options: SandboxOptions, cluster: &KubernetesOptions) -> Result<Self, SandboxError> {
        let context = SandboxContext::new(options);
        let sandbox = kubernetes::KubernetesSandbox::open(Arc::clone(&context), cluster).await?;
        let sandbox = Self {
            inner: Inner::Kubernetes(Box::new(sandbox)),
            reason: "asked for".to_owned(),
            context,
        };
        sandbox.report_choice();
        Ok(sandbox)
    }

    fn report_choice(&self) {
        let sandbox = self;
        let engine = sandbox
            .engine()
            .map(|engine| format!(" ({engine})"))
            .unwrap_or_default();
        sandbox.context.report_progress(
            "sandbox",
            &format!("{}{engine}: {}", sandbox.kind().name(), sandbox.reason),
        );
    }

    /// Returns the kind of this sandbox.
    #[must_use]
    pub fn kind(&self) -> SandboxKind {
        match &self.inner {
            #[cfg(feature = "docker")]
            Inner::Docker(_) => SandboxKind::Docker,
            Inner::Process(_) => SandboxKind::Process,
            #[cfg(feature = "kubernetes")]
            Inner::Kubernetes(_) => SandboxKind::Kubernetes,
        }
    }

    /// Returns why this kind was chosen.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Returns the container engine and its version.
    #[must_use]
    pub fn engine(&self) -> Option<&str> {
        match &self.inner {
            #[cfg(feature = "docker")]
            Inner::Docker(docker) => Some(docker.engine()),
            Inner::Process(_) => None,
            #[cfg(feature = "kubernetes")]
            Inner::Kubernetes(cluster) => Some(cluster.engine()),
        }
    }

    /// Returns the path of the load to the servers: `bridge`, `published port`, `loopback` or `pod network`.
    #[must_use]
    pub fn path(&self) -> &'static str {
        match &self.inner {
            #[cfg(feature = "docker")]
            Inner::Docker(docker) => docker.path(),
            Inner::Process(_) => "loopback",
            #[cfg(feature = "kubernetes")]
            Inner::Kubernetes(_) => "pod network",
        }
    }

    /// Returns the version of the control groups that account for the servers: `v1` or `v2`.
    #[must_use]
    pub fn cgroup(&self) -> String {
        let of_engine = match &self.inner {
            #[cfg(feature = "docker")]
            Inner::Docker(docker) => docker.cgroup().map(str::to_owned),
            Inner::Process(_) => None,
            // Each node has its own.
            #[cfg(feature = "kubernetes")]
            Inner::Kubernetes(_) => return "of the node".to_owned(),
        };
        of_engine
            .or_else(|| {
                cgroup::Cgroup::of_process(std::process::id())
                    .ok()
                    .map(|cgroup| cgroup.version().to_owned())
            })
            .unwrap_or_else(|| "none".into())
    }

    /// Returns clamped limits, fallbacks and other notices for the reader of the results; the list grows as servers are launched.
    #[must_use]
    pub fn notices(&self) -> Vec<Notice> {
        self.context.notices()
    }

    /// Makes a server's image or virtual environment, unless one with the same content exists.
    ///
    /// # Errors
    /// [`PrepareError::NotAvailable`] if this machine does not support it; [`PrepareError::Failed`] with the failing step's output.
    pub async fn prepare(&self, spec: &ServerSpec) -> Result<PreparedServer, PrepareError> {
        if let Some(tls) = &spec.tls {
            tls.check().map_err(PrepareError::Failed)?;
        }
        if let Source::Running(address) = &spec.source {
            return running::prepare(spec, address).await;
        }
        match &self.inner {
            #[cfg(feature = "docker")]
            Inner::Docker(docker) => docker.prepare(spec).await,
            Inner::Process(process) => process.prepare(spec).await,
            #[cfg(feature = "kubernetes")]
            Inner::Kubernetes(cluster) => cluster.prepare(spec).await,
        }
    }

    /// Prepares servers, three at a time, until `begin`, called before each server, returns `false`. The results have the order of
    /// `specs`; servers that were not begun have none.
    pub async fn prepare_all(
        &self,
        specs: &[&ServerSpec],
        begin: impl Fn(&ServerSpec) -> bool,
    ) -> Vec<Option<Result<PreparedServer, PrepareError>>> {
        // A Python version of its own may need another base image, which takes longest.
        let first = |spec: &ServerSpec| spec.python.is_some();
        side_by_side(specs, first, begin, |spec| self.prepare(spec)).await
    }

    /// Starts a server and returns once it responds. Its output is written to `log` when it is stopped or fails.
    ///
    /// # Errors
    /// If it cannot be started, exits, or does not respond within its deadline; the error has the last lines of its output.
    /// Nothing of it is left behind.
    pub async fn launch(&self, prepared: &PreparedServer, log: &Path) -> Result<Launch, LaunchError> {
        if let Source::Running(address) = &prepared.spec.source {
            let server = running::launch(&prepared.spec, address).await?;
            if server.has_several_addresses() {
                let text = format!(
                    "of the addresses of {address}, {} answered first and is loaded",
                    server.address()
                );
                self.context.report_progress(&prepared.spec.name, &text);
            }
            return Ok(Launch::from(server));
        }
        match &self.inner {
            #[cfg(feature = "docker")]
            Inner::Docker(docker) => docker.launch(prepared, log).await.map(Launch::from),
            Inner::Process(process) => process.launch(prepared, log).await.map(Launch::from),
            #[cfg(feature = "kubernetes")]
            Inner::Kubernetes(cluster) => cluster.launch(prepared, log).await.map(Launch::from),
        }
    }

    /// Returns the whole command that starts a prepared server: the image's entry point, then its command or the declared one.
    ///
    /// # Errors
    /// The image cannot be inspected, or nothing declares a command.
    #[cfg_attr(
        not(feature = "docker"),
        expect(clippy::unused_async, reason = "the same signature with the feature")
    )]
    pub async fn command_of(&self, prepared: &PreparedServer) -> Result<Vec<String>, String> {
        let command = match &self.inner {
            #[cfg(feature = "docker")]
            Inner::Docker(docker) => docker.command_of(prepared).await?,
            Inner::Process(_) => prepared.spec.command.clone(),
            #[cfg(feature = "kubernetes")]
            Inner::Kubernetes(_) => return Err("not supported with --sandbox kubernetes".to_owned()),
        };
        if command.is_empty() {
            return Err("neither its image nor its declaration has a command".to_owned());
        }
        Ok(command)
    }

    /// Whether servers can see files of this machine: not where the engine is on another one.
    #[must_use]
    pub fn shares_files(&self) -> bool {
        match &self.inner {
            #[cfg(feature = "docker")]
            Inner::Docker(_) => docker::Endpoint::resolve().is_ok_and(|endpoint| !endpoint.is_remote()),
            Inner::Process(_) => true,
            #[cfg(feature = "kubernetes")]
            Inner::Kubernetes(_) => false,
        }
    }

    /// Removes the objects that the sandbox made for the run (its network). All its launches must have been stopped.
    #[cfg_attr(
        not(feature = "docker"),
        expect(clippy::unused_async, reason = "the same signature with the feature")
    )]
    pub async fn close(self) {
        match self.inner {
            #[cfg(feature = "docker")]
            Inner::Docker(docker) => docker.close().await,
            Inner::Process(_) => {}
            #[cfg(feature = "kubernetes")]
            Inner::Kubernetes(cluster) => cluster.close().await,
        }
    }

    /// Removes all containers, networks, processes, control groups and temporary folders of this process, from any thread, blocking for at most half a
    /// minute; nothing can be started afterwards. For the thread of a signal that ends the process.
    pub fn emergency_cleanup() {
        group::emergency_cleanup();
        process::emergency_cleanup();
        temp::emergency_cleanup();
        #[cfg(feature = "kubernetes")]
        kubernetes::emergency_cleanup();
        #[cfg(feature = "docker")]
        docker::emergency_cleanup();
    }
}

/// Runs `work` on the items, [`PREPARED_AT_ONCE`] at a time, those that go `first` before the others, until `begin` returns `false`.
/// The results have the order of the items.
async fn side_by_side<T: Copy, R, F: Future<Output = R>>(
    items: &[T],
    first: impl Fn(T) -> bool,
    begin: impl Fn(T) -> bool,
    work: impl Fn(T) -> F,
) -> Vec<Option<R>> {
    let mut queue: Vec<(usize, T)> = items.iter().copied().enumerate().collect();
    queue.sort_by_key(|&(_, item)| !first(item));
    let mut finished = stream::iter(queue)
        .take_while(|&(_, item)| ready(begin(item)))
        .map(|(index, item)| work(item).map(move |result| (index, result)))
        .buffer_unordered(PREPARED_AT_ONCE);
    let mut results: Vec<Option<R>> = items.iter().map(|_| None).collect();
    while let Some((index, result)) = finished.next().await {
        results[index] = Some(result);
    }
    results
}

/// Whether the user names an engine (`DOCKER_HOST`, a Docker context).
fn engine_is_named() -> bool {
    #[cfg(feature = "docker")]
    return docker::Endpoint::is_named();
    #[cfg(not(feature = "docker"))]
    false
}

async fn open_process(context: &Arc<SandboxContext>) -> Result<Inner, SandboxError> {
    #[cfg(feature = "docker")]
    docker::reap_quietly(context, std::time::Duration::from_secs(2)).await;
    process::ProcessSandbox::open(context.clone()).await.map(Inner::Process)
}

#[cfg(feature = "docker")]
async fn open_docker(context: &Arc<SandboxContext>) -> Result<Inner, SandboxError> {
    let docker = docker::DockerSandbox::open(context.clone()).await?;
    Ok(Inner::Docker(Box::new(docker)))
}

#[cfg(not(feature = "docker"))]
#[expect(clippy::unused_async, reason = "the same signature with the feature")]
async fn open_docker(_: &Arc<SandboxContext>) -> Result<Inner, SandboxError> {
    Err(SandboxError::NoEngine(
        "this program was built without the feature `docker`".into(),
    ))
}

/// Replaces `{host}` and `{port}`.
fn expand_placeholders(word: &str, host: &str, port: u16) -> String {
    word.replace("{host}", host).replace("{port}", &port.to_string())
}

/// Returns the first 12 hexadecimal digits of a hash.
fn short_hash(hash: ring::digest::Context) -> String {
    hex::encode(&hash.finish().as_ref()[..6])
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    #[tokio::test]
    async fn a_bounded_number_is_prepared_at_once_in_the_given_order() {
        let (running, most) = (Cell::new(0), Cell::new(0));
        let work = |item: usize| {
            let (running, most) = (&running, &most);
            async move {
                running.set(running.get() + 1);
                most.set(most.get().max(running.get()));
                // Later items finish earlier.
                for _ in item..20 {
                    tokio::task::yield_now().await;
                }
                running.set(running.get() - 1);
                item
            }
        };
        let items: Vec<usize> = (0..10).collect();
        let all: Vec<Option<usize>> = items.iter().copied().map(Some).collect();
        assert_eq!(side_by_side(&items, |_| false, |_| true, work).await, all);
        assert_eq!(most.get(), PREPARED_AT_ONCE);
        let order = RefCell::new(Vec::new());
        let begin = |item| {
            order.borrow_mut().push(item);
            item < 5
        };
        let results = side_by_side(&items, |item| item == 3, begin, work).await;
        assert_eq!(results, [&all[..5], &[None; 5]].concat());
        assert_eq!(*order.borrow(), [3, 0, 1, 2, 4, 5]);
    }
}
