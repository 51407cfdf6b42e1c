//! Running servers.

use std::{io, net::SocketAddr, time::Duration};

#[cfg(feature = "docker")]
use super::docker::DockerLaunch;
#[cfg(feature = "kubernetes")]
use super::kubernetes::KubernetesLaunch;
use super::{Usage, process::ProcessLaunch, running::ExternalServer};

/// A running server. Dropping it kills and removes it, blocking; [`stop`](Self::stop) does so without blocking and returns errors.
pub struct Launch(Kind);

enum Kind {
    #[cfg(feature = "docker")]
    Docker(Box<DockerLaunch>),
    Process(Box<ProcessLaunch>),
    Running(ExternalServer),
    #[cfg(feature = "kubernetes")]
    Kubernetes(Box<KubernetesLaunch>),
}

/// The end of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StopInfo {
    /// Exit status if it had exited before it was stopped; 128 + n for signal n.
    pub exit: Option<i64>,
    /// Whether its memory limit killed it or one of its processes.
    pub oom_killed: bool,
}

/// The output of a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExecOutput {
    /// Exit status, if known.
    pub status: Option<i64>,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

/// A signal for a server's first process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signal {
    /// Hang up: many servers reload.
    Hup,
    /// Interrupt.
    Int,
    /// Terminate gracefully.
    Term,
    /// Kill.
    Kill,
    /// Suspend.
    Stop,
    /// Resume.
    Cont,
    /// Defined by the server.
    Usr1,
    /// Defined by the server.
    Usr2,
}

impl Signal {
    /// Returns `SIGHUP` and so on.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hup => "SIGHUP",
            Self::Int => "SIGINT",
            Self::Term => "SIGTERM",
            Self::Kill => "SIGKILL",
            Self::Stop => "SIGSTOP",
            Self::Cont => "SIGCONT",
            Self::Usr1 => "SIGUSR1",
            Self::Usr2 => "SIGUSR2",
        }
    }

    /// Returns the signal of this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        let all = [
            Self::Hup,
            Self::Int,
            Self::Term,
            Self::Kill,
            Self::Stop,
            Self::Cont,
            Self::Usr1,
            Self::Usr2,
        ];
        all.into_iter().find(|signal| signal.name() == name)
    }

    pub(crate) fn unix(self) -> rustix::process::Signal {
        use rustix::process::Signal;
        match self {
            Self::Hup => Signal::HUP,
            Self::Int => Signal::INT,
            Self::Term => Signal::TERM,
            Self::Kill => Signal::KILL,
            Self::Stop => Signal::STOP,
            Self::Cont => Signal::CONT,
            Self::Usr1 => Signal::USR1,
            Self::Usr2 => Signal::USR2,
        }
    }
}

impl Launch {
    /// Returns the address to which requests are sent.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        match &self.0 {
            #[cfg(feature = "docker")]
            Kind::Docker(launch) => launch.address(),
            Kind::Process(launch) => launch.address(),
            Kind::Running(server) => server.address(),
            #[cfg(feature = "kubernetes")]
            Kind::Kubernetes(launch) => launch.address(),
        }
    }

    /// Returns the time from the start order to the first response.
    #[must_use]
    pub fn start_up(&self) -> Duration {
        match &self.0 {
            #[cfg(feature = "docker")]
            Kind::Docker(launch) => launch.start_up(),
            Kind::Process(launch) => launch.start_up(),
            Kind::Running(server) => server.start_up(),
            #[cfg(feature = "kubernetes")]
            Kind::Kubernetes(launch) => launch.start_up(),
        }
    }

    /// Returns its pod, if it runs in a cluster.
    #[cfg(feature = "kubernetes")]
    pub(crate) fn in_cluster(&self) -> Option<&KubernetesLaunch> {
        match &self.0 {
            Kind::Kubernetes(launch) => Some(launch),
            _ => None,
        }
    }

    /// Returns its usage since its start, without awaiting. Reads a few small files (about 50 microseconds), or uses the engine's API (Docker
    /// Desktop; some milliseconds).
    ///
    /// # Errors
    /// If the server has exited, or its usage is not available.
    pub fn usage(&self) -> io::Result<Usage> {
        match &self.0 {
            #[cfg(feature = "docker")]
            Kind::Docker(launch) => launch.usage(),
            Kind::Process(launch) => launch.usage(),
            Kind::Running(server) => server.usage(),
            #[cfg(feature = "kubernetes")]
            Kind::Kubernetes(_) => Err(not_in_a_cluster("its usage is read in its own pod")),
        }
    }

    /// Whether its first process is running. As cheap as [`usage`](Self::usage).
    #[must_use]
    pub fn is_alive(&self) -> bool {
        match &self.0 {
            #[cfg(feature = "docker")]
            Kind::Docker(launch) => launch.is_alive(),
            Kind::Process(launch) => launch.is_alive(),
            Kind::Running(server) => server.is_alive(),
            #[cfg(feature = "kubernetes")]
            Kind::Kubernetes(launch) => launch.is_alive(),
        }
    }

    /// Returns the pids of its processes on this machine, empty if they are not visible here.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        match &self.0 {
            #[cfg(feature = "docker")]
            Kind::Docker(launch) => launch.pids(),
            Kind::Process(launch) => launch.pids(),
            Kind::Running(server) => server.pids(),
            #[cfg(feature = "kubernetes")]
            Kind::Kubernetes(_) => Vec::new(),
        }
    }

    /// Whether it has a network namespace of its own, in which it listens at its declared port.
    #[must_use]
    pub fn has_own_network(&self) -> bool {
        match &self.0 {
            #[cfg(feature = "docker")]
            Kind::Docker(_) => true,
            Kind::Process(_) | Kind::Running(_) => false,
            #[cfg(feature = "kubernetes")]
            Kind::Kubernetes(_) => true,
        }
    }

    /// Runs a command in the server's container, or in its environment and folder.
    ///
    /// # Errors
    /// If it cannot be started. A command that exits with an error is not an error here.
    pub async fn exec(&self, command: &[&str]) -> io::Result<ExecOutput> {
        match &self.0 {
            #[cfg(feature = "docker")]
            Kind::Docker(launch) => launch.exec(command).await,
            Kind::Process(launch) => launch.exec(command).await,
            Kind::Running(_) => Err(io::Error::new(io::ErrorKind::Unsupported, "the server is not ours")),
            #[cfg(feature = "kubernetes")]
            Kind::Kubernetes(_) => Err(not_in_a_cluster("commands in the server's container")),
        }
    }

    /// Starts a command in the server's sandbox like [`exec`](Self::exec), without waiting for it. It is killed with the server.
    ///
    /// # Errors
    /// It cannot be started.
    #[cfg_attr(
        not(feature = "docker"),
        expect(clippy::unused_async, reason = "the same signature with the feature")
    )]
    pub async fn spawn(&self, command: &[&str]) -> io::Result<()> {
        match &self.0 {
            #[cfg(feature = "docker")]
            Kind::Docker(launch) => launch.spawn(command).await,
            Kind::Process(launch) => launch.spawn(command),
            Kind::Running(_) => Err(io::Error::new(io::ErrorKind::Unsupported, "the server is not ours")),
            #[cfg(feature = "kubernetes")]
            Kind::Kubernetes(_) => Err(not_in_a_cluster("commands in the server's container")),
        }
    }

    /// Runs a command in the container of a companion.
    ///
    /// # Errors
    /// If there is no companion of this name, or the command cannot be started.
    #[cfg_attr(
        not(feature = "docker"),
        expect(clippy::unused_async, reason = "the same signature with the feature")
    )]
    pub async fn exec_in(&self, companion: &str, command: &[&str]) -> io::Result<ExecOutput> {
        match &self.0 {
            #[cfg(feature = "docker")]
            Kind::Docker(launch) => launch.exec_in(companion, command).await,
            #[cfg(feature = "kubernetes")]
            Kind::Kubernetes(_) => Err(not_in_a_cluster("commands in a companion's container")),
            Kind::Process(_) | Kind::Running(_) => {
                let _ = command;
                Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    format!("companion `{companion}` not found: companions need the docker sandbox"),
                ))
            }
        }
    }

    /// Returns the usage of each companion since its start, by name, except for companions whose usage is not available.
    #[must_use]
    pub fn companion_usage(&self) -> Vec<(String, Usage)> {
        match &self.0 {
            #[cfg(feature = "docker")]
            Kind::Docker(launch) => launch.companion_usage(),
            Kind::Process(_) | Kind::Running(_) => Vec::new(),
            #[cfg(feature = "kubernetes")]
            Kind::Kubernetes(_) => Vec::new(),
        }
    }

    /// Sends a signal to its first process.
    ///
    /// # Errors
    /// If the process has exited, or was not started by the harness.
    #[cfg_attr(
        not(feature = "docker"),
        expect(clippy::unused_async, reason = "the same signature with the feature")
    )]
    pub async fn signal(&self, signal: Signal) -> io::Result<()> {
        match &self.0 {
            #[cfg(feature = "docker")]
            Kind::Docker(launch) => launch.signal(signal).await,
            Kind::Process(launch) => launch.signal(signal),
            Kind::Running(_) => Err(io::Error::new(io::ErrorKind::Unsupported, "the server is not ours")),
            #[cfg(feature = "kubernetes")]
            Kind::Kubernetes(_) => Err(not_in_a_cluster("signals")),
        }
    }

    /// Whether [`restart`](Self::restart) is supported: in containers it is.
    #[must_use]
    pub fn can_restart(&self) -> bool {
        match &self.0 {
            #[cfg(feature = "docker")]
            Kind::Docker(_) => true,
            Kind::Process(_) | Kind::Running(_) => false,
            #[cfg(feature = "kubernetes")]
            Kind::Kubernetes(_) => false,
        }
    }

    /// Stops it gracefully (killed after 10 s) and starts it again in the same container, at the same address. Returns when the process
    /// has been started, not when it responds. Its usage starts again from zero.
    ///
    /// # Errors
    /// If it is not a container, cannot be started again, or has another address afterwards.
    #[cfg_attr(
        not(feature = "docker"),
        expect(clippy::unused_async, reason = "the same signature with the feature")
    )]
    pub async fn restart(&self) -> io::Result<()> {
        match &self.0 {
            #[cfg(feature = "docker")]
            Kind::Docker(launch) => launch.restart().await,
            #[cfg(feature = "kubernetes")]
            Kind::Kubernetes(_) => Err(not_in_a_cluster("restarts")),
            Kind::Process(_) | Kind::Running(_) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "only a server in a container can be restarted",
            )),
        }
    }

    /// Kills it, writes its output to its log, and removes it. An external server is not touched.
    ///
    /// # Errors
    /// If its log cannot be written; the server is removed nevertheless.
    pub async fn stop(self) -> io::Result<StopInfo> {
        match self.0 {
            #[cfg(feature = "docker")]
            Kind::Docker(launch) => launch.stop().await,
            Kind::Process(launch) => Ok(launch.stop().await),
            Kind::Running(_) => Ok(StopInfo::default()),
            #[cfg(feature = "kubernetes")]
            Kind::Kubernetes(launch) => launch.stop().await,
        }
    }
}

/// The error of an operation that is not supported in a cluster.
#[cfg(feature = "kubernetes")]
fn not_in_a_cluster(what: &str) -> io::Error {
    let text = format!("{what}: not supported with --sandbox kubernetes");
    io::Error::new(io::ErrorKind::Unsupported, text)
}

#[cfg(feature = "kubernetes")]
impl From<KubernetesLaunch> for Launch {
    fn from(launch: KubernetesLaunch) -> Self {
        Self(Kind::Kubernetes(Box::new(launch)))
    }
}

#[cfg(feature = "docker")]
impl From<DockerLaunch> for Launch {
    fn from(launch: DockerLaunch) -> Self {
        Self(Kind::Docker(Box::new(launch)))
    }
}

impl From<ProcessLaunch> for Launch {
    fn from(launch: ProcessLaunch) -> Self {
        Self(Kind::Process(Box::new(launch)))
    }
}

impl From<ExternalServer> for Launch {
    fn from(server: ExternalServer) -> Self {
        Self(Kind::Running(server))
    }
}
