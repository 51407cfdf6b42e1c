//! Injects faults into a running server.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use tokio::runtime::Runtime;

use crate::{
    declare::ServerSpec,
    load::{
        Action, Target,
        tls::{Connector, Stream},
    },
    sandbox::{Launch, Signal},
};

/// Timeout of a harmful request.
const PATIENCE: Duration = Duration::from_secs(2);
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
    let (_, body) = get(target, path).ok()?;
    body.trim().parse().ok()
}

/// Sends one request and returns its outcome in a word or two.
fn ask(target: &Target, path: &str) -> String {
    match get(target, path) {
        Ok((status, _)) => status,
        Err(why) => why.to_owned(),
    }
}

/// Sends a GET and returns status and body.
fn get(target: &Target, path: &str) -> Result<(String, String), &'static str> {
    let deadline = Instant::now() + PATIENCE;
    let connector = Connector::new(target).map_err(|_| "the TLS settings cannot be used")?;
    let mut stream = Stream::connect(target.address, connector.as_ref(), PATIENCE).map_err(|error| {
        if error.kind() == std::io::ErrorKind::ConnectionRefused || target.tls.is_none() {
            "refused"
        } else {
            "no TLS connection"
        }
    })?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        target.host
    );
    stream.write_all(request.as_bytes()).map_err(|_| "closed")?;
    let mut heard = Vec::new();
    let mut piece = [0; 4096];
    loop {
        if let Some(answer) = whole(&heard) {
            return Ok(answer);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || stream.socket().set_read_timeout(Some(left)).is_err() {
            return Err("no answer");
        }
        match stream.read(&mut piece) {
            Ok(0) => return ended(&heard).ok_or("closed without an answer"),
            Ok(n) => heard.extend_from_slice(&piece[..n]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) =>
            {
                return Err("no answer");
            }
            Err(_) => return ended(&heard).ok_or("reset without an answer"),
        }
    }
}

/// Returns status and body of a response whose `Content-Length` has arrived completely.
fn whole(bytes: &[u8]) -> Option<(String, String)> {
    let (head, body) = split(bytes)?;
    (body.len() >= length(&head)?).then(|| (status(&head), String::from_utf8_lossy(body).into_owned()))
}

/// Returns status and body of the response on a connection that has ended.
fn ended(bytes: &[u8]) -> Option<(String, String)> {
    let (head, body) = split(bytes)?;
    let short = length(&head).is_some_and(|length| body.len() < length);
    let outcome = if short {
        format!("{} cut short", status(&head))
    } else {
        status(&head)
    };
    Some((outcome, String::from_utf8_lossy(body).into_owned()))
}

/// Splits a response into its head and the bytes of its body, whose number decoding would change.
fn split(bytes: &[u8]) -> Option<(String, &[u8])> {
    let end = memchr::memmem::find(bytes, b"\r\n\r\n")?;
    Some((String::from_utf8_lossy(&bytes[..end]).into_owned(), &bytes[end + 4..]))
}

fn length(head: &str) -> Option<usize> {
    head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())?
    })
}

fn status(head: &str) -> String {
    head.split_whitespace().nth(1).unwrap_or("?").to_owned()
}

fn counted(answers: &BTreeMap<String, u64>) -> String {
    let parts: Vec<String> = answers.iter().map(|(what, n)| format!("{n} x {what}")).collect();
    format!("answers: {}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pid_of_the_innermost_namespace_is_used() {
        assert_eq!(pid_in_namespace("Name:\tx\nNSpid:\t4242\t17\t7\n"), Some(7));
        assert_eq!(pid_in_namespace("Name:\tx\nNSpid:\t4242\n"), Some(4242));
        assert_eq!(pid_in_namespace("Name:\tx\n"), None);
    }

    #[test]
    fn complete_and_truncated_responses_are_distinguished() {
        let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n12";
        assert_eq!(whole(ok), Some(("200".into(), "12".into())));
        assert_eq!(whole(&ok[..ok.len() - 1]), None);
        assert_eq!(ended(b"HTTP/1.1 500 No\r\n\r\nx"), Some(("500".into(), "x".into())));
        assert_eq!(
            ended(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n").unwrap().0,
            "200 cut short"
        );
        assert_eq!(ended(b""), None);
        // An invalid byte becomes three when it is decoded: the length counts bytes.
        let binary = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n\xff";
        assert_eq!(whole(binary), None);
        assert_eq!(ended(binary).unwrap().0, "200 cut short");
    }

    #[test]
    fn a_probe_of_a_closed_port_is_refused() {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let host = "shop.test".to_owned();
        assert_eq!(
            ask(
                &Target {
                    address,
                    host,
                    tls: None
                },
                "/"
            ),
            "refused"
        );
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
        let host = "shop.test".to_owned();
        assert_eq!(
            ask(
                &Target {
                    address,
                    host,
                    tls: None
                },
                "/raise"
            ),
            "204"
        );
        assert!(server.join().unwrap().contains("\r\nHost: shop.test\r\n"));
    }
}
