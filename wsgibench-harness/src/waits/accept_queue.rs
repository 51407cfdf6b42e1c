//! The accept queue: connections that the kernel has established and the server has not accepted yet.

use serde::{Deserialize, Serialize};

/// The accept queue in a round.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AcceptQueue {
    /// Number of samples of its depth.
    pub samples: u64,
    /// Mean depth, connections.
    pub mean: f64,
    /// Largest depth.
    pub max: u64,
    /// Longest queue that the server allows, over all its sockets (its backlog); absent if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Depth over time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub series: Vec<QueueSecond>,
    /// Connections that found the queue full (`ListenOverflows`); absent if the counter is not readable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overflows: Option<u64>,
    /// Whether the counter covers the whole machine, because the server has no network namespace of its own.
    #[serde(default)]
    pub of_machine: bool,
}

/// The accept queue in one second of a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct QueueSecond {
    /// Start, seconds from the start of the round.
    pub at: f64,
    /// Mean depth.
    pub mean: f64,
    /// Largest depth.
    pub max: u64,
}

impl AcceptQueue {
    /// Connections that overflowed the queue of this server. Where the counter covers the whole machine, they are those of
    /// another server if this queue was always empty.
    #[must_use]
    pub fn own_overflows(&self) -> u64 {
        let overflows = self.overflows.unwrap_or(0);
        if self.of_machine && self.max == 0 { 0 } else { overflows }
    }
}

/// Accept queues of a port at one moment, over all its listening sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Connections that are not accepted.
    pub waiting: u64,
    /// Most connections that may wait; `None` if unknown.
    pub limit: Option<u64>,
}

impl Depth {
    /// Adds the queues of further sockets; `None` where no socket listens.
    #[must_use]
    pub fn sum(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        let (Some(one), Some(other)) = (a, b) else {
            return a.or(b);
        };
        Some(Self {
            waiting: one.waiting + other.waiting,
            limit: one.limit.zip(other.limit).map(|(a, b)| a + b),
        })
    }
}

/// Samples of the depth, by second.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    limit: Option<u64>,
    seconds: Vec<(u64, u64, u64)>,
}

/// Longest series, so that a round of days does not fill memory: longer ones end in their last second.
const MOST_SECONDS: usize = 24 * 3_600;

impl Samples {
    /// Adds a sample taken `at` seconds into the round.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "seconds of a round; a float cast saturates"
    )]
    pub fn add(&mut self, at: f64, depth: Depth) {
        self.limit = depth.limit.or(self.limit);
        let depth = depth.waiting;
        let second = (at as usize).min(MOST_SECONDS);
        if self.seconds.len() <= second {
            self.seconds.resize(second + 1, (0, 0, 0));
        }
        let (count, sum, max) = &mut self.seconds[second];
        *count += 1;
        *sum += depth;
        *max = depth.max(*max);
    }

    /// Summarizes the samples; `None` without samples.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "samples and connections of a round are far below 2^52"
    )]
    pub fn finish(&self) -> Option<AcceptQueue> {
        let samples: u64 = self.seconds.iter().map(|(count, ..)| count).sum();
        let sum: u64 = self.seconds.iter().map(|(_, sum, _)| sum).sum();
        let series = (0_u32..).zip(&self.seconds).filter(|(_, (count, ..))| *count > 0);
        (samples > 0).then(|| AcceptQueue {
            samples,
            mean: sum as f64 / samples as f64,
            limit: self.limit,
            max: self.seconds.iter().map(|(.., max)| *max).max().unwrap_or(0),
            series: series
                .map(|(second, (count, sum, max))| QueueSecond {
                    at: f64::from(second),
                    mean: *sum as f64 / *count as f64,
                    max: *max,
                })
                .collect(),
            overflows: None,
            of_machine: false,
        })
    }
}

/// State of a listening socket in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// Returns the depth of the accept queue of a port, over all its listening sockets, and whether the text has passed the
/// listening sockets, which come first. `table` is the text of `/proc/net/tcp`, or its beginning: a line without an end is ignored.
#[must_use]
pub fn depth(table: &str, port: u16) -> (Option<u64>, bool) {
    let wanted = format!(":{port:04X}");
    let mut depth = None;
    let whole = table.rfind('\n').map_or("", |end| &table[..end]);
    for line in whole.lines().skip(1) {
        let fields: Vec<&str> = line.split_ascii_whitespace().take(5).collect();
        let [_, local, _, state, queues] = fields[..] else {
            continue;
        };
        if state != LISTEN {
            return (depth, true);
        }
        if local.ends_with(&wanted) {
            // Of a listening socket, the receive queue counts connections.
            let waiting = queues
                .split_once(':')
                .and_then(|(_, rx)| u64::from_str_radix(rx, 16).ok());
            depth = Some(depth.unwrap_or(0) + waiting.unwrap_or(0));
        }
    }
    (depth, false)
}

/// Returns the counter of connections that found an accept queue full, from the text of `/proc/net/netstat`.
#[must_use]
pub fn overflows(netstat: &str) -> Option<u64> {
    let mut lines = netstat.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let place = names
        .split_ascii_whitespace()
        .position(|name| name == "ListenOverflows")?;
    values.split_ascii_whitespace().nth(place)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
        0: 0100007F:1F40 00000000:0000 0A 00000000:0000000C 00:00000000 00000000     0        0 53459 4 0 100 0 0 10 0\n\
        1: 00000000:07E8 00000000:0000 0A 00000000:00000001 00:00000000 00000000     0        0 1060 1 0 100 0 0 10 0\n\
        2: 00000000:1F40 00000000:0000 0A 00000000:00000003 00:00000000 00000000     0        0 1061 1 0 100 0 0 10 0\n\
        3: 0100007F:1F40 0100007F:C350 01 00000000:0000FFFF 00:00000000 00000000     0        0 1062 1 0 100 0 0 10 0\n";

    #[test]
    fn listening_sockets_of_the_port_are_added() {
        assert_eq!(depth(TABLE, 8_000), (Some(15), true));
        assert_eq!(depth(TABLE, 2_024), (Some(1), true));
        assert_eq!(depth(TABLE, 9_000), (None, true));
        // Cut within the third socket.
        let cut = &TABLE[..TABLE.find("00000003").unwrap() + 4];
        assert_eq!(depth(cut, 8_000), (Some(12), false));
        assert_eq!(depth("", 8_000), (None, false));
    }

    #[test]
    fn the_overflow_counter_is_found_by_name() {
        let text = "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 4 31 32\nIpExt: InNoRoutes\nIpExt: 9\n";
        assert_eq!(overflows(text), Some(31));
        assert_eq!(overflows("TcpExt: SyncookiesSent\nTcpExt: 4\n"), None);
        assert_eq!(overflows(""), None);
    }

    #[test]
    fn samples_are_summarized_by_second() {
        let mut samples = Samples::default();
        assert_eq!(samples.finish(), None);
        for (at, depth) in [(0.1, 4), (0.9, 8), (2.5, 0)] {
            samples.add(
                at,
                Depth {
                    waiting: depth,
                    limit: Some(128),
                },
            );
        }
        let queue = samples.finish().unwrap();
        assert_eq!(
            (queue.samples, queue.max, queue.limit, queue.series.len()),
            (3, 8, Some(128), 2)
        );
        assert!((queue.mean - 4.0).abs() < 1e-12);
        assert_eq!(
            queue.series[0],
            QueueSecond {
                at: 0.0,
                mean: 6.0,
                max: 8
            }
        );
    }

    #[test]
    fn overflows_of_the_machine_need_a_queue() {
        let queue = |max, of_machine| AcceptQueue {
            max,
            of_machine,
            overflows: Some(5),
            ..AcceptQueue::default()
        };
        assert_eq!(queue(0, true).own_overflows(), 0);
        assert_eq!(queue(3, true).own_overflows(), 5);
        assert_eq!(queue(0, false).own_overflows(), 5);
    }
}
