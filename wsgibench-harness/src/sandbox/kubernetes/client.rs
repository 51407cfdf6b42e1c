//! The connection to a cluster, and the thread on which it runs.

use std::{future::Future, io, thread, time::Duration};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
};

use super::{error::chain, options::KubernetesOptions};

/// Time for the API server to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// A thread with a runtime of its own, so that the lease is renewed and messages are read while the bench's thread measures. It ends with
/// the handle.
#[derive(Debug)]
pub(super) struct Background {
    pub(super) handle: Handle,
    /// Dropped to end the thread.
    _stop: oneshot::Sender<()>,
}

impl Background {
    pub(super) fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        thread::Builder::new().name("kubernetes".to_owned()).spawn(move || {
            let _ = runtime.block_on(stopped);
            runtime.shutdown_timeout(Duration::from_secs(1));
        })?;
        Ok(Self { handle, _stop: stop })
    }

    /// Runs a future there, from any runtime.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
        self.handle.spawn(work).await.ok()
    }
}

/// Returns the configuration that the options choose.
///
/// # Errors
/// Neither a kubeconfig nor a service account was found, or the context is not in it.
pub(super) async fn configuration(options: &KubernetesOptions) -> Result<Config, String> {
    let mut config = if let Some(context) = &options.context {
        let kubeconfig = Kubeconfig::read().map_err(|error| {
            format!(
                "failed to read the kubeconfig: {}; set KUBECONFIG to its path",
                chain(&error)
            )
        })?;
        let known: Vec<String> = kubeconfig.contexts.iter().map(|context| context.name.clone()).collect();
        if !known.contains(context) {
            return Err(format!(
                "context `{context}` not found in the kubeconfig, which has {}",
                if known.is_empty() {
                    "none".to_owned()
                } else {
                    known.join(", ")
                }
            ));
        }
        let chosen = KubeConfigOptions {
            context: Some(context.clone()),
            ..KubeConfigOptions::default()
        };
        Config::from_custom_kubeconfig(kubeconfig, &chosen)
            .await
            .map_err(|error| chain(&error))?
    } else {
        Config::infer().await.map_err(|error| {
            format!(
                "no cluster is configured: {}; set KUBECONFIG, or run the bench in a pod with a service account",
                chain(&error)
            )
        })?
    };
    if let Some(namespace) = &options.namespace {
        config.default_namespace.clone_from(namespace);
    }
    config.connect_timeout = Some(CONNECT);
    Ok(config)
}

/// Connects with a configuration.
///
/// # Errors
/// A certificate or credential cannot be used.
pub(super) fn connect(config: Config) -> Result<Client, String> {
    Client::try_from(config).map_err(|error| format!("the kubeconfig cannot be used: {}", chain(&error)))
}
