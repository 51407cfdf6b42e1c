//! Start, readiness and stop of a server's container.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock, RwLockReadGuard},
    time::{Duration, Instant},
};

use testcontainers::bollard::{
    exec::StartExecOptions,
    models::ExecConfig,
    query_parameters::{InspectContainerOptions, KillContainerOptionsBuilder, RestartContainerOptionsBuilder},
};
use tokio::sync::Mutex;

use super::{
    DockerSandbox,
    companion::{self, RunningCompanion},
    container::{self, Shape},
    container_stats::{self, ContainerStats},
    engine::{Engine, reason},
    guard::{Guarded, write_log},
    network::Route,
};
use crate::{
    declare::ServerSpec,
    sandbox::{
        ExecOutput, LaunchError, PreparedServer, Signal, StopInfo, Usage,
        error::{SHOWN_LINES, last_lines},
        ready::{self, NotReady},
    },
};

/// Grace period, in seconds, before a server that is restarted is killed.
const RESTART_GRACE: i32 = 10;

/// The highest descriptor limit that the engine grants, set after it has refused one.
#[derive(Debug, Default)]
pub(super) struct DescriptorLimit(Mutex<Option<u64>>);

/// A server that runs in a container and has responded.
pub(crate) struct DockerLaunch {
    engine: Engine,
    server: Guarded,
    /// Removed after the server.
    companions: Vec<RunningCompanion>,
    address: SocketAddr,
    start_up: Duration,
    /// Replaced after a restart.
    stats: RwLock<ContainerStats>,
    route: Route,
    port: u16,
    log: PathBuf,
}

pub(super) async fn launch(
    sandbox: &DockerSandbox,
    prepared: &PreparedServer,
    log: &Path,
) -> Result<DockerLaunch, LaunchError> {
    let spec = &prepared.spec;
    let fail = |reason: String| LaunchError::not_started(&spec.name, reason);
    let (companions, hosts) = companion::start_all(sandbox, spec, &prepared.companions)
        .await
        .map_err(fail)?;

    let order = Instant::now();
    let mut server = start_server(sandbox, prepared, &hosts)
        .await
        .map_err(|reason| fail(no_program(reason)))?;
    server.log = Some(log.to_owned());
    let state = inspect(&sandbox.engine, server.id()).await.map_err(fail)?;
    let container_stats =
        ContainerStats::open(&sandbox.engine, server.id(), state.pid).map_err(|error| fail(error.to_string()))?;
    let address = match server.address(sandbox.network.route, spec.port).await {
        Ok(address) => Ok(address),
        // A container that has exited has no address; its exit status is the error to report.
        Err(_) if !state.running || !container_stats.is_alive() => Err(NotReady::Died),
        Err(error) => return Err(fail(error)),
    };
    let mut launch = DockerLaunch {
        engine: sandbox.engine.clone(),
        server,
        companions,
        address: address.clone().unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0))),
        start_up: Duration::ZERO,
        stats: RwLock::new(container_stats),
        route: sandbox.network.route,
        port: spec.port,
        log: log.to_owned(),
    };
    let deadline = order + spec.ready_within;
    let outcome = match address {
        Ok(address) => ready::wait_until_ready(spec, address, deadline, || launch.is_alive()).await,
        Err(died) => Err(died),
    };
    launch.start_up = order.elapsed();
    match outcome {
        Ok(()) => Ok(launch),
        Err(why) => Err(launch.explain(spec, why).await),
    }
}

/// Replaces the engine's long message about a missing program by a short one with the remedy.
fn no_program(reason: String) -> String {
    let missing = ["executable file not found", "no such file or directory"];
    if reason.contains("exec: ") && missing.iter().any(|text| reason.contains(text)) {
        format!(
            "the program of its command was not found in its image ({reason}); correct the command, or install the program"
        )
    } else {
        reason
    }
}

/// Starts the container. If the engine refuses the requested descriptor limit, it is reduced to the engine's own.
async fn start_server(
    sandbox: &DockerSandbox,
    prepared: &PreparedServer,
    hosts: &[companion::Name],
) -> Result<Guarded, String> {
    let spec = &prepared.spec;
    let start = async |descriptors| {
        let shape = Shape {
            image: &prepared.image,
            network: &sandbox.network,
            descriptors,
            hosts,
            instrument: prepared.instrument.as_ref(),
        };
        Guarded::start(&sandbox.engine, container::server(&sandbox.context, spec, &shape)).await
    };
    let granted = *sandbox.descriptors.0.lock().await;
    let asked = granted.map_or(spec.limits.descriptors, |most| most.min(spec.limits.descriptors));
    match start(Some(asked)).await {
        Err(error) if granted.is_none() && error.contains("rlimit") => {
            let most = hard_limit(&sandbox.engine, start(None).await?).await?;
            *sandbox.descriptors.0.lock().await = Some(most);
            sandbox.context.notice(
                "",
                &format!(
                    "the descriptor limit of servers is clamped from {asked} to {most}, the engine's own limit; raise LimitNOFILE of \
                     the engine's service"
                ),
            );
            start(Some(most.min(asked))).await
        }
        outcome => outcome,
    }
}

/// Returns the hard descriptor limit of a container that was started without one.
async fn hard_limit(engine: &Engine, probe: Guarded) -> Result<u64, String> {
    let state = inspect(engine, probe.id()).await?;
    let limits = match container_stats::local_pid(probe.id(), state.pid) {
        Some(pid) => fs::read_to_string(format!("/proc/{pid}/limits")).map_err(|error| error.to_string())?,
        None => String::from_utf8_lossy(&probe.exec(&["cat", "/proc/1/limits"]).await?.stdout).into_owned(),
    };
    probe.remove().await;
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    line.and_then(|line| line.split_ascii_whitespace().nth(4)?.parse().ok())
        .ok_or_else(|| {
            "the engine refused the descriptor limit and does not report its own; lower Limits::descriptors".to_owned()
        })
}

/// State of a container's first process as reported by the engine.
struct State {
    pid: Option<i64>,
    running: bool,
    exit: Option<i64>,
    oom_killed: bool,
}

async fn inspect(engine: &Engine, id: &str) -> Result<State, String> {
    let container = engine
        .api
        .inspect_container(id, None::<InspectContainerOptions>)
        .await
        .map_err(|error| reason(&error))?;
    let state = container.state.unwrap_or_default();
    Ok(State {
        pid: state.pid,
        running: state.running.unwrap_or(false),
        exit: state.exit_code,
        oom_killed: state.oom_killed.unwrap_or(false),
    })
}

impl DockerLaunch {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn start_up(&self) -> Duration {
        self.start_up
    }

    pub(crate) fn usage(&self) -> io::Result<Usage> {
        self.stats().usage()
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.stats().is_alive()
    }

    pub(crate) fn pids(&self) -> Vec<u32> {
        self.stats().pids()
    }

    pub(crate) async fn exec(&self, command: &[&str]) -> io::Result<ExecOutput> {
        self.server.exec(command).await.map_err(io::Error::other)
    }

    pub(crate) async fn spawn(&self, command: &[&str]) -> io::Result<()> {
        let failed = |error| io::Error::other(reason(&error));
        let options = ExecConfig {
            cmd: Some(command.iter().map(|word| (*word).to_owned()).collect()),
            ..ExecConfig::default()
        };
        let exec = self
            .engine
            .api
            .create_exec(self.server.id(), options)
            .await
            .map_err(failed)?;
        let detached = StartExecOptions {
            detach: true,
            ..StartExecOptions::default()
        };
        self.engine
            .api
            .start_exec(&exec.id, Some(detached))
            .await
            .map_err(failed)?;
        Ok(())
    }

    pub(crate) async fn exec_in(&self, companion: &str, command: &[&str]) -> io::Result<ExecOutput> {
        let Some(found) = self.companions.iter().find(|one| one.name == companion) else {
            let names: Vec<&str> = self.companions.iter().map(|one| one.name.as_str()).collect();
            let known = if names.is_empty() {
                "the server has none".to_owned()
            } else {
                format!("the server has {}", names.join(", "))
            };
            let text = format!("companion `{companion}` not found; {known}");
            return Err(io::Error::new(io::ErrorKind::NotFound, text));
        };
        found.container.exec(command).await.map_err(io::Error::other)
    }

    pub(crate) fn companion_usage(&self) -> Vec<(String, Usage)> {
        self.companions
            .iter()
            .filter_map(|one| Some((one.name.clone(), one.stats.usage().ok()?)))
            .collect()
    }

    pub(crate) async fn signal(&self, signal: Signal) -> io::Result<()> {
        let options = KillContainerOptionsBuilder::new().signal(signal.name()).build();
        let sent = self.engine.api.kill_container(self.server.id(), Some(options)).await;
        sent.map_err(|error| io::Error::other(reason(&error)))
    }

    fn stats(&self) -> RwLockReadGuard<'_, ContainerStats> {
        self.stats.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops the container and starts it again.
    pub(crate) async fn restart(&self) -> io::Result<()> {
        let options = RestartContainerOptionsBuilder::new().t(RESTART_GRACE).build();
        let restarted = self.engine.api.restart_container(self.server.id(), Some(options)).await;
        restarted.map_err(|error| io::Error::other(reason(&error)))?;
        let state = inspect(&self.engine, self.server.id())
            .await
            .map_err(io::Error::other)?;
        let container_stats = ContainerStats::open(&self.engine, self.server.id(), state.pid)?;
        *self.stats.write().unwrap_or_else(PoisonError::into_inner) = container_stats;
        let address = self
            .server
            .address(self.route, self.port)
            .await
            .map_err(io::Error::other)?;
        if address == self.address {
            Ok(())
        } else {
            Err(io::Error::other(format!(
                "the server has another address after its restart ({address} for {}), so the load cannot reach it",
                self.address
            )))
        }
    }

    /// Kills the container, writes its output to its log, and removes it with its companions.
    pub(crate) async fn stop(self) -> io::Result<StopInfo> {
        let (info, output) = self.end().await;
        let written = write_log(&self.log, &output);
        self.server.remove().await;
        for companion in self.companions {
            companion.container.remove().await;
        }
        written.map(|()| info)
    }

    /// Kills the container; returns how it ended and all its output.
    async fn end(&self) -> (StopInfo, Vec<u8>) {
        let oom_kills = self.usage().map_or(0, |usage| usage.oom_kills);
        let mut state = inspect(&self.engine, self.server.id()).await;
        // The engine notices an exit later than the kernel does, especially on a busy machine.
        for _ in 0..100 {
            if self.is_alive() || !state.as_ref().is_ok_and(|state| state.running) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            state = inspect(&self.engine, self.server.id()).await;
        }
        let running = state.as_ref().is_ok_and(|state| state.running);
        if running {
            let _ = self.signal(Signal::Kill).await;
        }
        let info = state.map_or(StopInfo::default(), |state| StopInfo {
            exit: state.exit.filter(|_| !running),
            oom_killed: state.oom_killed || oom_kills > 0,
        });
        (info, self.server.output().await)
    }

    /// Removes a server that did not become ready, and returns the error with the reason.
    async fn explain(self, spec: &ServerSpec, why: NotReady) -> LaunchError {
        let (info, output) = self.end().await;
        let last_lines = last_lines(&output, SHOWN_LINES);
        why.into_error(
            spec,
            &info,
            last_lines,
            "make it listen on {host} (0.0.0.0; 127.0.0.1 is not reachable from outside the container) and on the port of `Server::port`",
        )
    }
}
