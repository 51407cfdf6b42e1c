//! The objects of a run. Pure.

use std::net::SocketAddr;

use k8s_openapi::{
    api::{
        coordination::v1::Lease,
        core::v1::{ConfigMap, Pod},
        networking::v1::NetworkPolicy,
    },
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::role::{PodRole, VARIABLE};
use crate::{
    declare::{ServerSpec, server::Companion},
    sandbox::{executable, expand_placeholders},
};

/// Label of all objects of a run, with its name.
pub(super) const RUN_LABEL: &str = "wsgibench.io/run";
/// Label of the role of a pod.
pub(super) const ROLE_LABEL: &str = "wsgibench.io/role";
/// The service account of the coordinator, which the cluster's administrator makes (`examples/kubernetes`).
pub(super) const SERVICE_ACCOUNT: &str = "wsgibench-coordinator";
/// The server's container in its pod.
pub(super) const SERVER: &str = "server";
/// The container that reads the server's usage.
pub(super) const OBSERVER: &str = "observer";
/// Time without renewal after which a lease has expired.
pub(super) const LEASE_SECONDS: i32 = 30;
/// Longest life of a pod, if neither the bench nor the coordinator removes it.
const LONGEST_LIFE: i64 = 6 * 3_600;

/// Properties that all objects of a run share.
#[derive(Clone, Debug)]
pub(super) struct RunShape {
    /// Name of the object that owns all others.
    pub(super) name: String,
    pub(super) owner: Option<OwnerReference>,
    /// The bench's own image, and how nodes obtain images.
    pub(super) bench_image: String,
    pub(super) pull_policy: &'static str,
    pub(super) command: Vec<String>,
    pub(super) load_pod_cpu: String,
    pub(super) load_placement: Placement,
    pub(super) server_placement: Placement,
}

/// Where pods of one kind run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Placement {
    /// Labels of the node.
    pub(super) labels: Vec<(String, String)>,
    /// The only node; chosen by the bench where it may list nodes.
    pub(super) node: Option<String>,
    /// A node to avoid.
    pub(super) avoid: Option<String>,
}

impl Placement {
    fn fields(&self) -> Value {
        let mut selector: serde_json::Map<String, Value> = self
            .labels
            .iter()
            .map(|(key, value)| (key.clone(), json!(value)))
            .collect();
        if let Some(node) = &self.node {
            selector.insert("kubernetes.io/hostname".to_owned(), json!(node));
        }
        let mut fields = json!({ "nodeSelector": selector });
        if let Some(node) = &self.avoid {
            fields["affinity"] = json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{ "matchExpressions": [
                    { "key": "kubernetes.io/hostname", "operator": "NotIn", "values": [node] },
                ] }],
            } } });
        }
        fields
    }
}

/// Converts JSON to an object of the API. The tests convert every object here.
fn object<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("a manifest has the fields of its kind")
}

fn merge(into: &mut Value, fields: Value) {
    if let (Value::Object(into), Value::Object(fields)) = (into, fields) {
        into.extend(fields);
    }
}

/// Restrictions of every container: no privileges, and a root that cannot be written.
fn confined(user: Option<(i64, i64)>, writable_root: bool, capabilities: &[String]) -> Value {
    let mut context = json!({
        "allowPrivilegeEscalation": false,
        "privileged": false,
        "readOnlyRootFilesystem": !writable_root,
        "capabilities": { "drop": ["ALL"], "add": capabilities },
    });
    if let Some((user, group)) = user {
        merge(
            &mut context,
            json!({ "runAsNonRoot": user != 0, "runAsUser": user, "runAsGroup": group }),
        );
    }
    context
}

/// The user of pods that run the bench's program.
const NOBODY: (i64, i64) = (65_534, 65_534);

/// Parses `USER` or `USER:GROUP` as numbers.
///
/// # Errors
/// A name, which Kubernetes does not resolve in the image.
pub(super) fn user_of(user: &str) -> Result<(i64, i64), String> {
    let (user_part, group_part) = user.split_once(':').unwrap_or((user, user));
    match (user_part.parse(), group_part.parse()) {
        (Ok(user), Ok(group)) => Ok((user, group)),
        _ => Err(format!(
            "user `{user}` is not supported in a cluster: write numbers, such as .user(\"65534:65534\")"
        )),
    }
}

impl RunShape {
    fn metadata(&self, name: &str, role: &str) -> Value {
        let mut metadata = json!({
            "name": name,
            "labels": { RUN_LABEL: self.name, ROLE_LABEL: role, "app.kubernetes.io/managed-by": "wsgibench" },
        });
        if let Some(owner) = &self.owner {
            metadata["ownerReferences"] = json!([owner]);
        }
        metadata
    }

    /// The object that owns all others: deleting it removes the run.
    pub(super) fn owner(&self) -> ConfigMap {
        object(json!({ "metadata": self.metadata(&self.name, "owner") }))
    }

    /// The lease that the bench renews as long as it lives.
    pub(super) fn lease(&self, holder: &str) -> Lease {
        object(json!({
            "metadata": self.metadata(&self.name, "lease"),
            "spec": { "holderIdentity": holder, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": now() },
        }))
    }

    /// Lets the pods of the run talk to each other and to nobody else. The coordinator is left out, as it talks to the API server.
    pub(super) fn network_policy(&self) -> NetworkPolicy {
        let pods = json!({ "podSelector": { "matchLabels": { RUN_LABEL: self.name } } });
        object(json!({
            "metadata": self.metadata(&self.name, "policy"),
            "spec": {
                "podSelector": {
                    "matchLabels": { RUN_LABEL: self.name },
                    "matchExpressions": [{ "key": ROLE_LABEL, "operator": "NotIn", "values": ["coordinator"] }],
                },
                "policyTypes": ["Ingress", "Egress"],
                "ingress": [{ "from": [pods] }],
                "egress": [{ "to": [pods] }],
            },
        }))
    }

    /// Returns a pod. `spec` is added to the restrictions that all pods have.
    fn pod(&self, name: &str, role: &str, placement: &Placement, spec: Value) -> Pod {
        let mut whole = json!({
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "terminationGracePeriodSeconds": 0,
            "activeDeadlineSeconds": LONGEST_LIFE,
            "securityContext": { "seccompProfile": { "type": "RuntimeDefault" } },
        });
        merge(&mut whole, placement.fields());
        merge(&mut whole, spec);
        object(json!({ "metadata": self.metadata(name, role), "spec": whole }))
    }

    fn bench(&self, name: &str, role: &PodRole, user: (i64, i64), resources: &Value) -> Value {
        // A role consists of strings and numbers, which always have a JSON form.
        let role = serde_json::to_string(role).unwrap_or_default();
        json!({
            "name": name,
            "image": self.bench_image,
            "imagePullPolicy": self.pull_policy,
            "command": self.command,
            "env": [{ "name": VARIABLE, "value": role }],
            "resources": resources,
            "securityContext": confined(Some(user), false, &[]),
            "terminationMessagePolicy": "FallbackToLogsOnError",
        })
    }

    /// The coordinator: the only pod with a token.
    pub(super) fn coordinator(&self, name: &str, role: &PodRole) -> Pod {
        let resources = json!({ "requests": { "cpu": "100m", "memory": "128Mi" } });
        let spec = json!({
            "serviceAccountName": SERVICE_ACCOUNT,
            "automountServiceAccountToken": true,
            "containers": [self.bench("coordinator", role, NOBODY, &resources)],
        });
        self.pod(name, "coordinator", &self.load_placement, spec)
    }

    /// A load pod. Without a CPU limit, as a quota would stop it for up to 100 ms at a time.
    pub(super) fn load(&self, name: &str, role: &PodRole) -> Pod {
        let resources = json!({ "requests": { "cpu": self.load_pod_cpu, "memory": "128Mi" } });
        let mut container = self.bench("load", role, NOBODY, &resources);
        if let (Some((name, value)), Value::Array(env)) = (planted(role), &mut container["env"]) {
            env.push(json!({ "name": name, "value": value }));
        }
        let spec = json!({ "containers": [container] });
        self.pod(name, "load", &self.load_placement, spec)
    }

    /// A server's pod, with a second container that reads the server's usage.
    ///
    /// # Errors
    /// The server's user has a name instead of a number.
    pub(super) fn server(&self, name: &str, server: &ServerShape<'_>, observer: &PodRole) -> Result<Pod, String> {
        let spec = server.spec;
        let user = user_of(&spec.user)?;
        let cpu = spec.limits.cpu_quota.map_or(spec.limits.cpus.to_string(), |cores| {
            format!("{}m", (cores * 1_000.0).round())
        });
        let resources = same(&json!({ "cpu": cpu, "memory": spec.limits.memory.to_string() }));
        let env = spec.env.iter();
        let env: Vec<Value> = env
            .map(|(key, value)| json!({ "name": key, "value": expand_placeholders(value, "0.0.0.0", spec.port) }))
            .collect();
        let folders: Vec<&str> = std::iter::once("/tmp")
            .chain(spec.tmpfs.iter().map(String::as_str))
            .collect();
        let (volumes, mounts) = memory_volumes(&folders);
        let mut container = json!({
            "name": SERVER,
            "image": server.image,
            "imagePullPolicy": self.pull_policy,
            "env": env,
            "ports": [{ "containerPort": spec.port }],
            "resources": resources,
            "securityContext": confined(Some(user), spec.writable_root, &spec.capabilities),
            "volumeMounts": mounts,
        });
        if !spec.command.is_empty() {
            let args = spec.command.iter();
            container["args"] = args
                .map(|word| json!(expand_placeholders(word, "0.0.0.0", spec.port)))
                .collect();
        }
        let little = same(&json!({ "cpu": "50m", "memory": "128Mi" }));
        Ok(self.pod(
            name,
            "server",
            &self.server_placement,
            json!({
                "shareProcessNamespace": true,
                "hostAliases": server.hosts.iter().map(|(name, address)| json!({ "ip": address, "hostnames": [name] })).collect::<Vec<_>>(),
                "containers": [container, self.bench(OBSERVER, observer, user, &little)],
                "volumes": volumes,
            }),
        ))
    }

    /// A companion's pod.
    pub(super) fn companion(&self, name: &str, companion: &Companion, image: &str, hosts: &[(String, String)]) -> Pod {
        let env = companion.env.iter();
        let env: Vec<Value> = env
            .map(|(key, value)| json!({ "name": key, "value": expand_placeholders(value, "0.0.0.0", companion.port) }))
            .collect();
        let mut container = json!({
            "name": "companion",
            "image": image,
            "imagePullPolicy": self.pull_policy,
            "env": env,
            "ports": [{ "containerPort": companion.port }],
        });
        let mut volumes = json!([]);
        if companion.confined {
            container["securityContext"] = confined(None, false, &[]);
            let (memory, mounts) = memory_volumes(&["/tmp"]);
            container["volumeMounts"] = mounts;
            volumes = memory;
        }
        if !companion.command.is_empty() {
            let args = companion.command.iter();
            container["args"] = args
                .map(|word| json!(expand_placeholders(word, "0.0.0.0", companion.port)))
                .collect();
        }
        let aliases: Vec<Value> = hosts
            .iter()
            .map(|(name, address)| json!({ "ip": address, "hostnames": [name] }))
            .collect();
        let spec = json!({ "hostAliases": aliases, "containers": [container], "volumes": volumes });
        self.pod(name, "companion", &self.server_placement, spec)
    }
}

/// The parts of a server's pod that differ between launches.
pub(super) struct ServerShape<'a> {
    pub(super) spec: &'a ServerSpec,
    pub(super) image: &'a str,
    /// Names and addresses of its companions.
    pub(super) hosts: &'a [(String, String)],
}

/// Limits equal to the requests, so that the pod is of the class `Guaranteed`.
fn same(resources: &Value) -> Value {
    json!({ "requests": resources, "limits": resources })
}

fn memory_volumes(folders: &[&str]) -> (Value, Value) {
    let names = (0..folders.len()).map(|index| format!("memory-{index}"));
    let volumes: Vec<Value> = names
        .clone()
        .map(|name| json!({ "name": name, "emptyDir": { "medium": "Memory" } }))
        .collect();
    let mounts: Vec<Value> = names
        .zip(folders)
        .map(|(name, folder)| json!({ "name": name, "mountPath": folder }))
        .collect();
    (json!(volumes), json!(mounts))
}

/// An environment variable that a test plants in one load pod: `INDEX:NAME=VALUE`.
const PLANTED: &str = "WSGIBENCH_TEST_LOAD_POD_ENV";

fn planted(role: &PodRole) -> Option<(String, String)> {
    let PodRole::Load { index, .. } = role else { return None };
    let text = std::env::var(PLANTED).ok()?;
    let (pod, variable) = text.split_once(':')?;
    let (name, value) = variable.split_once('=')?;
    (pod == index.to_string()).then(|| (name.to_owned(), value.to_owned()))
}

/// Returns the present time in the form of the API.
pub(super) fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

/// Returns a name of an object that is valid in Kubernetes: lower-case letters, digits and hyphens, at most 50 characters.
pub(super) fn object_name(parts: &[&str]) -> String {
    let joined = parts.join("-").to_lowercase();
    let name: String = joined
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(50)
        .collect();
    name.trim_matches('-').to_owned()
}

/// Returns the command of the bench's image.
pub(super) fn bench_command(command: &[String]) -> Vec<String> {
    if command.is_empty() {
        vec![format!("{}/wsgibench", executable::FOLDER)]
    } else {
        command.to_vec()
    }
}

/// The address at which the coordinator listens in a pod.
pub(super) fn coordinator_address(pod: &Pod, port: u16) -> Option<SocketAddr> {
    let address = pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()?;
    Some(SocketAddr::new(address, port))
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
