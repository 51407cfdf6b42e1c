//! Options of the sandbox in a cluster.

/// Options of `--sandbox kubernetes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubernetesOptions {
    /// Context of the kubeconfig; its current one, or the pod's own service account, by default.
    pub context: Option<String>,
    /// Namespace; that of the context by default.
    pub namespace: Option<String>,
    /// Number of load pods; one for each node that is not the server's by default.
    pub load_pods: Option<u32>,
    /// CPU request of a load pod, as a Kubernetes quantity.
    pub load_pod_cpu: String,
    /// Labels of the nodes for load pods.
    pub load_nodes: Vec<(String, String)>,
    /// Labels of the nodes for servers.
    pub server_nodes: Vec<(String, String)>,
    /// Transport of images to the nodes.
    pub images: ImageTransport,
}

/// Transport of images from the local container engine to the nodes of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ImageTransport {
    /// Not stated: an error that names the choices.
    #[default]
    None,
    /// Pushed to a registry below this prefix, and pulled by their digests.
    Registry(String),
    /// A shell command to which the names of images are appended (`kind load docker-image`). Nodes never pull such images.
    Command(String),
}

impl Default for KubernetesOptions {
    fn default() -> Self {
        Self {
            context: None,
            namespace: None,
            load_pods: None,
            load_pod_cpu: "1".to_owned(),
            load_nodes: Vec::new(),
            server_nodes: Vec::new(),
            images: ImageTransport::None,
        }
    }
}
