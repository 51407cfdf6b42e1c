//! Start, readiness and stop of a server in a process group.

use std::{
    ffi::OsString,
    fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rustix::process::{WaitId, WaitIdOptions, WaitIdStatus, waitid};
use tokio::task::spawn_blocking;

use super::{
    environment, limits,
    process_cleanup::{LAUNCH_VARIABLE, LaunchResources},
};
use crate::{
    declare::ServerSpec,
    sandbox::{
        ExecOutput, LaunchError, PreparedServer, Signal, StopInfo, Usage,
        cgroup::Cgroup,
        context::SandboxContext,
        error::{SHOWN_LINES, last_lines},
        expand_placeholders, group,
        instrument::HOME,
        owner::{Owner, VARIABLE},
        ready::{self, NotReady},
        temp::TempFolder,
        tree,
    },
};

/// Waits for a line before it executes the server, so that limits apply from the server's first instruction.
const GATE: &str = "read -r _ && exec \"$@\" </dev/null";

/// A server that runs as a process group and has responded.
pub(crate) struct ProcessLaunch {
    child: Mutex<Child>,
    pid: u32,
    address: SocketAddr,
    start_up: Duration,
    meter: Meter,
    resources: Arc<LaunchResources>,
    environment: Vec<(OsString, OsString)>,
    directory: PathBuf,
    log: PathBuf,
    /// Its home folder; removed after it.
    _home: TempFolder,
}

/// The source of its resource usage.
#[derive(Debug)]
enum Meter {
    Cgroup(Cgroup),
    /// Sums over the process tree.
    Tree,
}

pub(super) async fn launch(
    context: &Arc<SandboxContext>,
    prepared: &PreparedServer,
    log: &Path,
) -> Result<ProcessLaunch, LaunchError> {
    let spec = &prepared.spec;
    let order = Instant::now();
    let started = {
        let (context, prepared, log) = (Arc::clone(context), prepared.clone(), log.to_owned());
        // It writes files, and waits for processes to end where it fails.
        spawn_blocking(move || start(&context, &prepared, &log)).await
    };
    let mut launch = started
        .unwrap_or_else(|error| Err(error.to_string()))
        .map_err(|reason| LaunchError::not_started(&spec.name, reason))?;
    let deadline = order + spec.ready_within;
    let outcome = ready::wait_until_ready(spec, launch.address, deadline, || launch.is_alive()).await;
    launch.start_up = order.elapsed();
    match outcome {
        Ok(()) => Ok(launch),
        Err(why) => Err(launch.explain(spec, why).await),
    }
}

fn start(context: &SandboxContext, prepared: &PreparedServer, log: &Path) -> Result<ProcessLaunch, String> {
    let spec = &prepared.spec;
    let venv = prepared
        .environment
        .as_deref()
        .ok_or("the server was prepared for another sandbox")?;
    let port = port(spec)?;
    let tool = prepared
        .instrument
        .as_ref()
        .map_or(&[] as &[String], |tool| &tool.command);
    let home =
        TempFolder::create(&context.folder("tmp"), "home").map_err(|error| format!("temporary folder: {error}"))?;
    let own = spec
        .command
        .iter()
        .map(|word| expand_placeholders(word, "127.0.0.1", port));
    let words: Vec<String> = tool
        .iter()
        .map(|word| word.replace(HOME, &home.root().display().to_string()))
        .chain(own)
        .collect();
    let token = format!("{}#{}", Owner::this(), home.root().display());
    let environment = variables(spec, venv, &home.root(), port, &token);
    let directory = directory(spec);

    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let output = fs::File::create(log).map_err(|error| format!("{}: {error}", log.display()))?;
    let errors = output.try_clone().map_err(|error| error.to_string())?;
    let mut child = Command::new("/bin/sh")
        .args(["-c", GATE, "sh"])
        .args(&words)
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .current_dir(&directory)
        .stdin(Stdio::piped())
        .stdout(output)
        .stderr(errors)
        .process_group(0)
        .spawn()
        .map_err(|error| error.to_string())?;
    let pid = child.id();
    // From here on the handle kills it on every exit path.
    let (meter, cgroups) = limit(context, prepared, pid);
    let gate = child.stdin.take();
    let launch = ProcessLaunch {
        child: Mutex::new(child),
        pid,
        address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port),
        start_up: Duration::ZERO,
        meter,
        resources: LaunchResources {
            token,
            group: pid,
            cgroups,
            cleared: Mutex::new(false),
        }
        .keep(),
        environment,
        directory,
        log: log.to_owned(),
        _home: home,
    };
    let opened = gate
        .ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe))
        .and_then(|mut gate| {
            use io::Write;
            gate.write_all(b"\n")
        });
    opened.map_err(|error| format!("its shell exited at once: {error}"))?;
    Ok(launch)
}

/// Returns a free port for `{port}`; a fixed port in the command must be free.
fn port(spec: &ServerSpec) -> Result<u16, String> {
    let chooses = spec
        .command
        .iter()
        .chain(spec.env.iter().map(|(_, value)| value))
        .any(|word| word.contains("{port}"));
    let wanted = if chooses { 0 } else { spec.port };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, wanted)).map_err(|error| {
        format!("port {wanted} is not free ({error}); write {{port}} in its command to use a free one")
    })?;
    listener
        .local_addr()
        .map(|address| address.port())
        .map_err(|error| error.to_string())
}

/// Returns the environment variables that the suite's images set, with this machine's folders.
fn variables(spec: &ServerSpec, venv: &Path, home: &Path, port: u16, token: &str) -> Vec<(OsString, OsString)> {
    let home = home.display().to_string();
    let own = [
        ("PATH", environment::search_path(venv)),
        ("PYTHONPATH", environment::module_path(spec)),
        ("HOME", home.clone()),
        ("TMPDIR", home),
        ("LANG", "C.UTF-8".into()),
        ("PYTHONDONTWRITEBYTECODE", "1".into()),
        ("PYTHONUNBUFFERED", "1".into()),
        ("PYTHONHASHSEED", "0".into()),
        (VARIABLE, Owner::this().to_string()),
        (LAUNCH_VARIABLE, token.to_owned()),
    ];
    let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
    let theirs = spec
        .env
        .iter()
        .map(|(name, value)| (name.clone(), expand_placeholders(value, "127.0.0.1", port)));
    own.chain(theirs)
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

fn directory(spec: &ServerSpec) -> PathBuf {
    use crate::declare::Source;
    match (&spec.app, &spec.source) {
        (Some(app), _) => app.clone(),
        (None, Source::Folder(folder)) => folder.clone(),
        // TMPDIR may name a folder that does not exist.
        (None, _) => Some(std::env::temp_dir())
            .filter(|folder| folder.is_dir())
            .unwrap_or_else(|| "/".into()),
    }
}

/// Sets CPUs and limits, and reports those that the machine does not grant.
fn limit(context: &SandboxContext, prepared: &PreparedServer, pid: u32) -> (Meter, Vec<PathBuf>) {
    let spec = &prepared.spec;
    let cpus = match &prepared.instrument {
        Some(instrument) if !instrument.cpus.is_empty() => &instrument.cpus,
        _ => context.cpus(spec.limits.cpus),
    };
    let Some(process) = group::pid(pid) else {
        return (Meter::Tree, Vec::new());
    };
    #[cfg(target_os = "linux")]
    {
        let mut set = rustix::thread::CpuSet::new();
        for cpu in cpus {
            set.set(*cpu);
        }
        if let Err(error) = rustix::thread::sched_setaffinity(Some(process), &set) {
            context.notice("", &format!("failed to pin servers to their CPUs: {error}"));
        }
    }
    #[cfg(not(target_os = "linux"))]
    context.notice(
        "",
        &format!(
            "pinning servers to their {} CPUs is not supported on this system",
            cpus.len()
        ),
    );
    match limits::descriptors(process, spec.limits.descriptors) {
        Ok(got) if got < spec.limits.descriptors => context.notice(
            "",
            &format!(
                "the descriptor limit of servers is clamped from {} to {got}, the hard limit here; raise `ulimit -Hn`",
                spec.limits.descriptors
            ),
        ),
        Ok(_) => {}
        Err(error) => context.notice("", &format!("failed to set the descriptor limit of servers: {error}")),
    }
    let backlog = fs::read_to_string("/proc/sys/net/core/somaxconn")
        .ok()
        .and_then(|text| text.trim().parse::<u32>().ok());
    if let Some(backlog) = backlog.filter(|backlog| *backlog < spec.limits.backlog) {
        context.notice(
            "",
            &format!(
                "the listen backlog of servers is clamped from {} to {backlog} here; raise net.core.somaxconn",
                spec.limits.backlog
            ),
        );
    }
    match limits::group(pid, &spec.limits) {
        Ok(group) => (Meter::Cgroup(group.cgroup), group.folders),
        Err(why) => {
            let limited = limits::data(process, spec.limits.memory);
            context.notice(
                "",
                &format!(
                    "failed to make a control group for servers ({why}): their usage is summed over the process tree in clock ticks, \
                     and memory is limited {}",
                    if limited.is_ok() { "for each process separately" } else { "not at all" }
                ),
            );
            (Meter::Tree, Vec::new())
        }
    }
}

impl ProcessLaunch {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn start_up(&self) -> Duration {
        self.start_up
    }

    pub(crate) fn usage(&self) -> io::Result<Usage> {
        match &self.meter {
            Meter::Cgroup(cgroup) => cgroup.usage(),
            Meter::Tree => tree::usage(self.pid),
        }
    }

    pub(crate) fn is_alive(&self) -> bool {
        matches!(self.ended(), Ok(None))
    }

    pub(crate) fn pids(&self) -> Vec<u32> {
        match &self.meter {
            Meter::Cgroup(cgroup) => cgroup.processes(),
            Meter::Tree => tree::members(self.pid),
        }
    }

    /// Returns how its first process ended, if it has. It is not reaped before its group is killed, so that the group's id is not reused.
    fn ended(&self) -> rustix::io::Result<Option<WaitIdStatus>> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let leader = group::pid(self.pid).ok_or(rustix::io::Errno::CHILD)?;
        waitid(WaitId::Pid(leader), options)
    }

    /// Runs a command in its environment and folder.
    pub(crate) async fn exec(&self, command: &[&str]) -> io::Result<ExecOutput> {
        let output = self
            .command_in_environment(command)?
            .kill_on_drop(true)
            .output()
            .await?;
        Ok(ExecOutput {
            status: status(output.status),
            stdout: output.stdout,
            stderr: output.stderr,
        })
    }

    /// Starts a command in its environment and folder. It is killed with the launch, as everything that inherits the launch's
    /// variable is.
    pub(crate) fn spawn(&self, command: &[&str]) -> io::Result<()> {
        let mut command = self.command_in_environment(command)?;
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().map(drop)
    }

    fn command_in_environment(&self, command: &[&str]) -> io::Result<tokio::process::Command> {
        let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut started = tokio::process::Command::new("/bin/sh");
        started
            .args(["-c", "exec \"$@\"", "sh", program])
            .args(arguments)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.directory)
            .stdin(Stdio::null());
        Ok(started)
    }

    /// Sends a signal to its first process.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        if !self.is_alive() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the server has exited"));
        }
        let pid = group::pid(self.pid).ok_or(io::ErrorKind::NotFound)?;
        Ok(rustix::process::kill_process(pid, signal.unix())?)
    }

    /// Kills all its processes.
    pub(crate) async fn stop(self) -> StopInfo {
        // Waits until each of its processes has ended.
        spawn_blocking(move || self.end()).await.unwrap_or_default()
    }

    fn end(self) -> StopInfo {
        let oom_kills = self.usage().map_or(0, |usage| usage.oom_kills);
        let exit = self.ended().ok().flatten().and_then(|status| {
            let code = status.exit_status();
            code.or_else(|| status.terminating_signal().map(|signal| 128 + signal))
        });
        self.resources.clear();
        let _ = self.lock().wait();
        StopInfo {
            exit: exit.map(i64::from),
            oom_killed: oom_kills > 0,
        }
    }

    /// Removes a server that did not become ready, and returns the error with the reason.
    async fn explain(self, spec: &ServerSpec, why: NotReady) -> LaunchError {
        let log = self.log.clone();
        let info = self.stop().await;
        let last_lines = last_lines(&tokio::fs::read(&log).await.unwrap_or_default(), SHOWN_LINES);
        why.into_error(spec, &info, last_lines, "make its command listen on {host} and {port}")
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ProcessLaunch {
    fn drop(&mut self) {
        self.resources.clear();
        let _ = self.lock().wait();
    }
}

/// Returns the exit status; 128 + n for signal n.
fn status(status: ExitStatus) -> Option<i64> {
    status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .map(i64::from)
}
