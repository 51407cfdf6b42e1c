//! Injects faults into a running server.

use std::{
    collections::BTreeMap,
    fs,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use tokio::runtime::Runtime;

use crate::{
    declare::ServerSpec,
    load::{Action, Target, probe::get},
    sandbox::{Launch, Signal},
};

/// Timeout of a harmful request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest duration of a memory exhaustion.
const EXHAUSTING: Duration = Duration::from_secs(15);

/// The launch that faults are injected into.
pub(super) struct FaultContext<'a> {
    pub(super) launch: &'a Launch,
    pub(super) runtime: &'a Runtime,
    pub(super) spec: &'a ServerSpec,
    /// Set when the round has ended.
    pub(super) over: &'a AtomicBool,
}

/// A fault that was injected.
#[derive(Clone, Debug, Default)]
pub(super) struct InjectedFault {
    pub(super) action: String,
    /// Start, seconds from the start of the round.
    pub(super) at: f64,
    /// Duration, seconds.
    pub(super) took: f64,
    /// Description in one line.
    pub(super) told: String,
    /// Responses to harmful requests with their counts.
    pub(super) answers: BTreeMap<String, u64>,
    pub(super) memory_kills: u64,
}

/// Information gathered before the fault is due.
#[derive(Debug, Default)]
pub(super) struct PreparedFault {
    /// The pid of the worker to kill, as seen by this machine and by the server.
    worker: Option<(Option<u32>, Option<u32>)>,
}

impl FaultContext<'_> {
    fn target(&self) -> Target {
        self.spec.target(self.launch.address())
    }

    pub(super) fn prepare(&self, action: &Action) -> PreparedFault {
        let worker = match action {
            Action::KillWorker {
                worker_from: Some(path),
            } => pid_told(&self.target(), path).map(|inner| (self.outer(inner), Some(inner))),
            Action::KillWorker { worker_from: None } => self.busiest().map(|pid| (Some(pid), None)),
            _ => None,
        };
        PreparedFault { worker }
    }

    pub(super) fn act(&self, action: &Action, prepared: &PreparedFault, at: Duration) -> InjectedFault {
        let begun = Instant::now();
        let kills = || self.launch.usage().map_or(0, |usage| usage.oom_kills);
        let kills_before = kills();
        let mut deed = InjectedFault {
            action: action.name(),
            at: at.as_secs_f64(),
            ..InjectedFault::default()
        };
        deed.told = match action {
            Action::KillWorker { .. } => self.kill(prepared),
            Action::Reload => self.reload(),
            Action::Restart => match self.runtime.block_on(self.launch.restart()) {
                Ok(()) => "stopped and started".to_owned(),
                Err(error) => format!("not done: {error}"),
            },
            Action::Ask { path, times } => {
                for _ in 0..*times {
                    if self.over.load(Ordering::Relaxed) {
                        break;
                    }
                    *deed.answers.entry(ask(&self.target(), path)).or_default() += 1;
                }
                counted(&deed.answers)
            }
            Action::ExhaustMemory { path } => {
                let mut most = 0;
                while begun.elapsed() < EXHAUSTING && !self.over.load(Ordering::Relaxed) {
                    *deed.answers.entry(ask(&self.target(), path)).or_default() += 1;
                    most = most.max(self.launch.usage().map_or(0, |usage| usage.memory_bytes));
                    if kills() > kills_before || !self.launch.is_alive() {
                        break;
                    }
                }
                format!(
                    "{} of {} MiB taken; {}",
                    most >> 20,
                    self.spec.limits.memory >> 20,
                    counted(&deed.answers)
                )
            }
        };
        deed.memory_kills = kills().saturating_sub(kills_before);
        deed.took = begun.elapsed().as_secs_f64();
        deed
    }

    fn kill(&self, prepared: &PreparedFault) -> String {
        let Some((outer, inner)) = prepared.worker else {
            return "not done: no worker process found".to_owned();
        };
        let near = outer
            .and_then(|pid| i32::try_from(pid).ok())
            .and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = near
            && rustix::process::kill_process(pid, rustix::process::Signal::KILL).is_ok()
        {
            return match inner {
                Some(1) => "the first process was killed: there is no other".to_owned(),
                Some(inner) => format!("process {inner} was killed"),
                None => "the busiest process was killed".to_owned(),
            };
        }
        // The process belongs to another user or a virtual machine: use a command inside of the sandbox.
        let Some(inner) = inner else {
            return "not done: no permission to signal it; use Fault::kill_worker_from with a path that returns its pid".to_owned();
        };
        let command = format!("kill -9 {inner}");
        match self.runtime.block_on(self.launch.exec(&["sh", "-c", &command])) {
            Ok(output) if output.status == Some(0) => format!("process {inner} was killed"),
            Ok(output) => format!("not done: {}", String::from_utf8_lossy(&output.stderr).trim()),
            Err(error) => format!("not done: {error}"),
        }
    }

    fn reload(&self) -> String {
        let name = self.spec.reload.as_deref().unwrap_or_default();
        let Some(signal) = Signal::by_name(name) else {
            return format!("not done: `{name}` is not a signal");
        };
        match self.runtime.block_on(self.launch.signal(signal)) {
            Ok(()) => format!("{name} was sent"),
            Err(error) => format!("not done: {error}"),
        }
    }

    /// Returns the pid on this machine of a process given by its pid inside of the server's namespace.
    fn outer(&self, inner: u32) -> Option<u32> {
        self.launch.pids().into_iter().find(|pid| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            pid_in_namespace(&status) == Some(inner)
        })
    }

    /// Returns the process with the most CPU time; the first process only if there is no other.
    fn busiest(&self) -> Option<u32> {
        let mut pids = self.launch.pids();
        pids.sort_unstable();
        let others = if pids.len() > 1 { &pids[1..] } else { &pids[..] };
        others.iter().copied().max_by_key(|pid| cpu_ticks(*pid))
    }
}

/// Returns the pid in the innermost namespace, from `/proc/<pid>/status`.
fn pid_in_namespace(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    line.split_whitespace().next_back()?.parse().ok()
}

fn cpu_ticks(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let Some((_, after)) = text.rsplit_once(')') else {
        return 0;
    };
    let fields = after.split_ascii_whitespace().skip(11).take(2);
    fields.filter_map(|field| field.parse::<u64>().ok()).sum()
}

fn pid_told(target: &Target, path: &str) -> Option<u32> {
    let response = get(target, path, REQUEST_TIMEOUT).ok()?;
    response.body.trim().parse().ok()
}

/// Sends one request and returns its outcome in a word or two.
fn ask(target: &Target, path: &str) -> String {
    match get(target, path, REQUEST_TIMEOUT) {
        Ok(response) if response.truncated => format!("{} cut short", response.status),
        Ok(response) => response.status,
        Err(error) => error.to_string(),
    }
}

fn counted(answers: &BTreeMap<String, u64>) -> String {
    let parts: Vec<String> = answers.iter().map(|(what, n)| format!("{n} x {what}")).collect();
    format!("answers: {}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    #[test]
    fn the_pid_of_the_innermost_namespace_is_used() {
        assert_eq!(pid_in_namespace("Name:\tx\nNSpid:\t4242\t17\t7\n"), Some(7));
        assert_eq!(pid_in_namespace("Name:\tx\nNSpid:\t4242\n"), Some(4242));
        assert_eq!(pid_in_namespace("Name:\tx\n"), None);
    }

    #[test]
    fn a_probe_of_a_closed_port_is_refused() {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        assert_eq!(ask(&Target::new(address, "shop.test"), "/"), "refused");
    }

    #[test]
    fn probes_send_the_declared_host() {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).unwrap();
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        assert_eq!(ask(&Target::new(address, "shop.test"), "/raise"), "204");
        assert!(server.join().unwrap().contains("\r\nHost: shop.test\r\n"));
    }
}
