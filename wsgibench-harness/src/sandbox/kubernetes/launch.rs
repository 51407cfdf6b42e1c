//! A server's pod: start, readiness and end.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    time::Duration,
};

use super::{
    manifest::{OBSERVER, SERVER, ServerShape},
    pods::{Ended, containers, ended, is_running, start_error},
    role::{PodRole, READY},
    run::ClusterRun,
};
use crate::{
    declare::ServerSpec,
    sandbox::{
        LaunchError, PreparedServer, StopInfo,
        context::SandboxContext,
        docker::write_log,
        error::{SHOWN_LINES, last_lines},
    },
};

/// Time for a pod to be scheduled and its containers to be created, besides the server's own start.
const SCHEDULED_WITHIN: Duration = Duration::from_secs(120);
/// Time for a companion to run.
const COMPANION_WITHIN: Duration = Duration::from_secs(120);
/// Interval between looks for readiness.
const LOOK: Duration = Duration::from_millis(200);
/// Time for an answer of the API server where the caller cannot wait longer.
const ANSWER: Duration = Duration::from_secs(5);

/// A server that runs in a pod and has responded.
pub(crate) struct KubernetesLaunch {
    run: Arc<ClusterRun>,
    pod: String,
    companions: Vec<String>,
    node: String,
    address: SocketAddr,
    start_up: Duration,
    log: PathBuf,
}

/// Failure of a server to become ready.
enum NotStarted {
    Failed(String),
    Died(Ended),
    Late,
}

pub(super) async fn launch(
    run: &Arc<ClusterRun>,
    prepared: &PreparedServer,
    context: &SandboxContext,
    log: &Path,
) -> Result<KubernetesLaunch, LaunchError> {
    let spec = &clamped(&prepared.spec, run.server_node, context);
    let pod = run.new_name(&spec.name);
    let failed = |reason: String| LaunchError::not_started(&spec.name, reason);
    let mut starting = Starting {
        run: Arc::clone(run),
        pods: Vec::new(),
        armed: true,
    };
    let mut hosts = Vec::new();
    for (companion, image) in spec.companions.iter().zip(&prepared.companions) {
        let name = run.new_name(&companion.name);
        let object = run.shape.companion(&name, companion, image, &hosts);
        starting.pods.push(name.clone());
        let pods = run.pods.clone();
        let running = run
            .background(async move {
                pods.create(&object).await?;
                pods.running(&name, COMPANION_WITHIN).await
            })
            .await
            .map_err(|error| failed(format!("companion `{}`: {error}", companion.name)))?;
        let address = running.status.and_then(|status| status.pod_ip).unwrap_or_default();
        hosts.push((companion.name.clone(), address));
    }
    let role = PodRole::Observer {
        token: run.token().to_owned(),
        coordinator: run.coordinator_address,
        pod: pod.clone(),
        spec: Box::new(spec.clone()),
    };
    let shape = ServerShape {
        spec,
        image: &prepared.image,
        hosts: &hosts,
    };
    let object = run.shape.server(&pod, &shape, &role).map_err(failed)?;
    starting.pods.push(pod.clone());
    let within = spec.ready_within;
    let (of_run, name) = (Arc::clone(run), pod.clone());
    let started = run
        .background(async move {
            of_run.pods.create(&object).await?;
            Ok(Box::pin(until_ready(&of_run, &name, within)).await)
        })
        .await
        .map_err(failed)?;
    let (address, node, start_up) = match started {
        Ok((address, node, start_up)) => (SocketAddr::new(address, spec.port), node, start_up),
        Err(why) => return Err(not_started(run, spec, &pod, why, log).await),
    };
    starting.armed = false;
    let mut companions = std::mem::take(&mut starting.pods);
    companions.retain(|name| *name != pod);
    Ok(KubernetesLaunch {
        run: Arc::clone(run),
        pod,
        companions,
        node,
        address,
        start_up,
        log: log.to_owned(),
    })
}

/// Pods of a launch that is not complete; removed when dropped.
struct Starting {
    run: Arc<ClusterRun>,
    pods: Vec<String>,
    armed: bool,
}

impl Drop for Starting {
    fn drop(&mut self) {
        if self.armed {
            remove_pods(&self.run, std::mem::take(&mut self.pods));
        }
    }
}

fn remove_pods(run: &Arc<ClusterRun>, names: Vec<String>) {
    let pods = run.pods.clone();
    run.handle().spawn(async move {
        for name in names {
            let _ = pods.delete(&name).await;
        }
    });
}

/// Returns the server with limits that its node has.
fn clamped(spec: &ServerSpec, node: Option<(u64, u64)>, context: &SandboxContext) -> ServerSpec {
    let mut spec = spec.clone();
    let Some((cpu, memory)) = node else { return spec };
    // The observer's share.
    let cpus = usize::try_from((cpu.saturating_sub(50)) / 1_000).unwrap_or(1).max(1);
    if spec.limits.cpus > cpus {
        context.notice(
            &spec.name,
            &format!("CPUs clamped from {} to {cpus}: its node has no more", spec.limits.cpus),
        );
        spec.limits.cpus = cpus;
    }
    let memory = memory.saturating_sub(256 << 20);
    if spec.limits.memory > memory {
        context.notice(
            &spec.name,
            &format!(
                "memory clamped from {} to {} MiB: its node has no more",
                spec.limits.memory >> 20,
                memory >> 20
            ),
        );
        spec.limits.memory = memory;
    }
    spec
}

/// Waits until the observer reports that the server responds.
async fn until_ready(
    run: &Arc<ClusterRun>,
    pod: &str,
    within: Duration,
) -> Result<(std::net::IpAddr, String, Duration), NotStarted> {
    let scheduled = run.pods.until(pod, SCHEDULED_WITHIN, async |pod| {
        let all = containers(&pod);
        (all.len() == 2 && all.iter().all(|status| is_running(status) || ended(status).is_some())).then_some(())
    });
    let mut last = scheduled.await;
    let deadline = tokio::time::Instant::now() + within + Duration::from_secs(10);
    loop {
        let found = run.pods.get(pod).await.map_err(NotStarted::Failed)?;
        let Some(found) = found else {
            return Err(NotStarted::Failed("its pod was deleted while it started".to_owned()));
        };
        let of_pod = containers(&found);
        let mut servers = of_pod.iter().filter(|status| status.name == SERVER);
        if let Some(error) = servers.clone().find_map(start_error) {
            return Err(NotStarted::Failed(error));
        }
        if let Some(how) = servers.find_map(ended) {
            return Err(NotStarted::Died(how));
        }
        if let Err(error) = last {
            return Err(NotStarted::Failed(error));
        }
        last = Ok(());
        let output = run.pods.log(pod, OBSERVER).await;
        let output = String::from_utf8_lossy(&output);
        if let Some(ms) = output
            .lines()
            .find_map(|line| line.strip_prefix(READY)?.trim().parse::<u64>().ok())
        {
            let status = found.status.unwrap_or_default();
            let address = status.pod_ip.and_then(|address| address.parse().ok());
            let Some(address) = address else {
                return Err(NotStarted::Failed("its pod has no address".to_owned()));
            };
            let node = found.spec.and_then(|spec| spec.node_name).unwrap_or_default();
            return Ok((address, node, Duration::from_millis(ms)));
        }
        if containers(&found).iter().any(|status| ended(status).is_some()) {
            return Err(NotStarted::Failed(format!(
                "the container that observes it ended; {}",
                crate::sandbox::error::output_text(&last_lines(output.as_bytes(), SHOWN_LINES))
            )));
        }
        if tokio::time::Instant::now() > deadline {
            return Err(NotStarted::Late);
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn not_started(run: &Arc<ClusterRun>, spec: &ServerSpec, pod: &str, why: NotStarted, log: &Path) -> LaunchError {
    let (pods, name) = (run.pods.clone(), pod.to_owned());
    let output = run
        .background(async move { Ok(pods.log(&name, SERVER).await) })
        .await
        .unwrap_or_default();
    let _ = write_log(log, &output);
    let last_lines = last_lines(&output, SHOWN_LINES);
    match why {
        NotStarted::Failed(reason) => LaunchError::not_started(&spec.name, reason),
        NotStarted::Died(how) => LaunchError::Died {
            server: spec.name.clone(),
            exit: Some(how.exit),
            oom_killed: how.oom_killed,
            last_lines,
        },
        NotStarted::Late => LaunchError::NotReady {
            server: spec.name.clone(),
            within: spec.ready_within,
            last: "no response on the pod's own address; make it listen on {host} and on the port of `Server::port`"
                .to_owned(),
            last_lines,
        },
    }
}

impl KubernetesLaunch {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn start_up(&self) -> Duration {
        self.start_up
    }

    /// The run that it belongs to.
    pub(crate) fn run(&self) -> &Arc<ClusterRun> {
        &self.run
    }

    /// The name of its pod.
    pub(crate) fn pod(&self) -> &str {
        &self.pod
    }

    /// The node on which it runs.
    pub(crate) fn node(&self) -> &str {
        &self.node
    }

    /// Whether its container is running; also where the API server does not answer.
    pub(crate) fn is_alive(&self) -> bool {
        let (pods, pod) = (self.run.pods.clone(), self.pod.clone());
        let (answer, answered) = mpsc::channel();
        self.run.handle().spawn(async move {
            let _ = answer.send(pods.get(&pod).await);
        });
        match answered.recv_timeout(ANSWER) {
            Ok(Ok(Some(pod))) => containers(&pod)
                .iter()
                .any(|status| status.name == SERVER && is_running(status)),
            Ok(Ok(None)) => false,
            Ok(Err(_)) | Err(_) => true,
        }
    }

    /// Writes its output to its log, and removes its pods.
    pub(crate) async fn stop(mut self) -> io::Result<StopInfo> {
        let (pods, pod) = (self.run.pods.clone(), self.pod.clone());
        let ended = self
            .run
            .background(async move {
                let output = pods.log(&pod, SERVER).await;
                let found = pods.get(&pod).await?;
                let how = found.and_then(|pod| {
                    let all = containers(&pod);
                    all.iter().filter(|status| status.name == SERVER).find_map(ended)
                });
                Ok((output, how))
            })
            .await;
        let names: Vec<String> = std::mem::take(&mut self.companions)
            .into_iter()
            .chain([self.pod.clone()])
            .collect();
        let pods = self.run.pods.clone();
        let removed = self
            .run
            .background(async move {
                for name in names {
                    pods.delete(&name).await?;
                }
                Ok(())
            })
            .await;
        let (output, how) = ended.map_err(io::Error::other)?;
        write_log(&self.log, &output)?;
        removed.map_err(io::Error::other)?;
        let info = how.map_or(StopInfo::default(), |how| StopInfo {
            exit: Some(how.exit),
            oom_killed: how.oom_killed,
        });
        Ok(info)
    }
}

impl Drop for KubernetesLaunch {
    fn drop(&mut self) {
        let names = std::mem::take(&mut self.companions)
            .into_iter()
            .chain([self.pod.clone()]);
        remove_pods(&self.run, names.collect());
    }
}
