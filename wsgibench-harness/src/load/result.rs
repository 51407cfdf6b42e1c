//! What a load gave: counts that add up, latencies that hide nothing.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::clock::nanos;

/// All rounds of a plan.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LoadResult {
    /// Round by round.
    pub rounds: Vec<RoundResult>,
}

/// One measured interval.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RoundResult {
    /// Its length as measured, seconds.
    pub seconds: f64,
    /// Requests, counted once each.
    pub counts: Counts,
    /// Failures by kind; sums to `counts.failed`.
    pub errors: Vec<(ErrorKind, u64)>,
    /// What was wrong, by kind, in the first failure whose reason is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub error_samples: Vec<(ErrorKind, String)>,
    /// Failed checks by name with one sample of what came instead; sums to the `check_failed` and `status` errors.
    pub failed_checks: Vec<FailedCheck>,
    /// Intended start to last byte, of right answers; in a closed loop it differs from the service time by the time a new
    /// connection takes. Censored and unsent requests are in it as lower bounds.
    pub response_time: Latency,
    /// First byte sent to last byte received, of right answers; censored requests are in it as lower bounds.
    pub service_time: Latency,
    /// Connection asked for to connection established.
    pub connect_time: Latency,
    /// Due and noticed late: the engine's fault.
    pub client_lag: Latency,
    /// Due (and noticed) while every connection was busy, until one was free: the server's fault, part of response time.
    pub queue_wait: Latency,
    /// Bytes sent.
    pub bytes_sent: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Connections.
    pub connections: Connections,
    /// Users, where the load is one of users.
    #[serde(default)]
    pub users: Option<Users>,
    /// Requests per second that the schedule asked for; `None` in a closed loop.
    pub offered_rate: Option<f64>,
    /// Per second of the round.
    pub series: Vec<Second>,
    /// Worker threads of the engine.
    #[serde(default)]
    pub workers: u32,
    /// CPU time of the engine's workers, seconds.
    pub engine_cpu_seconds: f64,
    /// Of it: time that pacing spent spinning, waiting for the next arrival.
    #[serde(default)]
    pub engine_spin_seconds: f64,
    /// CPU time without the spinning, as a share of workers x round (0 to 1): how near the engine is to its ceiling.
    pub engine_busy_share: f64,
    /// Time the workers were runnable and did not run (`/proc/thread-self/schedstat`), seconds.
    pub run_queue_delay_seconds: f64,
    /// Named steps of scripted users, in order of first use.
    pub steps: Vec<Step>,
}

/// Requests of a round. `offered == done + failed + censored + unsent`, asserted in every round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Requests due in the round, and those in flight when it began (closed loops carry them over).
    pub offered: u64,
    /// Answered, and rightly.
    pub done: u64,
    /// Ended with an error: a wrong answer, no connection, or a connection that was lost after the server had received the
    /// request.
    pub failed: u64,
    /// Timed out, or in flight when the round ended: known only to have lasted at least so long.
    pub censored: u64,
    /// Due and never sent.
    pub unsent: u64,
    /// Of `censored`: those that reached the timeout.
    pub timed_out: u64,
    /// Requests sent again on a new connection, as the server had closed the old one without reading them (RFC 9110, 9.2.2;
    /// not counted twice above). A request that is not idempotent is never among them once a byte of it has left.
    pub retried: u64,
}

impl Counts {
    /// `offered == done + failed + censored + unsent`.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        self.offered == self.done + self.failed + self.censored + self.unsent
    }

    /// Adds the counts of another worker, stripe or round.
    pub fn merge(&mut self, other: &Self) {
        self.offered += other.offered;
        self.done += other.done;
        self.failed += other.failed;
        self.censored += other.censored;
        self.unsent += other.unsent;
        self.timed_out += other.timed_out;
        self.retried += other.retried;
    }
}

/// A latency distribution with its censored part.
#[derive(Clone, Debug)]
pub struct Latency {
    /// Nanoseconds, three significant figures, 1 ns to 1 h; censored samples are in it at the value they had reached.
    pub histogram: Histogram<u64>,
    /// Samples in it that are only lower bounds. A percentile at or above the smallest of these is "at least".
    pub censored: u64,
    /// Smallest censored value, ns.
    pub censored_from: Option<u64>,
}

/// Connections of a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Connections {
    /// Asked for by the load model (idle ones beside the load are counted nowhere here). Under `users`: users who
    /// arrived; under an open load: the most that were needed at one time. Of scripted users: those who asked for something
    /// in the round (who only thinks has no claim to an answer).
    pub wanted: u64,
    /// Established at most at one time.
    pub established: u64,
    /// Newly opened in the round: each costs a port.
    pub opened: u64,
    /// Connections (or users) with at least one complete answer.
    pub served: u64,
    /// Jain's fairness index of answers per connection, 0 to 1.
    pub jain: f64,
}

/// Users of a round: each arrived one has finished or is active at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Users {
    /// Came in the round.
    pub arrived: u64,
    /// Made all their requests (rightly answered or not) and left.
    pub finished: u64,
    /// Still there when the round ended.
    pub active: u64,
}

/// One second of a round. Percentiles are within 1 %.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// Start, seconds from the start of the round.
    pub at: f64,
    /// Answered.
    pub done: u64,
    /// Failed or timed out.
    pub errors: u64,
    /// Median response time, ns (0 with no answer).
    pub p50_ns: u64,
    /// 99th percentile, ns.
    pub p99_ns: u64,
    /// Mean response time, ns.
    pub mean_ns: u64,
    /// Connections or users active at the end of the second.
    pub active: u64,
}

/// A check that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedCheck {
    /// Its name, e.g. `status 200` or the name a script gave.
    pub name: String,
    /// How often.
    pub count: u64,
    /// The first answer that failed it, cut to 512 bytes.
    pub sample: String,
}

impl FailedCheck {
    /// Joins a list that has each name once; the first sample stays.
    pub(crate) fn join(self, list: &mut Vec<Self>) {
        match list.iter_mut().find(|known| known.name == self.name) {
            Some(known) => known.count += self.count,
            None => list.push(self),
        }
    }
}

/// A named step of a scripted user.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Step {
    /// Name.
    pub name: String,
    /// Response times.
    pub latency: Latency,
    /// Failures in it.
    pub failed: u64,
}

/// Why a request failed. One flat list; every failure is exactly one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The name did not resolve.
    Dns,
    /// Connection refused: nobody listens.
    Refused,
    /// No route to the address.
    Unreachable,
    /// No answer to the connection request in time (a full backlog looks so).
    ConnectTimeout,
    /// Reset while connecting.
    ConnectReset,
    /// No local port left (`EADDRNOTAVAIL`).
    NoPorts,
    /// No descriptor left (`EMFILE`).
    NoDescriptors,
    /// Reset or broken pipe while sending.
    WriteReset,
    /// Reset while receiving.
    ReadReset,
    /// Closed before the answer was whole.
    PrematureEnd,
    /// Not HTTP/1.x, or a head beyond 64 KiB.
    Malformed,
    /// No whole answer within the timeout. Counted as censored, never as failed.
    ResponseTimeout,
    /// Another status than the check wants.
    Status,
    /// Another header or body than the check wants.
    CheckFailed,
    /// A scripted user returned an error of its own or panicked.
    Script,
}

impl ErrorKind {
    /// All of them, in order.
    pub const ALL: [Self; 15] = [
        Self::Dns,
        Self::Refused,
        Self::Unreachable,
        Self::ConnectTimeout,
        Self::ConnectReset,
        Self::NoPorts,
        Self::NoDescriptors,
        Self::WriteReset,
        Self::ReadReset,
        Self::PrematureEnd,
        Self::Malformed,
        Self::ResponseTimeout,
        Self::Status,
        Self::CheckFailed,
        Self::Script,
    ];

    /// Its place in [`ALL`](Self::ALL).
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }
}

/// Percentiles of a [`Latency`] are read through this: a figure that may be only a lower bound.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quantile {
    /// Nanoseconds.
    pub ns: u64,
    /// The true value is at least this.
    pub at_least: bool,
}

impl Latency {
    /// An empty distribution.
    ///
    /// # Panics
    /// Never: the bounds are constants that the histogram accepts.
    #[must_use]
    pub fn new() -> Self {
        Self {
            histogram: Histogram::new_with_bounds(1, 3_600_000_000_000, 3).expect("constant bounds are valid"),
            censored: 0,
            censored_from: None,
        }
    }

    /// The value below which the share `q` (0 to 1) of samples lies. It is "at least" where the censored samples, had they
    /// lasted for ever, would reach down to it: above the share of those that are not censored.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "samples of one round are far below 2^52")]
    pub fn quantile(&self, q: f64) -> Quantile {
        let certain = 1.0 - self.censored as f64 / self.histogram.len().max(1) as f64;
        Quantile {
            ns: self.histogram.value_at_quantile(q),
            at_least: self.censored > 0 && q > certain,
        }
    }

    /// Records one sample.
    pub fn record(&mut self, value: Duration) {
        self.histogram.saturating_record(nanos(value).max(1));
    }

    /// Records a sample known only to be at least `value`.
    pub fn record_censored(&mut self, value: Duration) {
        self.record_censored_ns(nanos(value));
    }

    pub(crate) fn record_censored_ns(&mut self, ns: u64) {
        let ns = ns.max(1);
        self.histogram.saturating_record(ns);
        self.censored += 1;
        self.censored_from = Some(self.censored_from.map_or(ns, |from| from.min(ns)));
    }

    /// Adds another distribution (of another worker, stripe or round).
    pub fn merge(&mut self, other: &Self) {
        // Same bounds and figures on both sides: the addition cannot fail.
        let _ = self.histogram.add(&other.histogram);
        self.censored += other.censored;
        self.censored_from = match (self.censored_from, other.censored_from) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self::new()
    }
}

impl Serialize for Latency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        wire::LatencyWire::from(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Latency {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = wire::LatencyWire::deserialize(deserializer)?;
        Self::try_from(wire).map_err(serde::de::Error::custom)
    }
}

/// The form on disk: a summary a person can read, and the histogram as base64 of HdrHistogram V2.
mod wire {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
    use serde::{Deserialize, Serialize};

    use super::Latency;

    #[derive(Serialize, Deserialize)]
    pub(super) struct LatencyWire {
        count: u64,
        censored: u64,
        censored_from_ns: Option<u64>,
        mean_ns: f64,
        p50_ns: u64,
        p90_ns: u64,
        p99_ns: u64,
        p999_ns: u64,
        max_ns: u64,
        /// Base64 of HdrHistogram V2 (deflated).
        hdr: String,
    }

    impl From<&Latency> for LatencyWire {
        fn from(latency: &Latency) -> Self {
            let h = &latency.histogram;
            let mut bytes = Vec::new();
            if !h.is_empty() {
                // Writing to memory cannot fail.
                let _ = V2DeflateSerializer::new().serialize(h, &mut bytes);
            }
            Self {
                count: h.len(),
                censored: latency.censored,
                censored_from_ns: latency.censored_from,
                mean_ns: h.mean(),
                p50_ns: h.value_at_quantile(0.50),
                p90_ns: h.value_at_quantile(0.90),
                p99_ns: h.value_at_quantile(0.99),
                p999_ns: h.value_at_quantile(0.999),
                max_ns: h.max(),
                hdr: STANDARD.encode(bytes),
            }
        }
    }

    impl TryFrom<LatencyWire> for Latency {
        type Error = String;

        fn try_from(wire: LatencyWire) -> Result<Self, String> {
            // Sized by what is in it: at its full range each of a run's many histograms would hold 270 KB.
            let mut latency = Self::new();
            latency.histogram = hdrhistogram::Histogram::new(3).map_err(|e| format!("no histogram: {e:?}"))?;
            latency.histogram.auto(true);
            if !wire.hdr.is_empty() {
                let bytes = STANDARD
                    .decode(&wire.hdr)
                    .map_err(|e| format!("histogram is not base64: {e}"))?;
                let histogram = Deserializer::new()
                    .deserialize::<u64, _>(&mut bytes.as_slice())
                    .map_err(|e| format!("histogram is damaged: {e:?}"))?;
                latency
                    .histogram
                    .add(&histogram)
                    .map_err(|e| format!("histogram has other bounds: {e:?}"))?;
            }
            latency.censored = wire.censored;
            latency.censored_from = wire.censored_from_ns;
            Ok(latency)
        }
    }
}
