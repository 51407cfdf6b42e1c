//! Observes servers from outside while they are loaded: CPU time of their processes, depth of their accept queues.
//!
//! It runs in every round, so it must cost next to nothing: it reads a few files of `/proc` some tens of times a second, and rests
//! so long after each look that its looks take at most 1/600 of one CPU. Between the edges of a round only the accept queue is
//! sampled; CPU times and overflows are counters of the kernel.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    os::unix::fs::FileExt as _,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use rand::{RngExt as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;
use rustix::time::{ClockId, clock_gettime};

use super::{
    job::{Ready, RunPlan},
    listening_sockets::ListeningSockets,
};
use crate::{
    affinity::pin_thread,
    sandbox::{Launch, proc},
    waits::{
        WaitRecord,
        accept_queue::{self, Depth, Samples},
        workers::{self, ProcessCpu},
    },
};

/// Mean interval between samples; intervals vary by half, so that samples do not follow a rhythm of the server.
const PERIOD: Duration = Duration::from_millis(25);
/// Least interval at which processes are listed again, so that those that start and end within a round are seen.
const REFRESH: Duration = Duration::from_millis(500);
/// After a look, the observer rests this many times as long as the look took of a CPU.
const REST: u32 = 600;
/// Most characters of a command line.
const MOST_CHARACTERS: usize = 1_000;

/// State of a round that the observer reads.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// 1 + the index of the server under load; 0 between loads.
    loaded: AtomicUsize,
    done: AtomicBool,
}

impl Signals {
    /// A server is loaded from now on.
    pub(super) fn loaded(&self, server: usize) {
        self.loaded.store(server + 1, Ordering::Relaxed);
    }

    /// No server is loaded from now on.
    pub(super) fn idle(&self) {
        self.loaded.store(0, Ordering::Relaxed);
    }

    /// Ends the observation.
    pub(super) fn finish(&self, observer: &thread::Thread) {
        self.idle();
        self.done.store(true, Ordering::Relaxed);
        observer.unpark();
    }
}

/// Observes servers until [`Signals::finish`]; returns one record for each, in their order.
pub(super) fn observe(mut servers: Vec<Server<'_>>, signals: &Signals, plan: &RunPlan) -> Vec<WaitRecord> {
    if servers.is_empty() {
        return Vec::new();
    }
    if let Some(cpu) = plan.load_cpus.last() {
        // Elsewhere it disturbs the server a little more, and is as right.
        let _ = pin_thread(*cpu);
    }
    let mut random = Xoshiro256PlusPlus::seed_from_u64(plan.seed);
    let begun = Instant::now();
    let mut refresh_at = REFRESH;
    while !signals.done.load(Ordering::Relaxed) {
        let loaded = signals.loaded.load(Ordering::Relaxed);
        let mut pause = PERIOD.mul_f64(random.random_range(0.5..1.5));
        if let Some(server) = loaded.checked_sub(1).and_then(|index| servers.get_mut(index)) {
            let cpu = thread_cpu();
            let depth = server.depth();
            // A look that the end of a slice overtook is of neither server.
            if signals.loaded.load(Ordering::Relaxed) == loaded {
                server.add(begun.elapsed(), depth);
            }
            let cost = thread_cpu().saturating_sub(cpu);
            server.cost += cost;
            pause = pause.max(cost * REST);
        }
        if begun.elapsed() >= refresh_at {
            let mut cost = Duration::ZERO;
            for server in &mut servers {
                let cpu = thread_cpu();
                server.refresh();
                let of_server = thread_cpu().saturating_sub(cpu);
                server.cost += of_server;
                cost += of_server;
            }
            refresh_at = begun.elapsed() + REFRESH.max(cost * REST);
        }
        thread::park_timeout(pause);
    }
    servers.into_iter().map(Server::finish).collect()
}

/// Returns the records of a finished observer. Its panic is that of the round.
pub(super) fn records_of(ended: thread::Result<Vec<WaitRecord>>) -> Vec<WaitRecord> {
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn thread_cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// CPU time and time ready to run, nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    cpu: u64,
    runnable: u64,
}

impl Times {
    /// Adds what a thread used between two looks. A thread that reuses an id starts again from zero.
    fn add(&mut self, from: Self, to: Self) {
        let from = if to.cpu < from.cpu { Self::default() } else { from };
        self.cpu += to.cpu.saturating_sub(from.cpu);
        self.runnable += to.runnable.saturating_sub(from.runnable);
    }
}

/// A process of a server.
#[derive(Debug)]
struct Process {
    parent: u32,
    name: String,
    command: String,
    /// Clock ticks at the begin of the round, and now.
    ticks: [u64; 2],
    /// Times of each thread at the last look.
    threads: BTreeMap<u32, Times>,
    /// Times of all threads since the begin of the round.
    used: Times,
}

/// An observed server.
pub(super) struct Server<'a> {
    launch: &'a Launch,
    port: u16,
    cpus: f64,
    sockets: Option<ListeningSockets>,
    netstat: Option<File>,
    /// Counter of overflows at the begin.
    overflows: Option<u64>,
    of_machine: bool,
    processes: BTreeMap<u32, Process>,
    queue: Samples,
    cost: Duration,
    notes: BTreeSet<String>,
}

impl<'a> Server<'a> {
    /// Opens the files of a server and reads its counters, before a round.
    pub(super) fn open(launch: &'a Launch, ready: &Ready, plan: &RunPlan) -> Self {
        let spec = &ready.job.spec;
        let own_network = launch.has_own_network();
        let cpus = spec.limits.cpus.min(plan.server_cpus.len().max(1));
        #[expect(clippy::cast_precision_loss, reason = "a number of CPUs")]
        let cpus = spec.limits.cpu_quota.unwrap_or(f64::MAX).min(cpus as f64);
        let mut server = Self {
            launch,
            port: if own_network {
                spec.port
            } else {
                launch.address().port()
            },
            cpus,
            sockets: None,
            netstat: None,
            overflows: None,
            of_machine: !own_network,
            processes: BTreeMap::new(),
            queue: Samples::default(),
            cost: Duration::ZERO,
            notes: BTreeSet::new(),
        };
        let cpu = thread_cpu();
        let pids = launch.pids();
        match pids.first() {
            Some(pid) => server.open_network(*pid),
            None => {
                server.notes.insert(
                    "workers and accept queue are unknown: the server's processes are not visible on this machine"
                        .to_owned(),
                );
            }
        }
        server.look(&pids, true);
        server.cost += thread_cpu().saturating_sub(cpu);
        server
    }

    /// Opens the network namespace of a process.
    fn open_network(&mut self, pid: u32) {
        match ListeningSockets::open(pid, self.of_machine) {
            Ok(sockets) => self.sockets = Some(sockets),
            Err(error) => {
                self.notes.insert(format!(
                    "accept queue is unknown: failed to open /proc/PID/net/tcp: {error}"
                ));
            }
        }
        self.netstat = File::open(format!("/proc/{pid}/net/netstat")).ok();
        self.overflows = self.count_overflows();
    }

    fn count_overflows(&self) -> Option<u64> {
        accept_queue::overflows(&whole(self.netstat.as_ref()?)?)
    }

    /// Returns the present depth of the accept queue; `None` if no socket listens at the port.
    fn depth(&self) -> Option<Depth> {
        self.sockets.as_ref()?.depth(self.port)
    }

    fn add(&mut self, at: Duration, depth: Option<Depth>) {
        if let Some(depth) = depth {
            self.queue.add(at.as_secs_f64(), depth);
        }
    }

    /// Reads the CPU times of all processes.
    fn refresh(&mut self) {
        let pids = self.launch.pids();
        self.look(&pids, false);
    }

    fn look(&mut self, pids: &[u32], first: bool) {
        for &pid in pids {
            let Some(stat) = proc::stat(pid) else { continue };
            let process = self.processes.entry(pid).or_insert_with(|| Process {
                parent: stat.parent,
                name: text(pid, "comm").trim_end().to_owned(),
                command: text(pid, "cmdline")
                    .replace('\0', " ")
                    .chars()
                    .take(MOST_CHARACTERS)
                    .collect(),
                // A process that appears later has used all its CPU time since.
                ticks: [if first { stat.own_ticks } else { 0 }; 2],
                threads: BTreeMap::new(),
                used: Times::default(),
            });
            process.ticks[1] = stat.own_ticks.max(process.ticks[1]);
            let mut threads = BTreeMap::new();
            for (task, now) in times(pid) {
                let then = process.threads.get(&task).copied();
                // So does a thread.
                process
                    .used
                    .add(then.unwrap_or(if first { now } else { Times::default() }), now);
                threads.insert(task, now);
            }
            process.threads = threads;
        }
    }

    fn finish(mut self) -> WaitRecord {
        let cpu = thread_cpu();
        self.refresh();
        let overflows = self.overflows.zip(self.count_overflows());
        let mut accept_queue = self.queue.finish();
        if let Some(queue) = &mut accept_queue {
            queue.overflows = overflows.map(|(then, now)| now.saturating_sub(then));
            queue.of_machine = self.of_machine;
        } else if self.sockets.is_some() && self.depth().is_none() {
            self.notes.insert(format!(
                "accept queue is unknown: no socket listens at port {}",
                self.port
            ));
        }
        let tick = proc::tick().as_secs_f64();
        #[expect(
            clippy::cast_precision_loss,
            reason = "ticks and nanoseconds of a round are far below 2^53"
        )]
        let processes: Vec<ProcessCpu> = self
            .processes
            .into_iter()
            .map(|(pid, process)| {
                let [then, now] = process.ticks;
                // Ticks include threads that have ended; nanoseconds are exact.
                let ticks = now.saturating_sub(then) as f64 * tick;
                ProcessCpu {
                    pid,
                    parent: process.parent,
                    name: process.name,
                    command: process.command,
                    cpu_seconds: (process.used.cpu as f64 / 1e9).max(ticks - 2.0 * tick),
                    runnable_seconds: process.used.runnable as f64 / 1e9,
                }
            })
            .collect();
        let workers = workers::workers(&processes);
        self.cost += thread_cpu().saturating_sub(cpu);
        WaitRecord {
            cpus: self.cpus,
            workers,
            accept_queue,
            observer_cpu_seconds: self.cost.as_secs_f64(),
            notes: self.notes.into_iter().collect(),
        }
    }
}

/// Reads an open file of `/proc` from its beginning.
fn whole(file: &File) -> Option<String> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 8 << 10];
    loop {
        match file.read_at(&mut chunk, bytes.len() as u64).ok()? {
            0 => return String::from_utf8(bytes).ok(),
            count => bytes.extend_from_slice(&chunk[..count]),
        }
    }
}

fn text(pid: u32, name: &str) -> String {
    let bytes = fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns the times of all threads of a process; none where the kernel does not account for them.
fn times(pid: u32) -> Vec<(u32, Times)> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let times = tasks.filter_map(|task| {
        let task: u32 = task.file_name().to_str()?.parse().ok()?;
        let text = fs::read_to_string(format!("/proc/{pid}/task/{task}/schedstat")).ok()?;
        let (cpu, runnable) = workers::schedstat(&text)?;
        Some((task, Times { cpu, runnable }))
    });
    times.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_overflow_counter_is_readable() {
        let netstat = File::open("/proc/self/net/netstat").unwrap();
        assert!(accept_queue::overflows(&whole(&netstat).unwrap()).is_some());
    }

    #[test]
    fn times_of_threads_add_up() {
        let mut sum = Times::default();
        let times = |cpu, runnable| Times { cpu, runnable };
        sum.add(times(10, 5), times(25, 9));
        sum.add(times(100, 50), times(7, 3));
        assert_eq!((sum.cpu, sum.runnable), (22, 7));
    }
}
