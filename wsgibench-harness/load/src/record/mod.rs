//! Records a worker's figures during a round, and merges those of all workers.

mod merge;
mod second;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

pub(crate) use merge::{Circumstances, add, merge};
pub(crate) use second::SecondPart;

use super::{
    clock::Nanos,
    result::{Counts, ErrorKind, Latency},
};

/// Figures of one worker in one round, or of several after they were added.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// Number of workers.
    pub(crate) workers: u32,
    pub(crate) counts: Counts,
    pub(crate) errors: [u64; ErrorKind::ALL.len()],
    /// The reason of the first failure of each kind.
    pub(crate) error_samples: Vec<(ErrorKind, String)>,
    /// Failures by index of the check.
    pub(crate) failed_checks: Vec<u64>,
    pub(crate) samples: Vec<Option<String>>,
    pub(crate) response: Latency,
    pub(crate) service: Latency,
    pub(crate) connect: Latency,
    pub(crate) lag: Latency,
    pub(crate) queue: Latency,
    pub(crate) bytes_sent: u64,
    pub(crate) bytes_received: u64,
    pub(crate) wanted: u64,
    pub(crate) established: u64,
    pub(crate) opened: u64,
    pub(crate) fairness: Fairness,
    /// Arrivals of the schedule in the round.
    pub(crate) scheduled: u64,
    pub(crate) users_arrived: u64,
    pub(crate) users_finished: u64,
    pub(crate) users_active: u64,
    pub(crate) series: Vec<SecondPart>,
    pub(crate) start: Nanos,
    pub(crate) end: Nanos,
    pub(crate) cpu_ns: u64,
    pub(crate) spin_ns: u64,
    pub(crate) delay_ns: u64,
    /// By index in the mix; empty where requests are not recorded one by one.
    pub(crate) requests: Vec<RequestTally>,
}

/// Figures of one request of the mix.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct RequestTally {
    pub(crate) done: u64,
    pub(crate) failed: u64,
    pub(crate) response: Latency,
}

/// Sums for Jain's index over the responses of each connection (or user).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fairness {
    pub(crate) members: u64,
    pub(crate) served: u64,
    sum: f64,
    squares: f64,
}

impl Fairness {
    #[expect(
        clippy::cast_precision_loss,
        reason = "answers of one connection stay far below 2^53"
    )]
    pub(crate) fn add(&mut self, answers: u64) {
        self.members += 1;
        self.served += u64::from(answers > 0);
        self.sum += answers as f64;
        self.squares += (answers as f64).powi(2);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.members += other.members;
        self.served += other.served;
        self.sum += other.sum;
        self.squares += other.squares;
    }

    /// Returns Jain's index: 1 for equal shares, 1/n if one member had all responses, 0 without responses.
    #[expect(clippy::cast_precision_loss, reason = "connections stay far below 2^53")]
    pub(crate) fn jain(&self) -> f64 {
        if self.squares > 0.0 {
            self.sum * self.sum / (self.members as f64 * self.squares)
        } else {
            0.0
        }
    }
}

impl Tally {
    pub(crate) fn new(checks: usize, requests: usize) -> Self {
        Self {
            workers: 1,
            counts: Counts::default(),
            errors: [0; ErrorKind::ALL.len()],
            failed_checks: vec![0; checks],
            error_samples: Vec::new(),
            samples: vec![None; checks],
            response: Latency::new(),
            service: Latency::new(),
            connect: Latency::new(),
            lag: Latency::new(),
            queue: Latency::new(),
            bytes_sent: 0,
            bytes_received: 0,
            wanted: 0,
            established: 0,
            opened: 0,
            fairness: Fairness::default(),
            scheduled: 0,
            users_arrived: 0,
            users_finished: 0,
            users_active: 0,
            series: Vec::new(),
            start: 0,
            end: 0,
            cpu_ns: 0,
            spin_ns: 0,
            delay_ns: 0,
            requests: std::iter::repeat_with(RequestTally::default).take(requests).collect(),
        }
    }
}

/// Records the figures of a round. What is recorded between rounds (bytes, connections) is dropped when the next one
/// starts; requests are recorded only if they belong to a round.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(crate) tally: Tally,
    /// Response times of the current second; merged when it ends.
    second: Histogram<u64>,
    second_done: u64,
    second_errors: u64,
    /// 99th percentile of the last whole second, ns.
    pub(crate) last_p99: u64,
}

impl Recorder {
    /// Creates a recorder for so many checks, and so many requests recorded one by one.
    pub(crate) fn new(checks: usize, requests: usize) -> Self {
        Self {
            tally: Tally::new(checks, requests),
            second: Latency::new().histogram,
            second_done: 0,
            second_errors: 0,
            last_p99: 0,
        }
    }

    /// Records a response that passed its checks.
    #[inline]
    pub(crate) fn done(&mut self, response_ns: u64, service_ns: u64) {
        self.tally.counts.done += 1;
        self.second_done += 1;
        self.second.saturating_record(response_ns);
        self.tally.service.histogram.saturating_record(service_ns);
    }

    /// Records that a response of [`done`](Self::done) was to this request of the mix.
    #[inline]
    pub(crate) fn done_of(&mut self, request: u32, response_ns: u64) {
        if let Some(of) = self.tally.requests.get_mut(request as usize) {
            of.done += 1;
            of.response.histogram.saturating_record(response_ns);
        }
    }

    /// Records that a failure was of this request of the mix.
    pub(crate) fn failed_of(&mut self, request: u32) {
        if let Some(of) = self.tally.requests.get_mut(request as usize) {
            of.failed += 1;
        }
    }

    /// Records that a censored request was this one of the mix.
    pub(crate) fn censored_of(&mut self, request: u32, response_ns: u64) {
        if let Some(of) = self.tally.requests.get_mut(request as usize) {
            of.response.record_censored_ns(response_ns);
        }
    }

    pub(crate) fn failed(&mut self, kind: ErrorKind) {
        self.tally.counts.failed += 1;
        self.tally.errors[kind.index()] += 1;
        self.second_errors += 1;
    }

    /// Keeps the reason of the first failure of a kind.
    #[cold]
    pub(crate) fn explain(&mut self, kind: ErrorKind, reason: impl FnOnce() -> String) {
        let samples = &mut self.tally.error_samples;
        if !samples.iter().any(|(known, _)| *known == kind) {
            samples.push((kind, reason()));
        }
    }

    pub(crate) fn failed_check(&mut self, check: u16, kind: ErrorKind) {
        if let Some(count) = self.tally.failed_checks.get_mut(usize::from(check)) {
            *count += 1;
        }
        self.failed(kind);
    }

    /// Records a request known only to have taken at least this long. `service_ns` is `None` for a request that was never sent.
    pub(crate) fn censored(&mut self, response_ns: u64, service_ns: Option<u64>) {
        self.tally.counts.censored += 1;
        self.tally.response.record_censored_ns(response_ns);
        if let Some(ns) = service_ns {
            self.tally.service.record_censored_ns(ns);
        }
    }

    pub(crate) fn timed_out(&mut self, response_ns: u64, service_ns: u64) {
        self.censored(response_ns, Some(service_ns));
        self.tally.counts.timed_out += 1;
        self.second_errors += 1;
    }

    /// Records a request that was due and never sent.
    pub(crate) fn unsent(&mut self, waited_ns: u64) {
        self.tally.counts.unsent += 1;
        self.tally.response.record_censored_ns(waited_ns);
    }

    pub(crate) fn done_or_failed(&self) -> (u64, u64) {
        let counts = &self.tally.counts;
        (counts.done, counts.failed + counts.timed_out)
    }

    /// Ends the current second; `at` is its start in the round.
    pub(crate) fn end_second(&mut self, at: Nanos, active: u64) {
        let mut part = SecondPart::new(at, self.second_done, self.second_errors, active);
        for bucket in self.second.iter_recorded() {
            let value = bucket.value_iterated_to();
            let count = bucket.count_since_last_iteration();
            // Same bounds on both sides: nothing is out of range.
            self.tally.response.histogram.saturating_record_n(value, count);
            part.add(value, count);
        }
        self.last_p99 = part.quantile(0.99);
        self.tally.series.push(part);
        self.second.reset();
        self.second_done = 0;
        self.second_errors = 0;
    }

    /// Ends the round and returns its figures.
    pub(crate) fn take(&mut self) -> Tally {
        self.second.reset();
        self.second_done = 0;
        self.second_errors = 0;
        let next = Tally::new(self.tally.failed_checks.len(), self.tally.requests.len());
        std::mem::replace(&mut self.tally, next)
    }
}

#[cfg(test)]
mod tests;
