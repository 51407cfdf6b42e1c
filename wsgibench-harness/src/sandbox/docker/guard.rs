//! Containers that are removed on every exit path.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use testcontainers::{
    ContainerAsync, ContainerRequest, GenericImage, ImageExt, TestcontainersError,
    bollard::query_parameters::LogsOptionsBuilder,
    core::{ExecCommand, IntoContainerPort, error::ClientError},
    runners::AsyncRunner,
};

use super::{
    blocking,
    engine::{Engine, reason},
    network::Route,
    orphan_cleanup,
};
use crate::sandbox::{ExecOutput, owner::Owner};

/// Label of one launch's containers.
const LAUNCH_LABEL: &str = "wsgibench.launch";

/// A container that is removed on every exit path, also if its start fails or is cancelled.
pub(super) struct Guarded {
    engine: Engine,
    /// Value of its [`LAUNCH_LABEL`], by which it is found if there is no handle to it.
    launch: String,
    container: Option<ContainerAsync<GenericImage>>,
    /// File for its output if it is dropped without [`remove`](Self::remove).
    pub(super) log: Option<PathBuf>,
    state: State,
}

/// State of a container's creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The request was sent, and the engine has not responded.
    Ordered,
    /// The engine responded: a container exists, possibly one whose start failed.
    Answered,
    Removed,
}

/// Time for which a cancelled container is looked for: the engine completes a request after its client disconnects.
const CANCELLED_FOR: Duration = Duration::from_secs(3);

/// Time for which a failed listing is retried.
const FAILED_LISTING_FOR: Duration = Duration::from_secs(10);

impl Guarded {
    /// Starts a container.
    pub(super) async fn start(engine: &Engine, request: ContainerRequest<GenericImage>) -> Result<Self, String> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        if orphan_cleanup::is_closing() {
            return Err("the run is shutting down".into());
        }
        let launch = format!("{}#{}", Owner::this(), COUNT.fetch_add(1, Ordering::Relaxed));
        let mut guarded = Self {
            engine: engine.clone(),
            launch: launch.clone(),
            container: None,
            log: None,
            state: State::Ordered,
        };
        let answer = request.with_label(LAUNCH_LABEL, launch).start().await;
        guarded.state = State::Answered;
        let container = answer.map_err(|error| start_error(&error))?;
        guarded.container = Some(container);
        Ok(guarded)
    }

    /// Returns its id.
    pub(super) fn id(&self) -> &str {
        self.container.as_ref().map_or("", |container| container.id())
    }

    /// Returns the address at which it is reachable from here.
    pub(super) async fn address(&self, route: Route, port: u16) -> Result<SocketAddr, String> {
        let container = self.container()?;
        match route {
            Route::Bridge => {
                let ip = container
                    .get_bridge_ip_address()
                    .await
                    .map_err(|error| error.to_string())?;
                Ok(SocketAddr::new(ip, port))
            }
            Route::PublishedPort => {
                let host = container
                    .get_host()
                    .await
                    .map_err(|error| error.to_string())?
                    .to_string();
                let port = container
                    .get_host_port_ipv4(port.tcp())
                    .await
                    .map_err(|error| error.to_string())?;
                let mut found = tokio::net::lookup_host((host.as_str(), port))
                    .await
                    .map_err(|error| error.to_string())?;
                found
                    .find(SocketAddr::is_ipv4)
                    .ok_or_else(|| format!("{host} has no IPv4 address"))
            }
        }
    }

    /// Runs a command in the container.
    pub(super) async fn exec(&self, command: &[&str]) -> Result<ExecOutput, String> {
        let command = ExecCommand::new(command.iter().copied());
        let mut result = self
            .container()?
            .exec(command)
            .await
            .map_err(|error| error.to_string())?;
        let stdout = result.stdout_to_vec().await.map_err(|error| error.to_string())?;
        let stderr = result.stderr_to_vec().await.map_err(|error| error.to_string())?;
        let status = result.exit_code().await.map_err(|error| error.to_string())?;
        Ok(ExecOutput { status, stdout, stderr })
    }

    /// Returns all its output, both streams in order.
    pub(super) async fn output(&self) -> Vec<u8> {
        output(&self.engine, self.id()).await
    }

    /// Removes the container, and kills it first if it is running.
    pub(super) async fn remove(mut self) {
        if let Some(container) = self.container.take()
            && container.rm().await.is_ok()
        {
            self.state = State::Removed;
        }
    }

    fn container(&self) -> Result<&ContainerAsync<GenericImage>, String> {
        self.container
            .as_ref()
            .ok_or_else(|| "the container was not started".to_owned())
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if self.state == State::Removed {
            return;
        }
        let (engine, launch) = (self.engine.clone(), std::mem::take(&mut self.launch));
        let (container, log, state) = (self.container.take(), self.log.take(), self.state);
        blocking::run(async move {
            if let (Some(container), Some(log)) = (&container, log) {
                let _ = write_log(&log, &output(&engine, container.id()).await);
            }
            // testcontainers needs a runtime to drop its handle; the guard may be dropped outside of one.
            drop(container);
            // A failed or cancelled start leaves a container without a handle.
            let begun = Instant::now();
            let until = begun
                + if state == State::Ordered {
                    CANCELLED_FOR
                } else {
                    Duration::ZERO
                };
            loop {
                let swept = orphan_cleanup::sweep(&engine, LAUNCH_LABEL, |label| label == launch).await;
                let now = Instant::now();
                match swept {
                    Ok(0) if now < until => {}
                    // A failed listing does not prove that no container is left.
                    Err(_) if now < until.max(begun + FAILED_LISTING_FOR) => {}
                    Ok(_) | Err(_) => break,
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
    }
}

async fn output(engine: &Engine, id: &str) -> Vec<u8> {
    let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail("all").build();
    let mut stream = std::pin::pin!(engine.api.logs(id, Some(options)));
    let mut output = Vec::new();
    while let Some(Ok(piece)) = stream.next().await {
        output.extend_from_slice(&piece.into_bytes());
    }
    output
}

/// Writes a launch's output to its file.
pub(crate) fn write_log(log: &Path, output: &[u8]) -> io::Result<()> {
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(log, output).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", log.display())))
}

fn start_error(error: &TestcontainersError) -> String {
    match error {
        TestcontainersError::Client(
            ClientError::StartContainer(error) | ClientError::CreateContainer(error) | ClientError::Init(error),
        ) => reason(error),
        error => error.to_string(),
    }
}
