//! Samples what the threads of a server wait for, from their system calls and Python frames.
//!
//! A sample reads `/proc/PID/task/TID/syscall` of a few threads in turn. Threads that wait as they did without load have no work;
//! of the others, the other end of a socket is asked for by a copy of its descriptor, and the waiting function is read from the
//! interpreter's memory. No thread is stopped.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    net::SocketAddr,
    os::{fd::OwnedFd, unix::fs::FileExt as _},
    thread,
    time::Duration,
};

use rustix::{
    fd::AsFd as _,
    net::{SocketAddrUnix, getpeername, getsockname},
    process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open},
    time::{ClockId, clock_gettime},
};

use crate::{
    profile::{
        call,
        stacks::{Stack, Stacks},
    },
    waits::{
        blocked::{self, Call, Cause},
        threads::{Idle, Waiting, host_name},
    },
};

/// Most processes whose threads are sampled.
const MOST_PROCESSES: usize = 8;
/// Most threads that are looked at in a sample.
const MOST_THREADS: usize = 8;
/// Most threads of a process.
const MOST_TASKS: usize = 128;
/// Looks before the load.
const IDLE_LOOKS: u32 = 3;
/// Time between them.
const IDLE_PERIOD: Duration = Duration::from_millis(3);

/// A process whose threads are sampled.
#[derive(Debug)]
struct Process {
    pid: u32,
    handle: Option<OwnedFd>,
    memory: Option<File>,
    stacks: Option<Stacks>,
    /// `syscall` of each thread.
    tasks: BTreeMap<u32, File>,
}

/// Samples the threads of a server.
#[derive(Debug, Default)]
pub(super) struct ThreadObserver {
    port: u16,
    processes: BTreeMap<u32, Process>,
    order: Vec<(u32, u32)>,
    next: usize,
    idle: Idle,
    names: BTreeMap<String, String>,
    denied: bool,
}

/// A sample of some threads.
#[derive(Debug, Default)]
pub(super) struct Sample {
    /// Threads that wait and have work.
    pub(super) waiting: Vec<Waiting>,
    /// Number of threads for each of those that were looked at.
    pub(super) weight: f64,
}

impl ThreadObserver {
    /// Reads interpreters and what threads wait for without load; `port` is the server's. Interpreters are read while `more`
    /// holds.
    pub(super) fn prepare(port: u16, pids: &[u32], more: impl Fn() -> bool) -> Self {
        let mut observer = Self {
            port,
            ..Self::default()
        };
        observer.refresh(pids);
        // Workers are younger than their master.
        for process in observer.processes.values_mut().rev() {
            if !more() {
                break;
            }
            process.attach();
        }
        for look in 0..IDLE_LOOKS {
            if look > 0 {
                thread::sleep(IDLE_PERIOD);
            }
            for (pid, task) in observer.order.clone() {
                if let Some(waiting) = observer.look(pid, task) {
                    observer.idle.add(&waiting);
                }
            }
        }
        observer
    }

    /// Lists processes and threads again.
    pub(super) fn refresh(&mut self, pids: &[u32]) {
        self.processes.retain(|pid, _| pids.contains(pid));
        for &pid in pids.iter().rev() {
            if self.processes.len() < MOST_PROCESSES {
                self.processes.entry(pid).or_insert_with(|| Process::open(pid));
            }
        }
        for process in self.processes.values_mut() {
            self.denied |= process.refresh();
        }
        let threads = |process: &Process| {
            let pid = process.pid;
            process.tasks.keys().map(move |task| (pid, *task)).collect::<Vec<_>>()
        };
        self.order = self.processes.values().flat_map(threads).collect();
    }

    /// Whether this process may not read what threads wait for.
    pub(super) fn is_denied(&self) -> bool {
        self.denied && self.order.is_empty()
    }

    /// Takes a sample; `None` if no thread is visible.
    #[expect(clippy::cast_precision_loss, reason = "a number of threads")]
    pub(super) fn sample(&mut self) -> Option<Sample> {
        let count = self.order.len().min(MOST_THREADS);
        if count == 0 {
            return None;
        }
        let mut sample = Sample {
            weight: self.order.len() as f64 / count as f64,
            ..Sample::default()
        };
        for _ in 0..count {
            self.next = (self.next + 1) % self.order.len();
            let (pid, task) = self.order[self.next];
            sample.waiting.extend(self.look(pid, task));
        }
        Some(sample)
    }

    /// Returns what a thread waits for, unless it has no work.
    fn look(&mut self, pid: u32, task: u32) -> Option<Waiting> {
        let process = self.processes.get_mut(&pid)?;
        let (cause, target) = process.wait(task, self.port)?;
        let stack = match &mut process.stacks {
            Some(stacks) => stacks.of(task)?,
            None => Stack::default(),
        };
        let mut waiting = Waiting {
            task,
            cause,
            target,
            stack: stack.key(),
            place: String::new(),
        };
        if self.idle.contains(&waiting) {
            return None;
        }
        if let Some(stacks) = &process.stacks {
            waiting.place = stacks.place(&stack);
        }
        if cause == Cause::Socket {
            waiting.target = self.named(pid, &waiting.target);
        }
        Some(waiting)
    }

    /// Returns an address with its name in the server's hosts file, where companions are.
    fn named(&mut self, pid: u32, address: &str) -> String {
        let name = self.names.entry(address.to_owned()).or_insert_with(|| {
            let Ok(socket) = address.parse::<SocketAddr>() else {
                return address.to_owned();
            };
            let hosts = fs::read_to_string(format!("/proc/{pid}/root/etc/hosts")).unwrap_or_default();
            let name = host_name(&hosts, &socket.ip().to_string()).filter(|_| !socket.ip().is_loopback());
            name.map_or_else(|| address.to_owned(), |name| format!("{name}:{}", socket.port()))
        });
        name.clone()
    }
}

impl Process {
    fn open(pid: u32) -> Self {
        let id = i32::try_from(pid).ok().and_then(Pid::from_raw);
        Self {
            pid,
            handle: id.and_then(|id| pidfd_open(id, PidfdFlags::empty()).ok()),
            memory: File::open(format!("/proc/{pid}/mem")).ok(),
            stacks: None,
            tasks: BTreeMap::new(),
        }
    }

    fn attach(&mut self) {
        let tasks: Vec<u32> = self.tasks.keys().copied().collect();
        self.stacks = Stacks::attach(self.pid);
        // Until the next listing, a thread without state has no frames.
        let _ = self.stacks.as_mut().map(|stacks| stacks.refresh(&tasks));
    }

    /// Lists the threads again. Returns whether permission for them is missing.
    fn refresh(&mut self) -> bool {
        let entries = fs::read_dir(format!("/proc/{}/task", self.pid));
        let tasks: Vec<u32> = entries
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .take(MOST_TASKS)
            .collect();
        if self.tasks.keys().copied().eq(tasks.iter().copied()) {
            return false;
        }
        let mut denied = false;
        self.tasks.retain(|task, _| tasks.contains(task));
        for &task in &tasks {
            if self.tasks.contains_key(&task) {
                continue;
            }
            // Permission is checked when it is read.
            let opened = File::open(format!("/proc/{}/task/{task}/syscall", self.pid)).and_then(|file| {
                file.read_at(&mut [0; 8], 0)?;
                Ok(file)
            });
            match opened {
                Ok(file) => {
                    self.tasks.insert(task, file);
                }
                Err(error) => denied |= error.kind() == io::ErrorKind::PermissionDenied,
            }
        }
        let _ = self.stacks.as_mut().map(|stacks| stacks.refresh(&tasks));
        denied
    }

    /// Returns what a thread waits for and the other end; `None` if it runs, waits for the load, or for nothing that is known.
    fn wait(&self, task: u32, port: u16) -> Option<(Cause, String)> {
        let mut buffer = [0; 256];
        let count = self.tasks.get(&task)?.read_at(&mut buffer, 0).ok()?;
        let (number, arguments) = blocked::parse(std::str::from_utf8(&buffer[..count]).ok()?)?;
        let Some(number) = number else {
            // Blocked outside of a system call: memory that is read from a file.
            return self.is_uninterruptible(task).then(|| (Cause::Disk, String::new()));
        };
        match blocked::interpret(&call(number), arguments) {
            Call::Known(cause) => Some((cause, String::new())),
            Call::Futex {
                deadline: Some(address),
                absolute,
                realtime,
            } => {
                let left = self.left(address, absolute, realtime)?;
                blocked::is_long(left).then(|| (Cause::Lock, String::new()))
            }
            Call::Futex { deadline: None, .. } => Some((Cause::Lock, String::new())),
            Call::PollOne(address) => {
                let mut descriptor = [0; 4];
                self.memory.as_ref()?.read_exact_at(&mut descriptor, address).ok()?;
                self.other_end(u32::try_from(i32::from_ne_bytes(descriptor)).ok()?, port)
            }
            Call::Descriptor(descriptor) => self.other_end(descriptor, port),
            Call::Other => None,
        }
    }

    /// Returns the time to a deadline, nanoseconds.
    fn left(&self, address: u64, absolute: bool, realtime: bool) -> Option<i64> {
        let mut bytes = [0; 16];
        self.memory.as_ref()?.read_exact_at(&mut bytes, address).ok()?;
        let word = |at: usize| Some(i64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let nanoseconds = |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        let deadline = nanoseconds(word(0)?, word(8)?);
        if !absolute {
            return Some(deadline);
        }
        let now = clock_gettime(if realtime {
            ClockId::Realtime
        } else {
            ClockId::Monotonic
        });
        Some(deadline.saturating_sub(nanoseconds(now.tv_sec, now.tv_nsec)))
    }

    /// Returns what is at the other end of a descriptor; `None` for connections of the load and what is unknown.
    fn other_end(&self, descriptor: u32, port: u16) -> Option<(Cause, String)> {
        let path = fs::read_link(format!("/proc/{}/fd/{descriptor}", self.pid)).ok()?;
        let path = path.to_string_lossy();
        if path.starts_with("pipe:") {
            return Some((Cause::Pipe, String::new()));
        }
        if path.starts_with('/') {
            return (!path.starts_with("/dev/")).then(|| (Cause::Disk, path.chars().take(200).collect()));
        }
        if !path.starts_with("socket:") {
            return None;
        }
        let number = i32::try_from(descriptor).ok()?;
        let socket = pidfd_getfd(self.handle.as_ref()?, number, PidfdGetfdFlags::empty()).ok()?;
        let own = getsockname(&socket).ok()?;
        if SocketAddr::try_from(own).is_ok_and(|own| own.port() == port) {
            return None;
        }
        let peer = getpeername(socket.as_fd()).ok()??;
        if let Ok(peer) = SocketAddr::try_from(peer.clone()) {
            let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
            return Some((Cause::Socket, peer.to_string()));
        }
        let unix = SocketAddrUnix::try_from(peer).ok()?;
        let path = unix.path().map(|path| path.to_string_lossy().into_owned());
        Some((Cause::Socket, path.unwrap_or_default()))
    }

    fn is_uninterruptible(&self, task: u32) -> bool {
        let text = fs::read_to_string(format!("/proc/{}/task/{task}/stat", self.pid)).unwrap_or_default();
        text.rsplit_once(')')
            .is_some_and(|(_, after)| after.trim_start().starts_with('D'))
    }
}
