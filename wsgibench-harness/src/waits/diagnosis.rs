//! Names what requests wait for, from the observations of all rounds of a case.
//!
//! Thresholds are shares of what the load knows: a queue is compared with the connections in flight, CPU time with what the
//! server could have used. Counters cover whole rounds, and samples are pooled over all rounds, so that few samples of a short
//! round on a busy machine do not decide.

use std::collections::BTreeMap;

use super::{Cause, WaitRecord, workers::jain};

/// Jain's index below which workers are imbalanced: of two workers, one has more than 65 % of the CPU time.
pub const BALANCED: f64 = 0.92;
/// Least CPU time of the workers of a launch, seconds: less is mostly heartbeats, and says nothing about requests.
const LEAST_CPU: f64 = 0.05;
/// Share of its CPUs from which a server is busy.
pub const BUSY: f64 = 0.85;
/// Share of the requests in flight from which the accept queue is named.
const QUEUED: f64 = 0.2;
/// Least mean depth that is named, connections.
const LEAST_DEPTH: f64 = 0.5;
/// A queue is named if it is so many times as deep as the one that a server of this utilization has by chance.
const BEYOND_CHANCE: f64 = 2.0;

/// Share of the time that threads spent on requests from which its largest wait is named.
const WAITED: f64 = 0.3;
/// Least samples of a wait that is named.
const LEAST_SAMPLES: u64 = 5;
/// Least mean number of waiting threads that is named.
const LEAST_WAITING: f64 = 0.05;

/// A round: its observations and what the load knows.
#[derive(Clone, Copy, Debug)]
pub struct Round<'a> {
    /// Number of the launch.
    pub launch: u32,
    /// Length, seconds.
    pub seconds: f64,
    /// Mean number of requests in flight.
    pub in_flight: f64,
    /// CPU time of the server, seconds.
    pub cpu_seconds: Option<f64>,
    /// Share of its CPUs that the load engine used.
    pub engine_busy: f64,
    /// Observations.
    pub waits: &'a WaitRecord,
}

/// Results of a case.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diagnosis {
    /// Rounds that were observed.
    pub rounds: usize,
    /// Number of worker processes; the median over launches.
    pub workers: usize,
    /// Mean share of each worker in the workers' CPU time, the largest first, of the launch with the median index.
    pub shares: Vec<f64>,
    /// Jain's index of the workers' CPU times; the median over launches.
    pub jain: Option<f64>,
    /// Whether the workers of more than half of the launches are imbalanced.
    pub imbalanced: bool,
    /// Mean depth of the accept queue.
    pub queue_mean: Option<f64>,
    /// Largest depth of the accept queue.
    pub queue_max: u64,
    /// Longest accept queue that the server allows.
    pub queue_limit: Option<u64>,
    /// Whether connections wait to be accepted although the server has CPU time left.
    pub queued: bool,
    /// Connections that found the accept queue full; `None` if unknown.
    pub overflows: Option<u64>,
    /// Whether the counter of overflows covers the whole machine.
    pub of_machine: bool,
    /// States of the threads; `None` if they are unknown.
    pub threads: Option<Threads>,
    /// Mean number of requests in flight.
    pub in_flight: f64,
    /// CPU time that the server used or waited for, as a share of what it could use, 0 to 1 or more.
    pub busy: f64,
    /// CPU time that the observation took as a share of one CPU.
    pub cost: f64,
    /// Reasons why a part was not observed.
    pub notes: Vec<String>,
}

/// Mean numbers of threads.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Threads {
    /// On a CPU.
    pub running: f64,
    /// Ready, waiting for a CPU.
    pub runnable: f64,
    /// Waiting, those without work included.
    pub waiting: f64,
    /// Waits of threads with work, the longest first; empty if unknown.
    pub waits: Vec<Wait>,
    /// Whether the largest wait explains why neither the server nor the load engine is busy.
    pub named: bool,
}

/// A wait of threads with work.
#[derive(Clone, Debug, PartialEq)]
pub struct Wait {
    /// Kind.
    pub cause: Cause,
    /// Other end of a socket, or the file.
    pub target: String,
    /// Python function and line that waited, if known.
    pub place: String,
    /// Number of samples.
    pub samples: u64,
    /// Mean number of threads.
    pub threads: f64,
    /// Share of the time that threads spend on requests: running, ready to run or waiting.
    pub share: f64,
}

/// Evaluates the rounds of a case; `None` if none was observed.
#[must_use]
pub fn diagnose(rounds: &[Round]) -> Option<Diagnosis> {
    let seconds: f64 = rounds.iter().map(|round| round.seconds).sum();
    if seconds <= 0.0 {
        return None;
    }
    let over_time =
        |value: &dyn Fn(&Round) -> f64| rounds.iter().map(|round| value(round) * round.seconds).sum::<f64>() / seconds;
    let mut diagnosis = Diagnosis {
        rounds: rounds.len(),
        in_flight: over_time(&|round| round.in_flight),
        busy: over_time(&|round| busy(round)),
        cost: rounds.iter().map(|round| round.waits.observer_cpu_seconds).sum::<f64>() / seconds,
        ..Diagnosis::default()
    };
    balance(rounds, &mut diagnosis);
    queue(rounds, &mut diagnosis);
    let engine = over_time(&|round| round.engine_busy);
    // Arrivals and service at random times: u/(1 - u) customers at a station that is busy for a share u of the time.
    let by_chance = diagnosis.busy / (1.0 - diagnosis.busy).max(1e-9);
    diagnosis.queued = diagnosis.busy < BUSY
        && engine < BUSY
        && diagnosis.queue_mean.is_some_and(|mean| {
            mean >= LEAST_DEPTH + BEYOND_CHANCE * by_chance && mean >= diagnosis.in_flight * QUEUED
        });
    diagnosis.threads = threads(rounds);
    if let Some(threads) = &mut diagnosis.threads {
        threads.named = diagnosis.busy < BUSY
            && engine < BUSY
            && threads.waits.first().is_some_and(|wait| {
                wait.share >= WAITED && wait.samples >= LEAST_SAMPLES && wait.threads >= LEAST_WAITING
            });
    }
    for note in rounds.iter().flat_map(|round| &round.waits.notes) {
        if !diagnosis.notes.contains(note) {
            diagnosis.notes.push(note.clone());
        }
    }
    Some(diagnosis)
}

/// Returns how much of the CPU time that it could use the server used, or was ready to use: of all its CPUs, or of the one CPU
/// that limits its busiest worker, whichever is more. Time in the run queue counts, because a server that waits for a CPU does not
/// wait for anything else.
fn busy(round: &Round) -> f64 {
    let seconds = round.seconds.max(1e-9);
    let workers = &round.waits.workers;
    let runnable: f64 = workers.iter().map(|worker| worker.runnable_seconds).sum();
    let used: f64 = workers.iter().map(|worker| worker.cpu_seconds).sum();
    let cpu = round.cpu_seconds.unwrap_or(0.0).max(used);
    // Threads of one process may wait for each other's lock; more than the CPUs cannot be used.
    let of_all = (cpu + runnable.min(round.waits.cpus * seconds)) / (seconds * round.waits.cpus.max(0.01));
    let of_each = workers
        .iter()
        .map(|worker| (worker.cpu_seconds + worker.runnable_seconds) / seconds);
    #[expect(clippy::cast_precision_loss, reason = "a number of processes")]
    let mean = of_each.sum::<f64>() / workers.len().max(1) as f64;
    of_all.max(mean)
}

fn balance(rounds: &[Round], diagnosis: &mut Diagnosis) {
    let mut launches: Vec<(f64, Vec<f64>)> = Vec::new();
    let mut numbers: Vec<u32> = rounds.iter().map(|round| round.launch).collect();
    numbers.dedup();
    let mut observed = 0;
    for launch in numbers {
        let rounds = rounds.iter().filter(|round| round.launch == launch);
        // By rank: after a worker was replaced, the ranks stay.
        let mut seconds: Vec<f64> = Vec::new();
        for round in rounds {
            for (rank, worker) in round.waits.workers.iter().enumerate() {
                if seconds.len() <= rank {
                    seconds.push(0.0);
                }
                seconds[rank] += worker.cpu_seconds;
            }
        }
        observed = observed.max(seconds.len());
        let all: f64 = seconds.iter().sum();
        if let Some(index) = jain(&seconds).filter(|_| all >= LEAST_CPU) {
            launches.push((index, seconds.iter().map(|seconds| seconds / all).collect()));
        }
    }
    diagnosis.workers = observed;
    launches.sort_by(|a, b| a.0.total_cmp(&b.0));
    // The upper median: an even number of launches is imbalanced if more than half are.
    if let Some((index, shares)) = launches.get(launches.len() / 2) {
        diagnosis.workers = shares.len();
        diagnosis.jain = Some(*index);
        diagnosis.shares.clone_from(shares);
        diagnosis.imbalanced = *index < BALANCED;
    }
}

#[expect(clippy::cast_precision_loss, reason = "samples of a case are far below 2^52")]
fn queue(rounds: &[Round], diagnosis: &mut Diagnosis) {
    let queues = || rounds.iter().filter_map(|round| round.waits.accept_queue.as_ref());
    let samples: u64 = queues().map(|queue| queue.samples).sum();
    if samples > 0 {
        let sum: f64 = queues().map(|queue| queue.mean * queue.samples as f64).sum();
        diagnosis.queue_mean = Some(sum / samples as f64);
        diagnosis.queue_max = queues().map(|queue| queue.max).max().unwrap_or(0);
    }
    diagnosis.queue_limit = queues().filter_map(|queue| queue.limit).max();
    let known = queues().any(|queue| queue.overflows.is_some());
    diagnosis.overflows = known.then(|| queues().map(super::AcceptQueue::own_overflows).sum());
    diagnosis.of_machine = queues().any(|queue| queue.of_machine);
}

/// Samples of a wait: their number, threads times samples, and places.
type Pooled<'a> = (u64, f64, BTreeMap<&'a str, u64>);

/// Returns the states of the threads over all rounds, by time.
#[expect(
    clippy::cast_precision_loss,
    reason = "numbers of threads and of samples are far below 2^52"
)]
fn threads(rounds: &[Round]) -> Option<Threads> {
    let observed = || {
        rounds
            .iter()
            .filter_map(|round| Some((round, round.waits.threads.as_ref()?)))
    };
    let seconds: f64 = observed().map(|(round, _)| round.seconds).sum();
    if seconds <= 0.0 {
        return None;
    }
    let running = observed().map(|(_, threads)| threads.cpu_seconds).sum::<f64>() / seconds;
    let runnable = observed().map(|(_, threads)| threads.runnable_seconds).sum::<f64>() / seconds;
    let all = observed()
        .map(|(round, threads)| threads.threads as f64 * round.seconds)
        .sum::<f64>()
        / seconds;
    // By sample: a round with few samples knows little.
    let samples: u64 = observed().map(|(_, threads)| threads.samples).sum();
    let mut kinds: BTreeMap<(Cause, &str), Pooled> = BTreeMap::new();
    for (_, threads) in observed() {
        for wait in &threads.waits {
            let (count, total, places) = kinds.entry((wait.cause, wait.target.as_str())).or_default();
            *count += wait.samples;
            *total += wait.threads * threads.samples as f64;
            *places.entry(wait.place.as_str()).or_default() += wait.samples;
        }
    }
    let waited = kinds.values().map(|(_, total, _)| total).sum::<f64>() / samples.max(1) as f64;
    let working = running + runnable + waited;
    let mut waits: Vec<Wait> = kinds
        .into_iter()
        .map(|((cause, target), (count, total, places))| {
            let threads = total / samples.max(1) as f64;
            let place = places.into_iter().max_by_key(|(_, count)| *count);
            Wait {
                cause,
                target: target.to_owned(),
                place: place.map_or_else(String::new, |(place, _)| place.to_owned()),
                samples: count,
                threads,
                share: threads / working.max(1e-9),
            }
        })
        .collect();
    waits.sort_by(|a, b| b.threads.total_cmp(&a.threads));
    Some(Threads {
        running,
        runnable,
        waiting: (all - running - runnable).max(0.0),
        waits,
        named: false,
    })
}

impl Wait {
    /// Returns the cause with its target: `a lock`, `a socket to db:5432`.
    #[must_use]
    pub fn noun(&self) -> String {
        let kind = self.cause.name();
        match (self.cause, self.target.as_str()) {
            (_, "") => kind.to_owned(),
            (Cause::Socket, target) => format!("{kind} to {target}"),
            (_, target) => format!("{kind} ({target})"),
        }
    }
}

impl Diagnosis {
    /// Returns what requests wait for, in one line; `None` if nothing stands out.
    #[must_use]
    pub fn line(&self) -> Option<String> {
        let causes: Vec<String> = [
            self.balance_text(),
            self.wait_text(),
            self.queue_text(),
            self.overflow_text(),
        ]
        .into_iter()
        .flatten()
        .collect();
        (!causes.is_empty()).then(|| causes.join("; "))
    }

    fn balance_text(&self) -> Option<String> {
        let (largest, index) = (self.shares.first()?, self.jain?);
        self.imbalanced.then(|| {
            format!(
                "imbalanced workers: {:.0} % of their CPU time on 1 of {} (Jain's index {index:.2})",
                largest * 100.0,
                self.workers
            )
        })
    }

    fn wait_text(&self) -> Option<String> {
        let threads = self.threads.as_ref().filter(|threads| threads.named)?;
        let wait = threads.waits.first()?;
        let place = if wait.place.is_empty() {
            String::new()
        } else {
            format!(", mostly in {}", wait.place)
        };
        Some(format!(
            "{}: {:.0} % of the time that threads spent on requests{place}, while the server used {:.0} % of its CPU time",
            wait.noun(),
            wait.share.min(1.0) * 100.0,
            self.busy.min(1.0) * 100.0
        ))
    }

    fn queue_text(&self) -> Option<String> {
        let mean = self.queue_mean?;
        self.queued.then(|| {
            format!(
                "accept queue: on average {mean:.1} of {:.0} requests in flight waited to be accepted, while the server used {:.0} % of \
                 its CPU time",
                self.in_flight,
                self.busy.min(1.0) * 100.0
            )
        })
    }

    fn overflow_text(&self) -> Option<String> {
        let overflows = self.overflows.filter(|overflows| *overflows > 0)?;
        let scope = if self.of_machine { " on this machine" } else { "" };
        let limit = self
            .queue_limit
            .map_or_else(String::new, |limit| format!(", now {limit}"));
        Some(format!(
            "accept queue overflowed {overflows} times{scope}: connections waited a second or more, or were refused; raise the \
             server's backlog{limit}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::waits::{AcceptQueue, ThreadStates, ThreadWait, WorkerCpu};

    fn record(workers: &[f64], depth: f64, overflows: u64) -> WaitRecord {
        WaitRecord {
            cpus: 1.0,
            workers: workers
                .iter()
                .map(|cpu_seconds| WorkerCpu {
                    name: "python".to_owned(),
                    cpu_seconds: *cpu_seconds,
                    runnable_seconds: 0.0,
                })
                .collect(),
            accept_queue: Some(AcceptQueue {
                samples: 10,
                mean: depth,
                max: 9,
                overflows: Some(overflows),
                ..AcceptQueue::default()
            }),
            threads: None,
            observer_cpu_seconds: 0.002,
            notes: Vec::new(),
        }
    }

    /// A server of which `waiting` threads wait, and those of `cpu` seconds of each second work.
    fn waiting(cpu: f64, cause: Cause, waiting: f64, samples: u64) -> WaitRecord {
        let wait = ThreadWait {
            cause,
            target: if cause == Cause::Socket {
                "store:9000".to_owned()
            } else {
                String::new()
            },
            place: "nap ./app.py:12".to_owned(),
            samples,
            threads: waiting,
        };
        WaitRecord {
            threads: Some(ThreadStates {
                threads: 6,
                cpu_seconds: cpu,
                runnable_seconds: 0.1,
                samples: 40,
                waits: vec![wait],
            }),
            ..record(&[cpu], 0.0, 0)
        }
    }

    fn round(launch: u32, waits: &WaitRecord) -> Round<'_> {
        Round {
            launch,
            seconds: 1.0,
            in_flight: 8.0,
            cpu_seconds: None,
            engine_busy: 0.3,
            waits,
        }
    }

    fn line(waits: &WaitRecord) -> Option<String> {
        diagnose(&[round(0, waits)]).unwrap().line()
    }

    #[test]
    fn controls_name_nothing() {
        assert_eq!(line(&record(&[0.2, 0.2], 0.1, 0)), None, "balanced, and hardly a queue");
        assert_eq!(line(&record(&[0.24, 0.16], 0.0, 0)), None, "60:40 may be chance");
        assert_eq!(
            line(&record(&[0.45, 0.45], 7.0, 0)),
            None,
            "at full CPU the queue is its consequence"
        );
        assert_eq!(line(&record(&[0.02, 0.001], 0.0, 0)), None, "heartbeats");
        assert_eq!(line(&record(&[0.5], 0.0, 0)), None, "one worker");
        assert_eq!(diagnose(&[]), None);
        let engine_busy = record(&[0.2], 7.0, 0);
        let limited = Round {
            engine_busy: 0.97,
            ..round(0, &engine_busy)
        };
        assert_eq!(diagnose(&[limited]).unwrap().line(), None);
    }

    #[test]
    fn what_threads_wait_for_is_named() {
        for (cause, text) in [
            (Cause::Sleep, "sleep: "),
            (Cause::Lock, "lock: "),
            (Cause::Socket, "socket to store:9000: "),
            (Cause::Disk, "disk: "),
        ] {
            let line = line(&waiting(0.1, cause, 1.8, 72)).unwrap();
            assert!(line.starts_with(text), "{line}");
        }
        assert_eq!(
            line(&waiting(0.1, Cause::Sleep, 1.8, 72)).unwrap(),
            "sleep: 90 % of the time that threads spent on requests, mostly in nap ./app.py:12, while the server used 10 % of its CPU \
             time"
        );
        let found = diagnose(&[round(0, &waiting(0.1, Cause::Sleep, 1.8, 72))]).unwrap();
        let threads = found.threads.unwrap();
        assert!((threads.running - 0.1).abs() < 1e-9 && (threads.waiting - 5.8).abs() < 1e-9);
    }

    #[test]
    fn waits_that_explain_nothing_are_not_named() {
        assert_eq!(line(&waiting(0.9, Cause::Lock, 3.0, 120)), None, "the server is busy");
        assert_eq!(
            line(&waiting(0.5, Cause::Sleep, 0.2, 8)),
            None,
            "most of the time is CPU time"
        );
        assert_eq!(line(&waiting(0.01, Cause::Sleep, 0.9, 4)), None, "few samples");
        assert_eq!(line(&waiting(0.0, Cause::Sleep, 0.04, 8)), None, "hardly a thread");
        let sleeps = waiting(0.1, Cause::Sleep, 1.8, 72);
        let limited = Round {
            engine_busy: 0.97,
            ..round(0, &sleeps)
        };
        assert_eq!(diagnose(&[limited]).unwrap().line(), None, "the load engine is busy");
    }

    #[test]
    fn waits_are_pooled_over_rounds_by_their_samples() {
        let (sleep, mut lock) = (waiting(0.1, Cause::Sleep, 1.0, 40), waiting(0.1, Cause::Lock, 3.0, 12));
        lock.threads.as_mut().unwrap().samples = 4;
        let found = diagnose(&[round(0, &sleep), round(0, &lock)]).unwrap().threads.unwrap();
        assert_eq!(found.waits[0].cause, Cause::Sleep);
        assert!((found.waits[0].threads - 40.0 / 44.0).abs() < 1e-9);
    }

    #[test]
    fn an_imbalance_of_70_to_30_is_named() {
        let text = line(&record(&[0.56, 0.24], 0.0, 0)).unwrap();
        assert_eq!(
            text,
            "imbalanced workers: 70 % of their CPU time on 1 of 2 (Jain's index 0.86)"
        );
        // At full CPU too.
        assert!(
            line(&record(&[0.7, 0.3], 7.0, 0))
                .unwrap()
                .starts_with("imbalanced workers")
        );
    }

    #[test]
    fn one_launch_of_three_is_chance() {
        let (even, odd) = (record(&[0.3, 0.3], 0.0, 0), record(&[0.5, 0.1], 0.0, 0));
        let of = |records: [&WaitRecord; 3]| {
            let rounds: Vec<Round> = (0..).zip(records).map(|(launch, waits)| round(launch, waits)).collect();
            diagnose(&rounds).unwrap()
        };
        assert_eq!(of([&even, &odd, &even]).line(), None);
        let mostly = of([&odd, &even, &odd]);
        assert!(mostly.imbalanced && mostly.line().is_some());
        assert!((mostly.jain.unwrap() - 0.36 / 0.52).abs() < 1e-9);
    }

    #[test]
    fn a_queue_is_compared_with_the_requests_in_flight() {
        let text = line(&record(&[0.1], 6.5, 0)).unwrap();
        assert_eq!(
            text,
            "accept queue: on average 6.5 of 8 requests in flight waited to be accepted, while the server used 10 % of its CPU time"
        );
        assert_eq!(line(&record(&[0.1], 1.0, 0)), None);
        // Samples are pooled: one round with few of them does not decide.
        let (long, short) = (record(&[0.1], 0.0, 0), record(&[0.1], 8.0, 0));
        let mut few = short.clone();
        few.accept_queue.as_mut().unwrap().samples = 1;
        assert_eq!(diagnose(&[round(0, &long), round(0, &few)]).unwrap().line(), None);
        assert!(diagnose(&[round(0, &long), round(0, &short)]).unwrap().queued);
    }

    #[test]
    fn the_queue_of_a_server_near_its_limit_is_chance() {
        // A load that is starved of CPU lets a server at full CPU rest for a fifth of the time.
        assert_eq!(line(&record(&[0.78], 2.2, 0)), None);
        assert_eq!(line(&record(&[0.5], 2.4, 0)), None);
        assert!(line(&record(&[0.5], 2.6, 0)).is_some());
    }

    #[test]
    fn a_server_that_waits_for_a_cpu_is_busy() {
        let mut waits = record(&[0.4], 7.0, 0);
        waits.workers[0].runnable_seconds = 0.5;
        assert_eq!(line(&waits), None);
        // One worker of a server with two CPUs, by its one CPU.
        let mut waits = record(&[0.95], 7.0, 0);
        waits.cpus = 2.0;
        assert_eq!(line(&waits), None);
    }

    #[test]
    fn overflows_are_named_whatever_the_cpu() {
        let text = line(&record(&[0.97], 8.0, 12)).unwrap();
        assert!(text.starts_with("accept queue overflowed 12 times: "), "{text}");
        let mut waits = record(&[0.97], 8.0, 12);
        waits.accept_queue.as_mut().unwrap().of_machine = true;
        assert!(line(&waits).unwrap().contains("12 times on this machine"));
        waits.accept_queue.as_mut().unwrap().max = 0;
        assert_eq!(line(&waits), None, "those of another server");
    }

    #[test]
    fn notes_are_listed_once() {
        let mut waits = record(&[0.1], 0.0, 0);
        waits.notes = vec!["not permitted".to_owned()];
        let diagnosis = diagnose(&[round(0, &waits), round(1, &waits)]).unwrap();
        assert_eq!(diagnosis.notes, ["not permitted"]);
        assert!((diagnosis.cost - 0.002).abs() < 1e-12);
    }
}
