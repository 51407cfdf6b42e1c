//! The profile of one launch: its samples as microseconds of CPU per request.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Frame,
    sampler::{Sampled, ThreadSamples},
};

/// Name of the frame of CPU time outside of the sampled threads.
const OUTSIDE: &str = "threads and processes that ended between samples";

/// A stack and its times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stack {
    /// Indexes of frames, outermost first.
    pub frames: Vec<u32>,
    /// Microseconds of CPU per request.
    pub running: f64,
    /// Microseconds of waiting per request, summed over threads.
    pub waiting: f64,
}

/// The share of one kind of thread.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ThreadShare {
    /// Name of the process.
    pub process: String,
    /// Name of the thread.
    pub thread: String,
    /// Number of such threads.
    pub threads: usize,
    /// Microseconds of CPU per request.
    pub running: f64,
}

/// The profile of one launch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LaunchProfile {
    /// Requests answered while it was sampled.
    pub requests: u64,
    /// CPU time per request, microseconds.
    pub cpu_us: f64,
    /// Frames.
    pub frames: Vec<Frame>,
    /// Stacks.
    pub stacks: Vec<Stack>,
    /// Threads by name, those with the most CPU time first.
    pub threads: Vec<ThreadShare>,
    /// Time per request in which threads were on a CPU or ready for one, microseconds, summed over threads; 0 if their CPU time is
    /// not known.
    #[serde(default)]
    pub ready_us: f64,
    /// Samples of running threads.
    pub running_samples: u64,
    /// Samples of waiting threads.
    pub waiting_samples: u64,
    /// Stacks that changed while they were read.
    pub discarded: u64,
    /// Samples taken each second.
    pub per_second: f64,
    /// Most processes at once.
    pub processes: usize,
    /// Versions of Python.
    pub pythons: Vec<String>,
    /// Reasons why a process could not be sampled.
    pub problems: Vec<String>,
}

/// Turns the samples of a launch into microseconds per request. `cpu_seconds` is the server's CPU time in the same interval; if it
/// is `None`, the sum of the sampled threads' CPU times is used.
///
/// A thread's CPU time is divided among its stacks by their samples. So a thread that is ready and waits for a CPU does not
/// count for more than it used.
#[must_use]
pub fn profile(sampled: Sampled, requests: u64, cpu_seconds: Option<f64>) -> LaunchProfile {
    let (running_samples, waiting_samples) = (sampled.running(), sampled.waiting());
    let used: Vec<f64> = sampled.threads.iter().map(|thread| cpu_us(thread, &sampled)).collect();
    let of_threads: f64 = used.iter().sum();
    let whole = cpu_seconds.map_or(of_threads, |seconds| seconds * 1e6);
    // The rounds of a launch and its samples do not begin in the same microsecond: never more than the whole.
    let scale = if of_threads > whole && of_threads > 0.0 {
        whole / of_threads
    } else {
        1.0
    };
    let per_request = 1.0 / float(requests.max(1));
    let mut times: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
    let mut attributed = 0.0;
    for (thread, used) in sampled.threads.iter().zip(&used) {
        let all: u64 = thread.running.values().sum();
        for (stack, count) in &thread.running {
            let share = used * scale * float(*count) / float(all.max(1));
            attributed += share;
            times.entry(*stack).or_default().0 += share * per_request;
        }
        let each = sampled.seconds * 1e6 / float(sampled.waiting_ticks.max(1));
        for (stack, count) in &thread.waiting {
            times.entry(*stack).or_default().1 += float(*count) * each * per_request;
        }
    }
    let ready: f64 = sampled
        .threads
        .iter()
        .filter(|thread| thread.cpu_ns.is_some())
        .map(|thread| ready_us(thread, &sampled))
        .sum();
    let mut frames = sampled.frames;
    let mut stacks: Vec<Stack> = times
        .into_iter()
        .filter_map(|(stack, (running, waiting))| {
            let frames = sampled.stacks.get(stack as usize)?.clone();
            Some(Stack {
                frames,
                running,
                waiting,
            })
        })
        .collect();
    let rest = (whole - attributed) * per_request;
    if rest > 0.0 {
        let frame = u32::try_from(frames.len()).unwrap_or(u32::MAX);
        frames.push(Frame::other(OUTSIDE));
        stacks.push(Stack {
            frames: vec![frame],
            running: rest,
            waiting: 0.0,
        });
    }
    let mut threads: BTreeMap<(&str, &str), (usize, f64)> = BTreeMap::new();
    for (thread, used) in sampled.threads.iter().zip(&used) {
        let entry = threads.entry((&thread.process, &thread.thread)).or_default();
        entry.0 += 1;
        entry.1 += used * scale * per_request;
    }
    let mut threads: Vec<ThreadShare> = threads
        .into_iter()
        .map(|((process, thread), (threads, running))| ThreadShare {
            process: process.to_owned(),
            thread: thread.to_owned(),
            threads,
            running,
        })
        .collect();
    threads.sort_by(|a, b| b.running.total_cmp(&a.running));
    LaunchProfile {
        requests,
        cpu_us: whole * per_request,
        frames,
        stacks,
        threads,
        ready_us: ready * per_request,
        running_samples,
        waiting_samples,
        discarded: sampled.discarded,
        per_second: float(sampled.ticks) / sampled.seconds.max(1e-9),
        processes: sampled.processes,
        pythons: sampled.pythons.into_iter().collect(),
        problems: sampled.problems.into_iter().collect(),
    }
}

/// CPU time of a thread while it was sampled, microseconds; by its samples where the kernel does not account for it.
fn cpu_us(thread: &ThreadSamples, sampled: &Sampled) -> f64 {
    match thread.cpu_ns {
        // Without a sample nothing is known about it.
        Some(_) if thread.running.is_empty() => 0.0,
        Some(ns) => float(ns) / 1e3,
        None => ready_us(thread, sampled),
    }
}

/// Time in which a thread was on a CPU or ready for one, by its samples, microseconds.
fn ready_us(thread: &ThreadSamples, sampled: &Sampled) -> f64 {
    let running: u64 = thread.running.values().sum();
    float(running) * sampled.seconds * 1e6 / float(sampled.ticks.max(1))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "samples, requests and nanoseconds of a launch are far below 2^52"
)]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thread(cpu_ns: Option<u64>, running: &[(u32, u64)], waiting: &[(u32, u64)]) -> ThreadSamples {
        ThreadSamples {
            process: "gunicorn".to_owned(),
            thread: "gunicorn".to_owned(),
            cpu_ns,
            running: running.iter().copied().collect(),
            waiting: waiting.iter().copied().collect(),
        }
    }

    fn sampled(threads: Vec<ThreadSamples>) -> Sampled {
        Sampled {
            frames: ["a", "b"].map(Frame::other).to_vec(),
            stacks: vec![vec![0], vec![0, 1]],
            threads,
            seconds: 2.0,
            ticks: 200,
            waiting_ticks: 20,
            ..Sampled::default()
        }
    }

    #[test]
    fn a_thread_divides_its_own_cpu_time() {
        // The second thread is ready as often as the first, but used a tenth of the CPU.
        let threads = vec![
            thread(Some(1_000_000_000), &[(0, 50), (1, 50)], &[]),
            thread(Some(100_000_000), &[(1, 100)], &[(0, 10)]),
        ];
        let profile = profile(sampled(threads), 1_000, Some(1.2));
        assert!((profile.cpu_us - 1_200.0).abs() < 1e-9);
        let running: Vec<f64> = profile.stacks.iter().map(|stack| stack.running).collect();
        assert!(
            (running[0] - 500.0).abs() < 1e-9 && (running[1] - 600.0).abs() < 1e-9,
            "{running:?}"
        );
        // The rest is CPU time of what was not sampled.
        assert!((running[2] - 100.0).abs() < 1e-9, "{running:?}");
        assert!((running.iter().sum::<f64>() - profile.cpu_us).abs() < 1e-9);
        // Half of the time of one thread, by a thousand requests.
        assert!((profile.stacks[0].waiting - 1_000.0).abs() < 1e-9);
        assert_eq!((profile.threads.len(), profile.threads[0].threads), (1, 2));
        // Two threads in half of the samples of two seconds each, by a thousand requests.
        assert!((profile.ready_us - 2_000.0).abs() < 1e-9, "{}", profile.ready_us);
    }

    #[test]
    fn stacks_never_add_up_to_more_than_the_server_used() {
        let threads = vec![thread(Some(1_000_000_000), &[(0, 10)], &[])];
        let profile = profile(sampled(threads), 1_000, Some(0.5));
        assert_eq!(profile.stacks.len(), 1);
        assert!((profile.stacks[0].running - 500.0).abs() < 1e-9);
    }

    #[test]
    fn samples_stand_for_cpu_time_that_is_not_accounted_for() {
        let profile = profile(sampled(vec![thread(None, &[(0, 100)], &[])]), 1_000, None);
        assert!((profile.cpu_us - 1_000.0).abs() < 1e-9, "{}", profile.cpu_us);
    }

    #[test]
    fn a_launch_without_samples_is_all_unknown() {
        let profile = profile(sampled(vec![thread(Some(5_000), &[], &[])]), 0, Some(0.1));
        assert_eq!(profile.stacks.len(), 1);
        assert!(profile.frames[2].function.contains("ended between samples"));
    }
}
