//! The result of a load: counts, latency distributions, and figures of connections and of the load generator.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::clock::nanos;

/// The result of a plan.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LoadResult {
    /// The rounds, in order.
    pub rounds: Vec<RoundResult>,
}

impl LoadResult {
    /// Returns the result of these rounds.
    #[must_use]
    pub fn new(rounds: Vec<RoundResult>) -> Self {
        Self { rounds }
    }
}

/// The result of one round.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RoundResult {
    /// Measured length, seconds.
    pub seconds: f64,
    /// Counts of requests; each is counted once.
    pub counts: Counts,
    /// Failures by kind; sums to `counts.failed`.
    pub errors: Vec<(ErrorKind, u64)>,
    /// The reason of the first explained failure of each kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub error_samples: Vec<(ErrorKind, String)>,
    /// Failed checks by name, each with a sample response; sums to the `check_failed` and `status` errors.
    pub failed_checks: Vec<FailedCheck>,
    /// Each request of a declared mix, in order of declaration; empty for a single request, for a mix of more than
    /// [`MOST_RECORDED`](Self::MOST_RECORDED) requests and for scripts, which have [`steps`](Self::steps).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<RequestResult>,
    /// Time from the intended start to the last byte of successful requests; in a closed loop it exceeds the service time only
    /// by the time of a new connection. Includes censored and unsent requests as lower bounds.
    pub response_time: Latency,
    /// Time from the first byte sent to the last byte received of successful requests. Includes censored requests as lower
    /// bounds.
    pub service_time: Latency,
    /// Time to establish a connection.
    pub connect_time: Latency,
    /// Time from the due time of a request until the engine noticed it: a delay of the load generator.
    pub client_lag: Latency,
    /// Time for which a due request waited because every connection was busy: a delay of the server, part of the response time.
    pub queue_wait: Latency,
    /// Bytes sent.
    pub bytes_sent: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Connections.
    pub connections: Connections,
    /// Users, if the load is one of users.
    #[serde(default)]
    pub users: Option<Users>,
    /// Requests per second according to the schedule; `None` in a closed loop.
    pub offered_rate: Option<f64>,
    /// Figures per second of the round.
    pub series: Vec<Second>,
    /// Number of worker threads of the load generator.
    #[serde(default)]
    pub workers: u32,
    /// CPU time of the workers, seconds.
    pub engine_cpu_seconds: f64,
    /// Part of the CPU time that was spent spinning while waiting for the next arrival.
    #[serde(default)]
    pub engine_spin_seconds: f64,
    /// CPU time without spinning as a share of workers x round (0 to 1); near 1, the load generator is at its limit.
    pub engine_busy_share: f64,
    /// Time for which workers were runnable but not running (`/proc/thread-self/schedstat`), seconds.
    pub run_queue_delay_seconds: f64,
    /// Named steps of scripted users, in order of first use.
    pub steps: Vec<Step>,
}

impl RoundResult {
    /// Maximum number of requests of a mix that are recorded individually: each needs a histogram per worker and round.
    pub const MOST_RECORDED: usize = 32;
}

/// One request of a declared mix in a round. Over the mix, `done`, `failed` and the censored samples sum to the
/// [`Counts`] of the round; requests that were never sent are not assigned to a request of the mix.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RequestResult {
    /// Method and path as declared, such as `GET /item/{id}`; numbered (`POST /graphql (2)`) where requests share both.
    pub name: String,
    /// Requests with a response that passed its checks.
    pub done: u64,
    /// Requests that ended with an error.
    pub failed: u64,
    /// Response times of successful requests. Includes censored requests as lower bounds.
    pub latency: Latency,
}

impl RequestResult {
    /// Returns a request without responses.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            done: 0,
            failed: 0,
            latency: Latency::new(),
        }
    }

    /// Adds the figures of another worker, slice or round to a list that has each name once.
    pub fn join(list: &mut Vec<Self>, others: &[Self]) {
        for other in others {
            match list.iter_mut().find(|known| known.name == other.name) {
                Some(known) => {
                    known.done += other.done;
                    known.failed += other.failed;
                    known.latency.merge(&other.latency);
                }
                None => list.push(other.clone()),
            }
        }
    }
}

/// Counts of requests of a round. `offered == done + failed + censored + unsent`, asserted in every round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Counts {
    /// Requests due in the round, including those in flight when it began (closed loops carry them over).
    pub offered: u64,
    /// Requests with a response that passed its checks.
    pub done: u64,
    /// Requests that ended with an error: a failed check, no connection, or a connection that was lost after the server had
    /// received the request.
    pub failed: u64,
    /// Requests that timed out or were in flight when the round ended; their latencies are lower bounds.
    pub censored: u64,
    /// Requests that were due and never sent.
    pub unsent: u64,
    /// Part of `censored` that reached the timeout.
    pub timed_out: u64,
    /// Requests sent again on a new connection because the server had closed the old one without reading them (RFC 9110, 9.2.2;
    /// not counted twice above). Never includes a request that is not idempotent once a byte of it was sent.
    pub retried: u64,
}

impl Counts {
    /// Returns whether `offered == done + failed + censored + unsent`.
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

/// A latency distribution with censored samples.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Latency {
    /// Samples in nanoseconds, three significant figures, 1 ns to 1 h. Censored samples have the value that they had reached.
    pub histogram: Histogram<u64>,
    /// Number of samples that are lower bounds.
    pub censored: u64,
    /// Smallest censored value, ns.
    pub censored_from: Option<u64>,
}

/// Counts of connections of a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Connections {
    /// Connections that the load model needs, without additional idle ones. Under `users`: users who arrived. Under an open
    /// load: the maximum needed at one time. Of scripted users: those who sent a request in the round.
    pub wanted: u64,
    /// Maximum number established at one time.
    pub established: u64,
    /// Connections opened in the round; each uses a local port.
    pub opened: u64,
    /// Connections (or users) with at least one complete response.
    pub served: u64,
    /// Jain's fairness index of responses per connection, 0 to 1.
    pub jain: f64,
}

/// Counts of users of a round. Each user who arrived has finished or is active at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Users {
    /// Users who arrived in the round.
    pub arrived: u64,
    /// Users who made all their requests, successful or not, and left.
    pub finished: u64,
    /// Users who were active when the round ended.
    pub active: u64,
}

/// Figures of one second of a round. Percentiles are accurate to 1 %.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Second {
    /// Start of the second, in seconds from the start of the round.
    pub at: f64,
    /// Successful requests.
    pub done: u64,
    /// Failed and timed-out requests.
    pub errors: u64,
    /// Median response time, ns (0 without responses).
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
#[non_exhaustive]
pub struct FailedCheck {
    /// The name, e.g. `status 200`, or the name given by a script.
    pub name: String,
    /// Number of failures.
    pub count: u64,
    /// An excerpt of the first response that failed the check.
    pub sample: String,
}

impl FailedCheck {
    /// Merges the check into a list of unique names, keeping the first sample.
    pub(crate) fn join(self, list: &mut Vec<Self>) {
        match list.iter_mut().find(|known| known.name == self.name) {
            Some(known) => known.count += self.count,
            None => list.push(self),
        }
    }
}

/// A named step of a scripted user.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Step {
    /// Name.
    pub name: String,
    /// Response times.
    pub latency: Latency,
    /// Failed requests.
    pub failed: u64,
}

impl Step {
    /// Returns a step without responses.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            latency: Latency::new(),
            failed: 0,
        }
    }

    /// Merges the step into a list of unique names.
    pub(crate) fn join(self, list: &mut Vec<Self>) {
        match list.iter_mut().find(|known| known.name == self.name) {
            Some(known) => {
                known.latency.merge(&self.latency);
                known.failed += self.failed;
            }
            None => list.push(self),
        }
    }
}

/// The reason of a failed request. Every failure has exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The name did not resolve.
    Dns,
    /// Connection refused: no process listens on the port.
    Refused,
    /// No route to the address.
    Unreachable,
    /// The connection was not established in time (as with a full backlog).
    ConnectTimeout,
    /// Reset while connecting.
    ConnectReset,
    /// No local port left (`EADDRNOTAVAIL`).
    NoPorts,
    /// No descriptor left (`EMFILE`).
    NoDescriptors,
    /// TLS was not agreed on: the certificate does not verify, or the server broke off the handshake or the session.
    Tls,
    /// Reset or broken pipe while sending.
    WriteReset,
    /// Reset while receiving.
    ReadReset,
    /// Closed before the response was complete.
    PrematureEnd,
    /// Not HTTP/1.x, or a head longer than 64 KiB.
    Malformed,
    /// No complete response within the timeout. Counted as censored, never as failed.
    ResponseTimeout,
    /// The status does not match the check.
    Status,
    /// A header or the body does not match a check.
    CheckFailed,
    /// A script returned an error other than that of a request, or panicked.
    Script,
}

impl ErrorKind {
    /// Returns what happened, as a clause: `the connection was refused`.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::Dns => "the name did not resolve",
            Self::Refused => "the connection was refused",
            Self::Unreachable => "there is no route to the server",
            Self::ConnectTimeout => "the connection was not accepted in time",
            Self::ConnectReset => "the connection was reset",
            Self::NoPorts => "this machine has no free port left",
            Self::NoDescriptors => "this process has no free descriptor left",
            Self::Tls => "TLS failed",
            Self::WriteReset => "the connection was reset while the request was sent",
            Self::ReadReset => "the connection was reset while the response was read",
            Self::PrematureEnd => "the connection was closed before the response was complete",
            Self::Malformed => "the response breaks the rules of HTTP/1.x",
            Self::ResponseTimeout => "no complete response in time",
            Self::Status => "unexpected status",
            Self::CheckFailed => "unexpected header or body",
            Self::Script => "the script failed",
        }
    }

    /// All kinds, in order.
    pub const ALL: [Self; 16] = [
        Self::Dns,
        Self::Refused,
        Self::Unreachable,
        Self::ConnectTimeout,
        Self::ConnectReset,
        Self::NoPorts,
        Self::NoDescriptors,
        Self::Tls,
        Self::WriteReset,
        Self::ReadReset,
        Self::PrematureEnd,
        Self::Malformed,
        Self::ResponseTimeout,
        Self::Status,
        Self::CheckFailed,
        Self::Script,
    ];

    /// Returns the index in [`ALL`](Self::ALL).
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }
}

/// A percentile of a [`Latency`], which may be a lower bound.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Quantile {
    /// Nanoseconds.
    pub ns: u64,
    /// Whether the value is a lower bound.
    pub at_least: bool,
}

impl Latency {
    /// Creates an empty distribution.
    ///
    /// # Panics
    /// Never panics: the histogram accepts these constant bounds.
    #[must_use]
    pub fn new() -> Self {
        Self {
            histogram: Histogram::new_with_bounds(1, 3_600_000_000_000, 3).expect("constant bounds are valid"),
            censored: 0,
            censored_from: None,
        }
    }

    /// Returns the quantile `q` (0 to 1). It is a lower bound if `q` exceeds the share of samples that are not censored.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Quantile {
        self.quantile_at(q, self.histogram.value_at_quantile(q))
    }

    /// Returns the quantiles `ascending` (0 to 1) in one pass over the histogram, which has tens of thousands of bins.
    pub fn quantiles(&self, ascending: &[f64]) -> impl Iterator<Item = Quantile> {
        let values = self.histogram.value_at_quantiles(ascending.to_vec());
        ascending
            .iter()
            .zip(values)
            .map(move |(&q, ns)| self.quantile_at(q, ns))
    }

    #[expect(clippy::cast_precision_loss, reason = "samples of one round are far below 2^52")]
    fn quantile_at(&self, q: f64, ns: u64) -> Quantile {
        let certain = 1.0 - self.censored as f64 / self.histogram.len().max(1) as f64;
        Quantile {
            ns,
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

    /// Merges another distribution (of another worker, stripe or round).
    pub fn merge(&mut self, other: &Self) {
        // Both histograms have the same bounds and precision, so that the addition cannot fail.
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

/// The stored format: a readable summary, and the histogram as base64 of HdrHistogram V2.
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
            // Sized by content: at full range, each of a run's many histograms would take 270 KB.
            let mut latency = Self::new();
            latency.histogram =
                hdrhistogram::Histogram::new(3).map_err(|e| format!("failed to create a histogram: {e:?}"))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pass_returns_the_same_quantiles() {
        let mut latency = Latency::new();
        for i in 1..=999_u64 {
            latency.record(Duration::from_nanos(i * i * 1_000));
        }
        latency.record_censored(Duration::from_secs(2));
        let ascending = [0.0, 0.25, 0.5, 0.5, 0.9, 0.999, 0.9999, 1.0];
        let found: Vec<_> = latency.quantiles(&ascending).map(|q| (q.ns, q.at_least)).collect();
        let expected = ascending.map(|q| latency.quantile(q)).map(|q| (q.ns, q.at_least));
        assert_eq!(found, expected);
        assert!(found[7].1 && !found[2].1);
    }
}
