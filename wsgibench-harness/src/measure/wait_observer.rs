//! Observes servers from outside while they are loaded: CPU time of their processes, depth of their accept queues, waits of their
//! threads.
//!
//! It runs in every round, so it must cost next to nothing: all its CPU time, from the beginning of a round to its end, is
//! accounted for in a [`Budget`], and looks are so rare that it keeps to it. Between the edges of a round only the accept queue
//! and a few threads are sampled; CPU times and overflows are counters of the kernel.

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

use super::{listening_sockets::ListeningSockets, thread_observer::ThreadObserver};
use crate::{
    affinity::pin_thread,
    sandbox::{Launch, proc},
    waits::{
        ThreadStates, WaitRecord,
        accept_queue::{self, Depth, Samples},
        budget::{self, Budget},
        threads::Tally,
        workers::{self, ProcessCpu},
    },
};

/// Mean interval between samples; intervals vary by half, so that samples do not follow a rhythm of the server.
const PERIOD: Duration = Duration::from_millis(25);
/// Least interval at which processes are listed again, so that those that start and end within a round are seen.
const REFRESH: Duration = Duration::from_millis(500);
/// Listings of processes take at most so much of the time, as a divisor: a half of the observer's share.
const LISTING: u32 = 500;
/// Most characters of a command line.
const MOST_CHARACTERS: usize = 1_000;

/// State of a round that the observer reads.
#[derive(Debug, Default)]
pub struct Signals {
    /// 1 + the index of the server under load; 0 between loads.
    loaded: AtomicUsize,
    done: AtomicBool,
}

impl Signals {
    /// A server is loaded from now on.
    pub fn loaded(&self, server: usize) {
        self.loaded.store(server + 1, Ordering::Relaxed);
    }

    /// No server is loaded from now on.
    pub fn idle(&self) {
        self.loaded.store(0, Ordering::Relaxed);
    }

    /// Ends the observation.
    fn finish(&self, observer: &thread::Thread) {
        self.idle();
        self.done.store(true, Ordering::Relaxed);
        observer.unpark();
    }
}

/// Observes the servers of a launch, or of the two arms that are loaded in turns.
pub struct Observer<'a> {
    servers: Vec<Observed<'a>>,
    cpu: Option<usize>,
    seed: u64,
    budget: Budget,
    /// CPU time of the preparations that each round pays.
    preparation: Duration,
}

impl<'a> Observer<'a> {
    /// Observes servers in `rounds` rounds, from a CPU of the load generator. `seed` is that of the intervals between looks.
    #[must_use]
    pub fn new(servers: Vec<Observed<'a>>, rounds: u32, cpu: Option<usize>, seed: u64) -> Self {
        let preparation: Duration = servers.iter().map(|server| server.preparation).sum();
        Self {
            servers,
            cpu,
            seed,
            budget: Budget::default(),
            preparation: preparation / rounds.max(1),
        }
    }

    /// Reads the counters at the begin of a round; returns whether the round is observed.
    pub fn begin(&mut self, length: Duration) -> bool {
        if self.servers.is_empty() || !self.budget.begin(length) {
            return false;
        }
        let before = thread_cpu();
        for server in &mut self.servers {
            server.begin();
        }
        self.budget.begun(thread_cpu().saturating_sub(before), self.preparation);
        true
    }

    /// Observes a round that has begun until `Signals::finish`; returns one record for each server, in their order.
    pub fn observe(&mut self, signals: &Signals) -> Vec<WaitRecord> {
        if let Some(cpu) = self.cpu {
            // Elsewhere it disturbs the server a little more, and is as right.
            let _ = pin_thread(cpu);
        }
        let mut random = Xoshiro256PlusPlus::seed_from_u64(self.seed);
        let begun = Instant::now();
        let mut accounted = Duration::ZERO;
        let mut refresh_at = REFRESH;
        while !signals.done.load(Ordering::Relaxed) {
            let pause = PERIOD.mul_f64(random.random_range(0.5..1.5));
            let due = self.budget.due().saturating_sub(begun.elapsed());
            thread::park_timeout(pause.max(due));
            let loaded = signals.loaded.load(Ordering::Relaxed);
            if let Some(server) = loaded.checked_sub(1).and_then(|index| self.servers.get_mut(index)) {
                let depth = server.depth();
                let threads = server.threads.sample();
                // A look that the end of a slice overtook is of neither server.
                if signals.loaded.load(Ordering::Relaxed) == loaded {
                    server.add(begun.elapsed(), depth);
                    if let Some(threads) = threads {
                        server.tally.add(threads.waiting, threads.weight);
                    }
                }
            }
            if begun.elapsed() >= refresh_at {
                let before = thread_cpu();
                self.servers.iter_mut().for_each(Observed::refresh);
                refresh_at = begun.elapsed() + REFRESH.max(thread_cpu().saturating_sub(before) * LISTING);
            }
            // Its own wake-ups and all else are included.
            let now = thread_cpu();
            self.budget.spend(now.saturating_sub(accounted));
            accounted = now;
        }
        let mut records: Vec<WaitRecord> = self.servers.iter_mut().map(Observed::finish).collect();
        let end = thread_cpu().saturating_sub(accounted);
        let cost = self.budget.finish(begun.elapsed(), end).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "one or two servers")]
        let share = cost / records.len().max(1) as f64;
        for record in &mut records {
            record.observer_cpu_seconds = share;
        }
        records
    }
}

/// Ends the observation of a round, and returns its records. A panic of the observer is that of the round.
pub fn finish(signals: &Signals, observing: Option<thread::ScopedJoinHandle<'_, Vec<WaitRecord>>>) -> Vec<WaitRecord> {
    let Some(observing) = observing else {
        return Vec::new();
    };
    signals.finish(observing.thread());
    observing
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
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
pub struct Observed<'a> {
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
    threads: ThreadObserver,
    tally: Tally,
    /// CPU time before the rounds.
    preparation: Duration,
    notes: BTreeSet<String>,
}

impl<'a> Observed<'a> {
    /// Opens the files of a server that listens at `port` and may use `cpus`, and looks at its threads, before it is loaded: they
    /// wait for work. `planned` is the length of all its rounds, which limits the time for its interpreters.
    #[must_use]
    pub fn open(launch: &'a Launch, port: u16, cpus: f64, planned: Duration) -> Self {
        let (before, most) = (thread_cpu(), budget::preparation(planned));
        let mut server = Self {
            launch,
            port,
            cpus,
            sockets: None,
            netstat: None,
            overflows: None,
            of_machine: !launch.has_own_network(),
            processes: BTreeMap::new(),
            queue: Samples::default(),
            threads: ThreadObserver::default(),
            tally: Tally::default(),
            preparation: Duration::ZERO,
            notes: BTreeSet::new(),
        };
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
        let may_go_on = || thread_cpu().saturating_sub(before) < most;
        server.threads = ThreadObserver::prepare(server.port, &pids, may_go_on);
        server.preparation = thread_cpu().saturating_sub(before);
        server
    }

    /// Reads the counters at the begin of a round.
    fn begin(&mut self) {
        let pids = self.launch.pids();
        self.processes.retain(|pid, _| pids.contains(pid));
        self.look(&pids, true);
        self.threads.refresh(&pids);
        self.overflows = self.count_overflows();
        (self.queue, self.tally) = (Samples::default(), Tally::default());
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
                ticks: [0; 2],
                threads: BTreeMap::new(),
                used: Times::default(),
            });
            if first {
                process.ticks = [stat.own_ticks; 2];
                process.threads.clear();
                process.used = Times::default();
            }
            process.ticks[1] = stat.own_ticks.max(process.ticks[1]);
            let mut threads = BTreeMap::new();
            for (task, now) in times(pid, stat.threads) {
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

    fn finish(&mut self) -> WaitRecord {
        self.refresh();
        let overflows = self.overflows.zip(self.count_overflows());
        let mut accept_queue = std::mem::take(&mut self.queue).finish();
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
            .iter()
            .map(|(&pid, process)| {
                let [then, now] = process.ticks;
                // Ticks include threads that have ended; nanoseconds are exact.
                let ticks = now.saturating_sub(then) as f64 * tick;
                ProcessCpu {
                    pid,
                    parent: process.parent,
                    name: process.name.clone(),
                    command: process.command.clone(),
                    cpu_seconds: (process.used.cpu as f64 / 1e9).max(ticks - 2.0 * tick),
                    runnable_seconds: process.used.runnable as f64 / 1e9,
                }
            })
            .collect();
        let workers = workers::workers(&processes);
        let (samples, waits) = std::mem::take(&mut self.tally).finish();
        if self.threads.is_denied() {
            self.notes.insert(
                "waits of threads are unknown: permission denied for /proc/PID/syscall; run as root or with CAP_SYS_PTRACE".to_owned(),
            );
        }
        let threads = (!processes.is_empty()).then(|| ThreadStates {
            threads: self
                .processes
                .values()
                .map(|process| process.threads.len() as u64)
                .sum(),
            cpu_seconds: processes.iter().map(|process| process.cpu_seconds).sum(),
            runnable_seconds: processes.iter().map(|process| process.runnable_seconds).sum(),
            samples,
            waits,
        });
        WaitRecord {
            cpus: self.cpus,
            workers,
            accept_queue,
            threads,
            observer_cpu_seconds: 0.0,
            notes: self.notes.iter().cloned().collect(),
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
fn times(pid: u32, threads: u64) -> Vec<(u32, Times)> {
    if threads == 1 {
        // The only thread is the first, and needs no listing.
        return times_of(pid, pid).into_iter().collect();
    }
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let times = tasks.filter_map(|task| times_of(pid, task.file_name().to_str()?.parse().ok()?));
    times.collect()
}

fn times_of(pid: u32, task: u32) -> Option<(u32, Times)> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{task}/schedstat")).ok()?;
    let (cpu, runnable) = workers::schedstat(&text)?;
    Some((task, Times { cpu, runnable }))
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
