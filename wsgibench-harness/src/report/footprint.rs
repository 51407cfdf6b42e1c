//! The footprint of a server before load: time to the first response, memory at rest and per connection, image size.

use std::collections::BTreeSet;

use super::units::float;
use crate::store::record::{CaseRecord, RoundRecord, RunRecord};

/// Minimum idle connections for an estimate of memory per connection; with fewer, the memory of requests dominates.
const ENOUGH: usize = 1_000;

/// The footprint of one server over all its launches in a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Footprint {
    /// The server.
    pub server: String,
    /// Number of launches.
    pub launches: usize,
    /// Seconds from the start command to the first correct response: median, minimum, maximum.
    pub start_up: Option<(f64, f64, f64)>,
    /// Memory after the first response and before any load, bytes: median.
    pub at_rest: Option<f64>,
    /// Memory per open connection, bytes: median over rounds with at least a thousand idle connections.
    pub per_connection: Option<f64>,
    /// Size of its image in bytes, including the base layers shared with other images.
    pub image: Option<u64>,
}

/// Returns the footprints of all launched servers, in the run's order.
#[must_use]
pub fn of_run(run: &RunRecord) -> Vec<Footprint> {
    // If the arms of a comparison differ, a server appears twice: as in the candidate and as in the base.
    let mut seen = BTreeSet::new();
    run.servers
        .iter()
        .filter(|server| seen.insert(server.spec.name.as_str()))
        .filter_map(|server| {
            let cases: Vec<&CaseRecord> = run
                .cases
                .iter()
                .filter(|case| case.server == server.spec.name)
                .collect();
            one(&server.spec.name, &cases, server.image_bytes)
        })
        .filter(|print| {
            print.start_up.is_some()
                || print.at_rest.is_some()
                || print.per_connection.is_some()
                || print.image.is_some()
        })
        .collect()
}

fn one(server: &str, cases: &[&CaseRecord], image: Option<u64>) -> Option<Footprint> {
    let launches: Vec<_> = cases
        .iter()
        .flat_map(|case| case.candidate().map(move |launch| (*case, launch)))
        .collect();
    if launches.is_empty() {
        return None;
    }
    let starts = sorted(launches.iter().filter_map(|(_, launch)| launch.start_up_seconds));
    let rest = sorted(
        launches
            .iter()
            .filter_map(|(_, launch)| launch.memory_at_rest_bytes)
            .map(float),
    );
    let each = sorted(launches.iter().flat_map(|(case, launch)| {
        launch
            .rounds
            .iter()
            .filter_map(|round| per_connection(case.load.idle_connections, launch.memory_at_rest_bytes, round))
    }));
    Some(Footprint {
        server: server.to_owned(),
        launches: launches.len(),
        start_up: median(&starts)
            .zip(starts.first().zip(starts.last()))
            .map(|(m, (a, b))| (m, *a, *b)),
        at_rest: median(&rest),
        per_connection: median(&each),
        image,
    })
}

/// Returns the memory growth since rest divided by the open connections.
fn per_connection(idle: usize, at_rest: Option<u64>, round: &RoundRecord) -> Option<f64> {
    if idle < ENOUGH {
        return None;
    }
    let growth = round.memory_mean_bytes?.checked_sub(at_rest?)?;
    let open = float(idle as u64 + round.load.connections.established);
    Some(float(growth) / open)
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn median(sorted: &[f64]) -> Option<f64> {
    (!sorted.is_empty()).then(|| crate::stats::sample::median(sorted))
}

impl Footprint {
    /// Returns the table cells: server, first response, memory at rest, memory per connection, image.
    #[must_use]
    pub fn cells(&self) -> [String; 5] {
        use super::units::{bytes, time};
        let dash = || "-".to_owned();
        let start = self.start_up.map_or_else(dash, |(median, low, high)| {
            if self.launches == 1 {
                time(median * 1e9)
            } else {
                format!("{} ({} to {})", time(median * 1e9), time(low * 1e9), time(high * 1e9))
            }
        });
        [
            self.server.clone(),
            start,
            self.at_rest.map_or_else(dash, bytes),
            self.per_connection.map_or_else(dash, bytes),
            self.image.map_or_else(dash, |size| bytes(float(size))),
        ]
    }
}

/// The column headings of [`Footprint::cells`].
pub const HEADS: [&str; 5] = [
    "server",
    "time to first response",
    "memory at rest",
    "a connection",
    "image",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::samples;

    #[test]
    fn few_connections_yield_no_estimate() {
        let mut round = RoundRecord {
            memory_mean_bytes: Some(120 << 20),
            ..samples::round()
        };
        round.load.connections.established = 16;
        assert_eq!(per_connection(0, Some(20 << 20), &round), None);
        let each = per_connection(10_000, Some(20 << 20), &round).unwrap();
        assert!((each - f64::from(100 << 20) / 10_016.0).abs() < 1e-6);
        assert_eq!(per_connection(10_000, None, &round), None);
        assert_eq!(per_connection(10_000, Some(130 << 20), &round), None);
    }
}
