//! States of a server's threads, and what they wait for in requests.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::blocked::Cause;

/// Most waits of a round that are recorded.
const MOST: usize = 8;

/// The threads of a server in a round.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ThreadStates {
    /// Number of threads at the end of the round, those that wait for work included.
    pub threads: u64,
    /// CPU time of all threads, seconds.
    pub cpu_seconds: f64,
    /// Time for which threads were ready and waited for a CPU, seconds; 0 if the kernel does not account for it.
    pub runnable_seconds: f64,
    /// Number of samples; 0 if system calls are not visible.
    pub samples: u64,
    /// Waits of threads that handle requests, the longest first. Excludes threads without work.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits: Vec<ThreadWait>,
}

/// Something that threads waited for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ThreadWait {
    /// Kind.
    pub cause: Cause,
    /// Other end of a socket, or the file.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub target: String,
    /// Python function and line that waited, if known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub place: String,
    /// Number of samples.
    pub samples: u64,
    /// Mean number of threads that waited so.
    pub threads: f64,
}

/// A thread that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Thread id.
    pub task: u32,
    /// Kind.
    pub cause: Cause,
    /// Other end of a socket, or the file.
    pub target: String,
    /// Identifies the Python functions of its stack; `None` if it has none that is known.
    pub stack: Option<u64>,
    /// Python function and line that waits.
    pub place: String,
}

/// What threads wait for without load: work. A thread that waits so under load has none, whatever it waits for: pools wait for
/// the lock of their queue as a request waits for a lock.
#[derive(Clone, Debug, Default)]
pub struct Idle {
    stacks: BTreeSet<(u64, Cause)>,
    tasks: BTreeSet<(u32, Cause)>,
}

impl Idle {
    /// Adds a thread that waits without load.
    pub fn add(&mut self, waiting: &Waiting) {
        match waiting.stack {
            Some(stack) => self.stacks.insert((stack, waiting.cause)),
            None => self.tasks.insert((waiting.task, waiting.cause)),
        };
    }

    /// Whether a thread has no work.
    #[must_use]
    pub fn contains(&self, waiting: &Waiting) -> bool {
        if let Some(stack) = waiting.stack {
            return self.stacks.contains(&(stack, waiting.cause));
        }
        // Threads of pools in other languages wait for work in locks and event loops, and are not told from requests.
        matches!(waiting.cause, Cause::Lock | Cause::Events) || self.tasks.contains(&(waiting.task, waiting.cause))
    }
}

/// Samples of the threads in a round.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    samples: u64,
    waits: BTreeMap<(Cause, String), Tallied>,
}

#[derive(Clone, Debug, Default)]
struct Tallied {
    samples: u64,
    threads: f64,
    places: BTreeMap<String, u64>,
}

impl Tally {
    /// Adds a sample: the waiting threads with work among those that were looked at, each of which stands for `weight` threads.
    pub fn add(&mut self, waiting: impl IntoIterator<Item = Waiting>, weight: f64) {
        self.samples += 1;
        for thread in waiting {
            let wait = self.waits.entry((thread.cause, thread.target)).or_default();
            wait.samples += 1;
            wait.threads += weight;
            *wait.places.entry(thread.place).or_default() += 1;
        }
    }

    /// Returns the number of samples and what threads waited for.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "samples of a round are far below 2^52")]
    pub fn finish(self) -> (u64, Vec<ThreadWait>) {
        let samples = self.samples;
        let mut waits: Vec<ThreadWait> = self
            .waits
            .into_iter()
            .map(|((cause, target), wait)| {
                let place = wait.places.into_iter().max_by_key(|(_, count)| *count);
                ThreadWait {
                    cause,
                    target,
                    place: place.map(|(place, _)| place).unwrap_or_default(),
                    samples: wait.samples,
                    threads: wait.threads / samples.max(1) as f64,
                }
            })
            .collect();
        waits.sort_by(|a, b| b.threads.total_cmp(&a.threads));
        waits.truncate(MOST);
        (samples, waits)
    }
}

/// Returns the name of an address in the text of `/etc/hosts`.
#[must_use]
pub fn host_name<'a>(hosts: &'a str, address: &str) -> Option<&'a str> {
    hosts
        .lines()
        .map(|line| line.split('#').next().unwrap_or(""))
        .find_map(|line| {
            let mut words = line.split_ascii_whitespace();
            (words.next()? == address).then(|| words.next())?
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(task: u32, cause: Cause, stack: Option<u64>) -> Waiting {
        Waiting {
            task,
            cause,
            target: String::new(),
            stack,
            place: stack.map_or_else(String::new, |stack| stack.to_string()),
        }
    }

    #[test]
    fn an_idle_pool_is_told_from_a_lock() {
        let mut idle = Idle::default();
        idle.add(&waiting(7, Cause::Lock, Some(1)));
        assert!(
            idle.contains(&waiting(8, Cause::Lock, Some(1))),
            "any thread of the pool"
        );
        assert!(!idle.contains(&waiting(7, Cause::Lock, Some(2))), "a request");
        assert!(
            !idle.contains(&waiting(7, Cause::Sleep, Some(1))),
            "it sleeps where it waited for work"
        );
        // A thread without Python: only what it did itself.
        idle.add(&waiting(9, Cause::Sleep, None));
        assert!(idle.contains(&waiting(9, Cause::Sleep, None)));
        assert!(!idle.contains(&waiting(10, Cause::Sleep, None)));
        assert!(idle.contains(&waiting(10, Cause::Lock, None)));
    }

    #[test]
    fn samples_become_mean_numbers_of_threads() {
        let mut tally = Tally::default();
        let sleeps = || waiting(1, Cause::Sleep, Some(3));
        tally.add([sleeps(), sleeps(), waiting(2, Cause::Lock, Some(4))], 2.0);
        tally.add([sleeps()], 2.0);
        let (samples, waits) = tally.finish();
        assert_eq!(samples, 2);
        let of: Vec<_> = waits
            .iter()
            .map(|wait| (wait.cause, wait.samples, wait.threads, wait.place.as_str()))
            .collect();
        assert_eq!(of, [(Cause::Sleep, 3, 3.0, "3"), (Cause::Lock, 1, 1.0, "4")]);
        assert_eq!(Tally::default().finish(), (0, Vec::new()));
    }

    #[test]
    fn addresses_have_names_in_the_hosts_file() {
        let hosts = "127.0.0.1 localhost\n# 10.0.0.9 no\n172.18.0.3\tstore other # its store\n172.18.0.4\n";
        assert_eq!(host_name(hosts, "172.18.0.3"), Some("store"));
        assert_eq!(
            (host_name(hosts, "10.0.0.9"), host_name(hosts, "172.18.0.4")),
            (None, None)
        );
    }
}
