//! The objects of one run in a cluster: the owner, its lease, the coordinator and the load pods.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use k8s_openapi::{
    api::{
        coordination::v1::Lease,
        core::v1::{ConfigMap, Node, Pod},
        networking::v1::NetworkPolicy,
    },
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::{
    Api, Client,
    api::{ListParams, Portforwarder, PostParams},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    runtime::Handle,
    sync::Mutex as AsyncMutex,
    task::AbortHandle,
};

use super::{
    client::{Background, configuration, connect},
    error::explain,
    lease,
    manifest::{Placement, RunShape, coordinator_address, object_name},
    options::KubernetesOptions,
    pods::{Pods, containers, is_running},
    role::{PodRole, RunNames},
};
use crate::sandbox::context::SandboxContext;

/// Time for a pod of the bench's own image to run.
const STARTING: Duration = Duration::from_secs(180);
/// Time for an emergency cleanup.
const EMERGENCY: Duration = Duration::from_secs(9);
/// Name of a node's label with its own name.
const HOST_NAME: &str = "kubernetes.io/hostname";

/// A run that an emergency cleanup removes.
static LIVE: Mutex<Vec<(kube::Config, RunNames)>> = Mutex::new(Vec::new());

/// A node, as far as the bench may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct NodeFacts {
    name: String,
    /// Allocatable CPU, thousandths of a core.
    cpu: u64,
    /// Allocatable memory, bytes.
    memory: u64,
    serves: bool,
    loads: bool,
}

/// A run in a cluster.
pub(crate) struct ClusterRun {
    background: Background,
    pub(super) client: Client,
    pub(super) pods: Pods,
    pub(super) names: RunNames,
    pub(super) shape: RunShape,
    /// Version of the API server.
    pub(super) version: String,
    token: String,
    coordinator: String,
    pub(super) coordinator_address: SocketAddr,
    renewal: AbortHandle,
    /// Load pods by index; those that ended are replaced.
    load: AsyncMutex<Vec<String>>,
    /// The number of load pods that the options or the nodes give.
    load_pods: u32,
    /// Number of pods created so far; makes names unique.
    made: Mutex<u64>,
    /// Allocatable CPU (thousandths of a core) and memory (bytes) of the server's node.
    pub(super) server_node: Option<(u64, u64)>,
}

impl std::fmt::Debug for ClusterRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterRun")
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

/// A cluster that answers, before anything is made in it.
pub(super) struct Reached {
    background: Background,
    client: Client,
    config: kube::Config,
    namespace: String,
    version: String,
}

impl Reached {
    /// Connects to the cluster and removes what expired runs left.
    pub(super) async fn new(options: &KubernetesOptions, context: &SandboxContext) -> Result<Self, String> {
        let background = Background::start().map_err(|error| format!("failed to start a thread: {error}"))?;
        let options = options.clone();
        let reached = background
            .run(async move {
                let config = configuration(&options).await?;
                let client = connect(config.clone())?;
                let namespace = config.default_namespace.clone();
                let version = client
                    .apiserver_version()
                    .await
                    .map_err(|error| explain(&error, "failed to reach the cluster", &namespace))?;
                let expired = lease::remove_expired(&client, &namespace)
                    .await
                    .map_err(|error| explain(&error, "failed to list the leases of earlier runs", &namespace))?;
                Ok((config, client, namespace, version.git_version, expired))
            })
            .await
            .unwrap_or_else(|| Err("the connection to the cluster was interrupted".to_owned()));
        let (config, client, namespace, version, expired) = reached?;
        if expired > 0 {
            context.report_progress(
                "sandbox",
                &format!("removed {expired} expired runs from namespace {namespace}"),
            );
        }
        Ok(Self {
            background,
            client,
            config,
            namespace,
            version,
        })
    }
}

impl ClusterRun {
    /// Makes the objects of a run; returns when the coordinator runs.
    pub(super) async fn start(
        reached: Reached,
        options: &KubernetesOptions,
        shape: RunShape,
        context: &Arc<SandboxContext>,
    ) -> Result<Arc<Self>, String> {
        let Reached {
            background,
            client,
            config,
            namespace,
            version,
        } = reached;
        let names = RunNames {
            namespace: namespace.clone(),
            owner: shape.name.clone(),
        };
        LIVE.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((config, names.clone()));
        let (making, options, for_notices) = (client.clone(), options.clone(), Arc::clone(context));
        let of_run = names.clone();
        let made = background
            .run(async move { Made::new(making, of_run, &options, shape, &for_notices).await })
            .await
            .unwrap_or_else(|| Err("the connection to the cluster was interrupted".to_owned()));
        let made = match made {
            Ok(made) => made,
            Err(error) => {
                let (client, run) = (client.clone(), names.clone());
                background
                    .run(async move { lease::remove_now(&client, &run).await })
                    .await;
                forget(&names);
                return Err(error);
            }
        };
        let renewal = background
            .handle
            .spawn(lease::renew(client.clone(), names.clone()))
            .abort_handle();
        Ok(Arc::new(Self {
            renewal,
            pods: Pods {
                api: Api::namespaced(client.clone(), &namespace),
                namespace,
            },
            background,
            client,
            names,
            version,
            shape: made.shape,
            token: made.token,
            coordinator: made.coordinator,
            coordinator_address: made.address,
            load: AsyncMutex::default(),
            load_pods: made.load_pods,
            made: Mutex::new(0),
            server_node: made.server_node,
        }))
    }

    /// Returns the runtime of the connection.
    pub(crate) fn handle(&self) -> Handle {
        self.background.handle.clone()
    }

    /// The secret of the run.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Returns the number of load pods.
    pub(crate) fn load_pods(&self) -> u32 {
        self.load_pods
    }

    /// Runs a future on the thread of the connection.
    pub(super) async fn background<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, String>> + Send + 'static,
    ) -> Result<T, String> {
        let interrupted = || Err("the connection to the cluster was interrupted".to_owned());
        self.background.run(work).await.unwrap_or_else(interrupted)
    }

    /// Returns a name for a pod that was not used in this run.
    pub(super) fn new_name(&self, what: &str) -> String {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        *made += 1;
        object_name(&[&self.names.owner, what, &made.to_string()])
    }

    /// Opens a connection to the coordinator through the API server.
    ///
    /// # Errors
    /// The API server or the coordinator does not answer.
    pub(crate) async fn connect(
        &self,
        port: u16,
    ) -> io::Result<(impl AsyncRead + AsyncWrite + Unpin + use<>, Portforwarder)> {
        let mut forward = self
            .pods
            .api
            .portforward(&self.coordinator, &[port])
            .await
            .map_err(io::Error::other)?;
        let stream = forward
            .take_stream(port)
            .ok_or_else(|| io::Error::other("the API server opened no stream"))?;
        Ok((stream, forward))
    }

    /// Makes load pods until there are `count`, and replaces those that have ended. Returns their names and nodes by index.
    pub(crate) async fn ensure_load_pods(self: &Arc<Self>, count: u32) -> Result<Vec<(String, String)>, String> {
        let run = Arc::clone(self);
        self.background(async move { run.load_pods_there(count).await }).await
    }

    async fn load_pods_there(&self, count: u32) -> Result<Vec<(String, String)>, String> {
        let mut known = self.load.lock().await;
        let mut new = Vec::new();
        for index in 0..count as usize {
            if let Some(name) = known.get(index) {
                let pod = self.pods.get(name).await?;
                let runs = pod.as_ref().is_some_and(|pod| {
                    pod.metadata.deletion_timestamp.is_none() && containers(pod).iter().all(is_running)
                });
                if runs {
                    continue;
                }
                self.pods.delete(name).await?;
            }
            let name = self.new_name(&format!("load-{index}"));
            let role = PodRole::Load {
                token: self.token.clone(),
                coordinator: self.coordinator_address,
                index: u32::try_from(index).unwrap_or(u32::MAX),
                pod: name.clone(),
            };
            self.pods.create(&self.shape.load(&name, &role)).await?;
            new.push(name.clone());
            if index < known.len() {
                known[index] = name;
            } else {
                known.push(name);
            }
        }
        for name in &new {
            self.pods.running(name, STARTING).await?;
        }
        let mut found = Vec::new();
        for name in known.iter().take(count as usize) {
            let pod = self.pods.get(name).await?.unwrap_or_default();
            let node = pod.spec.and_then(|spec| spec.node_name).unwrap_or_default();
            found.push((name.clone(), node));
        }
        Ok(found)
    }

    /// Removes all objects of the run.
    pub(super) async fn remove(&self) -> Result<(), String> {
        self.renewal.abort();
        let (client, names) = (self.client.clone(), self.names.clone());
        let removed = self
            .background
            .run(async move { lease::remove_now(&client, &names).await })
            .await;
        forget(&self.names);
        match removed {
            Some(Err(error)) => Err(explain(
                &error,
                "failed to remove the run's objects",
                &self.names.namespace,
            )),
            _ => Ok(()),
        }
    }
}

impl Drop for ClusterRun {
    fn drop(&mut self) {
        self.renewal.abort();
        // Unless it was closed before.
        remove_blocking(|names| *names == self.names);
    }
}

fn forget(names: &RunNames) {
    LIVE.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .retain(|(_, known)| known != names);
}

/// Removes runs of this process that are still there, from any thread.
fn remove_blocking(which: impl Fn(&RunNames) -> bool) {
    let mut live = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
    let (chosen, others) = std::mem::take(&mut *live)
        .into_iter()
        .partition(|(_, names)| which(names));
    *live = others;
    drop(live);
    let chosen: Vec<(kube::Config, RunNames)> = chosen;
    if chosen.is_empty() {
        return;
    }
    let removing = std::thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
            return;
        };
        runtime.block_on(async {
            for (config, names) in chosen {
                let removed = async {
                    if let Ok(client) = connect(config) {
                        let _ = lease::remove_now(&client, &names).await;
                    }
                };
                let _ = tokio::time::timeout(EMERGENCY, removed).await;
            }
        });
    });
    let _ = removing.join();
}

/// Removes all runs of this process, from any thread, within 10 s.
pub(in crate::sandbox) fn emergency_cleanup() {
    remove_blocking(|_| true);
}

/// Objects created at the start of a run.
struct Made {
    shape: RunShape,
    token: String,
    coordinator: String,
    address: SocketAddr,
    load_pods: u32,
    server_node: Option<(u64, u64)>,
}

impl Made {
    async fn new(
        client: Client,
        names: RunNames,
        options: &KubernetesOptions,
        mut shape: RunShape,
        context: &SandboxContext,
    ) -> Result<Self, String> {
        let namespace = names.namespace.as_str();
        let failed = |what: &str, error: &kube::Error| {
            explain(error, &format!("failed to create the {what} of the run"), namespace)
        };
        let owners: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
        let owner = owners
            .create(&PostParams::default(), &shape.owner())
            .await
            .map_err(|error| failed("owner", &error))?;
        shape.owner = Some(OwnerReference {
            api_version: "v1".to_owned(),
            kind: "ConfigMap".to_owned(),
            name: names.owner.clone(),
            uid: owner.metadata.uid.unwrap_or_default(),
            ..OwnerReference::default()
        });
        let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
        let holder = format!("wsgibench-{}", std::process::id());
        leases
            .create(&PostParams::default(), &shape.lease(&holder))
            .await
            .map_err(|error| failed("lease", &error))?;
        let policies: Api<NetworkPolicy> = Api::namespaced(client.clone(), namespace);
        if let Err(error) = policies.create(&PostParams::default(), &shape.network_policy()).await {
            context.notice("", &failed("network policy", &error));
        }
        let nodes = nodes(&client, options).await;
        let (load_pods, server_node) = place(&mut shape, options, nodes.as_deref())?;
        if nodes.is_none() {
            context.notice(
                "",
                "the bench may not list nodes: it cannot keep the load off the server's node; bind examples/kubernetes/nodes.yaml, or use \
                 --server-node-selector and --load-node-selector",
            );
        }
        let token = hex::encode(rand::random::<[u8; 16]>());
        let coordinator = object_name(&[&names.owner, "coordinator"]);
        let role = PodRole::Coordinator {
            token: token.clone(),
            run: names.clone(),
        };
        let pods = Pods {
            api: Api::<Pod>::namespaced(client, namespace),
            namespace: namespace.to_owned(),
        };
        pods.create(&shape.coordinator(&coordinator, &role)).await?;
        let pod = pods.running(&coordinator, STARTING).await?;
        let address = coordinator_address(&pod, super::PORT).ok_or("the coordinator's pod has no address")?;
        Ok(Self {
            shape,
            token,
            coordinator,
            address,
            load_pods,
            server_node,
        })
    }
}

/// Returns the nodes that take pods; `None` if the bench may not list them.
async fn nodes(client: &Client, options: &KubernetesOptions) -> Option<Vec<NodeFacts>> {
    let nodes = Api::<Node>::all(client.clone())
        .list(&ListParams::default())
        .await
        .ok()?;
    Some(nodes.items.iter().filter_map(|node| facts(node, options)).collect())
}

fn facts(node: &Node, options: &KubernetesOptions) -> Option<NodeFacts> {
    let spec = node.spec.clone().unwrap_or_default();
    let refuses = |effect: &str| effect == "NoSchedule" || effect == "NoExecute";
    let tainted = spec
        .taints
        .unwrap_or_default()
        .iter()
        .any(|taint| refuses(&taint.effect));
    if spec.unschedulable.unwrap_or(false) || tainted {
        return None;
    }
    let labels = node.metadata.labels.clone().unwrap_or_default();
    let has = |wanted: &[(String, String)]| wanted.iter().all(|(key, value)| labels.get(key) == Some(value));
    let allocatable = node.status.clone()?.allocatable.unwrap_or_default();
    Some(NodeFacts {
        name: labels.get(HOST_NAME)?.clone(),
        cpu: millis(&allocatable.get("cpu")?.0)?,
        memory: bytes(&allocatable.get("memory")?.0)?,
        serves: has(&options.server_nodes),
        loads: has(&options.load_nodes),
    })
}

/// Chooses the server's node, keeps the load off it where there is another one, and returns the number of load pods.
fn place(
    shape: &mut RunShape,
    options: &KubernetesOptions,
    nodes: Option<&[NodeFacts]>,
) -> Result<(u32, Option<(u64, u64)>), String> {
    shape.load_placement = Placement {
        labels: options.load_nodes.clone(),
        ..Placement::default()
    };
    shape.server_placement = Placement {
        labels: options.server_nodes.clone(),
        ..Placement::default()
    };
    let Some(nodes) = nodes else {
        return Ok((options.load_pods.unwrap_or(1), None));
    };
    let missing = |what: &str| {
        format!(
            "no node takes {what}: of {} schedulable nodes, none has the labels of --{what}-node-selector",
            nodes.len()
        )
    };
    if !nodes.iter().any(|node| node.loads) {
        return Err(missing("load"));
    }
    // A node that no load pod could use is the best one; then the largest, so that limits are kept.
    let server = nodes
        .iter()
        .filter(|node| node.serves)
        .max_by_key(|node| (!node.loads, node.cpu, node.memory, std::cmp::Reverse(node.name.clone())))
        .ok_or_else(|| missing("server"))?;
    shape.server_placement.node = Some(server.name.clone());
    let others = nodes
        .iter()
        .filter(|node| node.loads && node.name != server.name)
        .count();
    if others > 0 {
        shape.load_placement.avoid = Some(server.name.clone());
    }
    let pods = options.load_pods.unwrap_or(u32::try_from(others.max(1)).unwrap_or(1));
    Ok((pods, Some((server.cpu, server.memory))))
}

/// Parses a CPU quantity (`2`, `1500m`) into thousandths of a core.
fn millis(quantity: &str) -> Option<u64> {
    match quantity.strip_suffix('m') {
        Some(millis) => millis.parse().ok(),
        None => quantity.parse::<u64>().ok().map(|cores| cores * 1_000),
    }
}

/// Parses a memory quantity (`16384Mi`, `7900000Ki`, `8G`, bytes).
fn bytes(quantity: &str) -> Option<u64> {
    let digits = quantity.trim_end_matches(|c: char| !c.is_ascii_digit());
    let factor = match &quantity[digits.len()..] {
        "" => 1,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
