//! Samples the threads of a server from outside: which of them run, and in which Python functions they are.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use rand::{RngExt as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::{
    Frame, permission, place,
    python::{AttachError, Interpreter, RawFrame},
    state::{self, Activity, ThreadFiles},
};
use crate::affinity::pin_thread;

/// Interval at which processes and threads are listed again.
const REFRESH: Duration = Duration::from_millis(250);
/// Waiting threads are looked at in one of so many samples: what they wait for changes seldom, and there may be hundreds.
const WAITING_EVERY: u64 = 8;
/// The sampler sleeps at least this many times as long as a sample took, so that it takes at most 4 % of one CPU.
const REST: u32 = 24;
/// Listings after which a process without an interpreter is not asked again.
const ATTEMPTS: u32 = 8;
/// Most characters of a name.
const MOST_CHARACTERS: usize = 200;

/// Settings of the sampler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Samples per second. Intervals vary by half, so that samples do not follow a rhythm of the server.
    pub per_second: u32,
    /// CPU that the sampler is bound to.
    pub cpu: Option<usize>,
    /// Seed of the intervals.
    pub seed: u64,
}

/// The samples of one thread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ThreadSamples {
    /// Name of the process.
    pub process: String,
    /// Name of the thread.
    pub thread: String,
    /// CPU time while it was sampled, nanoseconds; `None` if the kernel does not account for it.
    pub cpu_ns: Option<u64>,
    /// Samples on a CPU or ready to run, by stack.
    pub running: BTreeMap<u32, u64>,
    /// Samples in which it waited, by stack.
    pub waiting: BTreeMap<u32, u64>,
}

/// All samples of a server.
#[derive(Clone, Debug, Default)]
pub struct Sampled {
    /// Frames.
    pub frames: Vec<Frame>,
    /// Stacks of indexes of frames, outermost first.
    pub stacks: Vec<Vec<u32>>,
    /// Threads.
    pub threads: Vec<ThreadSamples>,
    /// Duration of the sampling, seconds.
    pub seconds: f64,
    /// Number of samples.
    pub ticks: u64,
    /// Number of samples in which waiting threads were looked at.
    pub waiting_ticks: u64,
    /// Stacks that changed while they were read.
    pub discarded: u64,
    /// Most processes at once.
    pub processes: usize,
    /// Versions of Python.
    pub pythons: BTreeSet<String>,
    /// Reasons why a process could not be sampled.
    pub problems: BTreeSet<String>,
}

impl Sampled {
    /// Number of samples of running threads.
    #[must_use]
    pub fn running(&self) -> u64 {
        self.threads.iter().flat_map(|thread| thread.running.values()).sum()
    }

    /// Number of samples of waiting threads.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.threads.iter().flat_map(|thread| thread.waiting.values()).sum()
    }
}

/// A sampled thread.
struct Thread {
    files: ThreadFiles,
    name: String,
    cpu_begun: Option<u64>,
    cpu_now: Option<u64>,
    samples: ThreadSamples,
}

/// A sampled process.
struct Process {
    name: String,
    folder: String,
    interpreter: Option<Interpreter>,
    attempts: u32,
    threads: BTreeMap<u32, Thread>,
}

/// Samples the processes that `pids` lists until `stop` is set.
pub fn sample(options: Options, pids: impl Fn() -> Vec<u32>, stop: &AtomicBool) -> Sampled {
    let mut sampler = Sampler::default();
    if let Some(cpu) = options.cpu {
        // On another CPU it disturbs the server a little more, and is as right.
        let _ = pin_thread(cpu);
    }
    let mut random = Xoshiro256PlusPlus::seed_from_u64(options.seed);
    let period = Duration::from_secs(1) / options.per_second.max(1);
    let begun = Instant::now();
    sampler.refresh(&pids(), true);
    let mut refreshed = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let tick = Instant::now();
        if refreshed.elapsed() >= REFRESH {
            sampler.refresh(&pids(), false);
            refreshed = Instant::now();
        }
        sampler.look();
        let cost = tick.elapsed();
        let pause = period.mul_f64(random.random_range(0.5..1.5)).saturating_sub(cost);
        thread::sleep(pause.max(cost * REST));
    }
    sampler.finish(begun.elapsed())
}

#[derive(Default)]
struct Sampler {
    processes: BTreeMap<u32, Process>,
    frames: HashMap<Frame, u32>,
    portable: HashMap<(String, String), String>,
    stacks: HashMap<Vec<u32>, u32>,
    ended: Vec<ThreadSamples>,
    result: Sampled,
}

impl Sampler {
    /// Lists processes and threads again, and reads their CPU time.
    fn refresh(&mut self, pids: &[u32], first: bool) {
        let gone: Vec<u32> = self
            .processes
            .keys()
            .copied()
            .filter(|pid| !pids.contains(pid))
            .collect();
        for pid in gone {
            if let Some(process) = self.processes.remove(&pid) {
                self.ended.extend(process.threads.into_values().map(Thread::finish));
            }
        }
        for &pid in pids {
            let process = self.processes.entry(pid).or_insert_with(|| Process {
                name: state::name(pid, pid),
                folder: folder(pid),
                interpreter: None,
                attempts: 0,
                threads: BTreeMap::new(),
            });
            if process.interpreter.is_none() && process.attempts < ATTEMPTS {
                process.attempts += 1;
                match Interpreter::attach(pid) {
                    Ok(interpreter) => {
                        self.result.pythons.insert(interpreter.version().to_owned());
                        process.interpreter = Some(interpreter);
                    }
                    Err(error @ AttachError::Permission { .. }) => {
                        process.attempts = ATTEMPTS;
                        self.result
                            .problems
                            .insert(format!("{}; {}", without_pid(&error), permission::REMEDY));
                    }
                    Err(error @ AttachError::Version { .. }) => {
                        process.attempts = ATTEMPTS;
                        self.result.problems.insert(without_pid(&error));
                    }
                    // Not every process of a server is an interpreter, and one that has just ended is listed no more.
                    Err(AttachError::NoPython { .. } | AttachError::Gone { .. }) => {}
                }
            }
            let tasks = tasks(pid);
            let replaced = |interpreter: &mut Interpreter| interpreter.refresh(&tasks).is_err();
            if process.interpreter.as_mut().is_some_and(replaced) && process.attempts < ATTEMPTS {
                process.interpreter = None;
            }
            let ended: Vec<u32> = process
                .threads
                .keys()
                .copied()
                .filter(|task| !tasks.contains(task))
                .collect();
            for task in ended {
                self.ended.extend(process.threads.remove(&task).map(Thread::finish));
            }
            for task in tasks {
                if let Some(thread) = process.threads.get_mut(&task) {
                    thread.cpu_now = thread.files.cpu_ns().or(thread.cpu_now);
                } else if let Ok(files) = ThreadFiles::open(pid, task) {
                    let cpu_now = files.cpu_ns();
                    let name = state::name(pid, task);
                    process.threads.insert(
                        task,
                        Thread {
                            // A thread that appears later has used all its CPU time since.
                            cpu_begun: cpu_now.map(|now| if first { now } else { 0 }),
                            cpu_now,
                            samples: ThreadSamples {
                                process: process.name.clone(),
                                thread: name.clone(),
                                ..ThreadSamples::default()
                            },
                            name,
                            files,
                        },
                    );
                }
            }
        }
        self.result.processes = self.result.processes.max(self.processes.len());
    }

    /// Takes one sample of every thread.
    fn look(&mut self) {
        let looks_at_waiting = self.result.ticks.is_multiple_of(WAITING_EVERY);
        self.result.ticks += 1;
        self.result.waiting_ticks += u64::from(looks_at_waiting);
        let mut processes = std::mem::take(&mut self.processes);
        for process in processes.values_mut() {
            let Process {
                name,
                folder,
                interpreter,
                threads,
                ..
            } = process;
            for (task, thread) in threads {
                let Ok(activity) = thread.files.activity() else {
                    continue;
                };
                if activity != Activity::Running && !looks_at_waiting {
                    continue;
                }
                let frames = match interpreter.as_mut().and_then(|interpreter| interpreter.frames(*task)) {
                    Some(Ok(frames)) => frames,
                    Some(Err(_)) => {
                        self.result.discarded += 1;
                        continue;
                    }
                    None => Vec::new(),
                };
                let stack = self.stack(&frames, name, &thread.name, folder, activity);
                let samples = match activity {
                    Activity::Running => &mut thread.samples.running,
                    Activity::Waiting(_) => &mut thread.samples.waiting,
                };
                *samples.entry(stack).or_default() += 1;
            }
        }
        self.processes = processes;
    }

    /// Returns the number of a stack.
    fn stack(&mut self, frames: &[RawFrame], process: &str, thread: &str, folder: &str, activity: Activity) -> u32 {
        let mut stack: Vec<u32> = Vec::with_capacity(frames.len() + 1);
        for frame in frames.iter().rev() {
            let frame = self.portable(frame, folder);
            stack.push(self.frame(frame));
        }
        if frames.is_empty() {
            let name = if thread == process {
                format!("{process}, no Python function")
            } else {
                format!("{process}, thread {thread}, no Python function")
            };
            stack.push(self.frame(Frame::other(&shortened(&name))));
        }
        if let Activity::Waiting(Some(number)) = activity {
            stack.push(self.frame(Frame::other(&state::call(number))));
        }
        let next = number(self.stacks.len());
        *self.stacks.entry(stack).or_insert(next)
    }

    fn frame(&mut self, frame: Frame) -> u32 {
        let next = number(self.frames.len());
        *self.frames.entry(frame).or_insert(next)
    }

    fn portable(&mut self, frame: &RawFrame, folder: &str) -> Frame {
        let key = (frame.file.clone(), folder.to_owned());
        let file = self
            .portable
            .entry(key)
            .or_insert_with(|| shortened(&place::portable(&frame.file, folder)))
            .clone();
        Frame {
            function: shortened(&frame.function),
            file,
            line: frame.line.max(0),
            first_line: frame.first_line.max(0),
        }
    }

    fn finish(mut self, elapsed: Duration) -> Sampled {
        let processes = std::mem::take(&mut self.processes);
        for process in processes.into_values() {
            for mut thread in process.threads.into_values() {
                thread.cpu_now = thread.files.cpu_ns().or(thread.cpu_now);
                self.ended.push(thread.finish());
            }
        }
        let mut result = self.result;
        result.seconds = elapsed.as_secs_f64();
        result.threads = self.ended;
        result.frames = in_order(self.frames);
        result.stacks = in_order(self.stacks);
        result
    }
}

impl Thread {
    fn finish(self) -> ThreadSamples {
        let cpu_ns = self
            .cpu_now
            .zip(self.cpu_begun)
            .map(|(now, begun)| now.saturating_sub(begun));
        ThreadSamples { cpu_ns, ..self.samples }
    }
}

fn in_order<T>(numbered: HashMap<T, u32>) -> Vec<T> {
    let mut items: Vec<(T, u32)> = numbered.into_iter().collect();
    items.sort_by_key(|(_, number)| *number);
    items.into_iter().map(|(item, _)| item).collect()
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Cuts a name in the middle, and replaces characters that would change the reader's terminal.
pub(super) fn shortened(name: &str) -> String {
    let clean: Vec<char> = name
        .chars()
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .collect();
    if clean.len() <= MOST_CHARACTERS {
        return clean.into_iter().collect();
    }
    let half = MOST_CHARACTERS / 2;
    let (head, tail) = (&clean[..half], &clean[clean.len() - half + 1..]);
    head.iter().chain(&['…']).chain(tail).collect()
}

/// The message about a process without its number, so that many processes have one message.
fn without_pid(error: &AttachError) -> String {
    let text = error.to_string();
    match error {
        AttachError::Version { source, .. } => source.to_string(),
        AttachError::Permission { pid } => text.replace(&format!("process {pid}"), "the server's processes"),
        AttachError::NoPython { .. } | AttachError::Gone { .. } => text,
    }
}

/// Returns the working folder of a process, as it sees it.
pub(super) fn folder(pid: u32) -> String {
    let folder = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
    folder.to_string_lossy().into_owned()
}

fn tasks(pid: u32) -> Vec<u32> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    #[test]
    fn long_names_keep_both_ends() {
        let long = format!("{}<script>{}", "a".repeat(3_000), "b".repeat(1_000));
        let cut = shortened(&long);
        assert_eq!(cut.chars().count(), MOST_CHARACTERS);
        assert!(cut.starts_with("aaa") && cut.ends_with("bbb") && cut.contains('…'));
        assert_eq!(shortened("a\u{1b}[31mb"), "a\u{fffd}[31mb");
    }

    struct Program(Child);

    impl Drop for Program {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn python(program: &str) -> Program {
        let child = Command::new("python3")
            .args(["-c", program])
            .stdout(Stdio::null())
            .spawn();
        Program(child.expect("python3 is a requirement of the harness"))
    }

    fn sampled(pid: u32, enough: impl Fn(&Sampled) -> bool) -> Sampled {
        let options = Options {
            per_second: 500,
            cpu: None,
            seed: 1,
        };
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let stop = AtomicBool::new(false);
            let sampled = thread::scope(|scope| {
                let sampling = scope.spawn(|| sample(options, || vec![pid], &stop));
                thread::sleep(Duration::from_secs(1));
                stop.store(true, Ordering::Relaxed);
                sampling.join().unwrap()
            });
            if enough(&sampled) || Instant::now() > until {
                return sampled;
            }
        }
    }

    fn title(sampled: &Sampled, stack: u32) -> Vec<&str> {
        let stack = &sampled.stacks[stack as usize];
        stack
            .iter()
            .map(|frame| sampled.frames[*frame as usize].function.as_str())
            .collect()
    }

    #[test]
    fn running_and_waiting_threads_are_told_apart() {
        let program = python(
            "
import threading, time
def sleeper():
    time.sleep(600)
def spinner():
    while True:
        pass
threading.Thread(target=sleeper, daemon=True).start()
spinner()
",
        );
        let count = |sampled: &Sampled, select: fn(&ThreadSamples) -> &BTreeMap<u32, u64>, name: &str| -> u64 {
            sampled
                .threads
                .iter()
                .flat_map(select)
                .filter(|(stack, _)| title(sampled, **stack).contains(&name))
                .map(|(_, count)| count)
                .sum()
        };
        // Its first samples may be of its start.
        let sampled = sampled(program.0.id(), |sampled| {
            count(sampled, |t| &t.running, "spinner") >= 20 && count(sampled, |t| &t.waiting, "sleeper") >= 5
        });
        let of = |select, name| count(&sampled, select, name);
        assert!(of(|t| &t.running, "spinner") >= 20, "{sampled:?}");
        assert!(of(|t| &t.waiting, "sleeper") >= 5, "{sampled:?}");
        assert_eq!(of(|t| &t.running, "sleeper"), 0, "{sampled:?}");
        assert_eq!(sampled.pythons.len(), 1);
        assert!(sampled.problems.is_empty(), "{sampled:?}");
        let cpu = sampled.threads.iter().filter_map(|thread| thread.cpu_ns).max();
        assert!(cpu.is_none_or(|cpu| cpu > 1_000_000), "{cpu:?}");
    }

    #[test]
    fn a_process_without_python_has_frames_of_its_name() {
        let program = Program(Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap());
        // Until then it is a copy of this process.
        let until = Instant::now() + Duration::from_secs(20);
        while state::name(program.0.id(), program.0.id()) != "sh" && Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
        let sampled = sampled(program.0.id(), |sampled| sampled.running() >= 5);
        assert!(
            sampled
                .frames
                .iter()
                .any(|frame| frame.function == "[sh, no Python function]"),
            "{sampled:?}"
        );
        assert!(sampled.pythons.is_empty());
    }

    #[test]
    fn a_process_that_ends_keeps_its_samples() {
        let program = python("while True: pass");
        let options = Options {
            per_second: 300,
            cpu: None,
            seed: 1,
        };
        let (stop, pid) = (AtomicBool::new(false), program.0.id());
        let sampled = thread::scope(|scope| {
            let sampling = scope.spawn(|| sample(options, || vec![pid], &stop));
            thread::sleep(Duration::from_millis(1_500));
            drop(program);
            thread::sleep(Duration::from_millis(600));
            stop.store(true, Ordering::Relaxed);
            sampling.join().unwrap()
        });
        assert!(sampled.running() > 0, "{sampled:?}");
    }
}
