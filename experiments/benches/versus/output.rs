//! Medians, ratios, the table and `versus.json`.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::{Context, Result};
use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use serde::Serialize;
use wsgibench_harness::{
    cli::target_dir,
    store::{Store, write_atomically},
};

use crate::{Options, clients::Client};

/// One run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Sample {
    pub(crate) client: Client,
    pub(crate) connections: usize,
    pub(crate) cpu_us_per_request: f64,
    pub(crate) user_us_per_request: f64,
    pub(crate) requests_per_second: f64,
    pub(crate) peak_rss_bytes: f64,
    pub(crate) client_cpu_share: f64,
    pub(crate) server_cpu_share: f64,
}

/// The runs of one client at one number of connections.
#[derive(Debug, Serialize)]
struct Summary {
    client: Client,
    connections: usize,
    cpu_us_per_request: f64,
    requests_per_second: f64,
    peak_rss_bytes: f64,
    runs: usize,
    /// Minimum and maximum of the runs.
    cpu_us_per_request_range: [f64; 2],
    user_us_per_request: f64,
    client_cpu_share: f64,
    server_cpu_share: f64,
    /// Median over repetitions of the engine's CPU time per request over this client's in the same repetition.
    #[serde(skip_serializing_if = "Option::is_none")]
    wsgibench_cpu_ratio: Option<f64>,
}

/// `versus.json`.
#[derive(Debug, Serialize)]
pub(crate) struct File {
    results: Vec<Summary>,
    versions: BTreeMap<String, String>,
    repetitions: u32,
    seconds: u32,
    seed: u64,
    server_cpu: usize,
    client_cpu: usize,
    kernel: String,
    runs: Vec<Sample>,
}

impl File {
    pub(crate) fn new(options: &Options, versions: &[(Client, String)], samples: &[Sample]) -> Self {
        let mut results = Vec::new();
        for &connections in &options.connections {
            let of = |client: Client| -> Vec<&Sample> {
                samples
                    .iter()
                    .filter(|sample| sample.client == client && sample.connections == connections)
                    .collect()
            };
            let ours = of(Client::Wsgibench);
            for (client, _) in versions {
                results.push(summary(*client, connections, &of(*client), &ours));
            }
        }
        Self {
            results,
            versions: versions
                .iter()
                .map(|(client, version)| (client.to_string(), version.clone()))
                .collect(),
            repetitions: options.repetitions,
            seconds: options.seconds,
            seed: options.seed,
            server_cpu: options.server_cpu,
            client_cpu: options.client_cpu,
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            runs: samples.to_vec(),
        }
    }

    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_preset(UTF8_FULL_CONDENSED).set_header([
            "connections",
            "client",
            "CPU us/request",
            "(range)",
            "wsgibench is",
            "requests/s",
            "peak MiB",
            "client CPU",
            "server CPU",
        ]);
        for summary in &self.results {
            let [least, most] = summary.cpu_us_per_request_range;
            table.add_row([
                summary.connections.to_string(),
                summary.client.to_string(),
                format!("{:.3}", summary.cpu_us_per_request),
                format!("{least:.3}-{most:.3}"),
                summary
                    .wsgibench_cpu_ratio
                    .map_or(String::new(), |ratio| format!("{ratio:.3} of it")),
                format!("{:.0}", summary.requests_per_second),
                format!("{:.1}", summary.peak_rss_bytes / 1_048_576.0),
                format!("{:.0} %", summary.client_cpu_share * 100.0),
                format!("{:.0} %", summary.server_cpu_share * 100.0),
            ]);
        }
        for index in [0, 2, 3, 4, 5, 6, 7, 8] {
            if let Some(column) = table.column_mut(index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table
    }

    /// Writes the file atomically.
    pub(crate) fn write(&self) -> Result<PathBuf> {
        write(self, "versus.json")
    }
}

/// Writes `value` atomically to a file in `target/wsgibench`.
pub(crate) fn write(value: &impl Serialize, name: &str) -> Result<PathBuf> {
    let store = Store::new(&target_dir(env!("CARGO_MANIFEST_DIR").as_ref()));
    let path = store.root().join(name);
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    write_atomically(&path, &text).with_context(|| path.display().to_string())?;
    Ok(path)
}

fn summary(client: Client, connections: usize, samples: &[&Sample], ours: &[&Sample]) -> Summary {
    let all = |figure: fn(&Sample) -> f64| samples.iter().map(|sample| figure(sample)).collect::<Vec<_>>();
    let cpu = all(|sample| sample.cpu_us_per_request);
    // Both ran in each repetition, so runs are paired by index.
    let ratios: Vec<f64> = ours
        .iter()
        .zip(&cpu)
        .map(|(our, cpu)| our.cpu_us_per_request / cpu)
        .collect();
    Summary {
        client,
        connections,
        cpu_us_per_request_range: [
            cpu.iter().copied().fold(f64::INFINITY, f64::min),
            cpu.iter().copied().fold(0.0, f64::max),
        ],
        cpu_us_per_request: median(cpu),
        requests_per_second: median(all(|sample| sample.requests_per_second)),
        peak_rss_bytes: median(all(|sample| sample.peak_rss_bytes)),
        runs: samples.len(),
        user_us_per_request: median(all(|sample| sample.user_us_per_request)),
        client_cpu_share: median(all(|sample| sample.client_cpu_share)),
        server_cpu_share: median(all(|sample| sample.server_cpu_share)),
        wsgibench_cpu_ratio: (client != Client::Wsgibench && !ratios.is_empty()).then(|| median(ratios)),
    }
}

/// Returns the median; NaN if there are no values.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match (values.len(), values.len() % 2) {
        (0, _) => f64::NAN,
        (_, 1) => values[half],
        _ => f64::midpoint(values[half - 1], values[half]),
    }
}
