//! Compares the throughput that wsgibench and wrk measure on the same launch of a real server.
//!
//! Within a launch the two alternate (ABBA or BAAB, at random), so that drift affects both equally. Each launch gives one log
//! ratio.

use anyhow::Result;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::Serialize;
use wsgibench_harness::stats::{estimate::t_interval, sample::mean};

use crate::{Options, clients::Client, output, runner, testbed::Testbed};

/// Ratio of wsgibench's throughput to wrk's for one server.
#[derive(Debug, Serialize)]
struct Parity {
    server: String,
    connections: usize,
    launches: usize,
    /// Geometric means over launches, requests/s.
    wsgibench: f64,
    wrk: f64,
    ratio: f64,
    /// 95 %, Student's t on the log ratios.
    interval: [f64; 2],
    log_ratios: Vec<f64>,
}

/// Measures each server. Returns whether every interval contains 1 or lies within 3 % of it.
pub(crate) fn run(options: &Options) -> Result<bool> {
    Client::Wrk.version()?;
    let testbed = Testbed::open("parity", options.server_cpu)?;
    let mut found = Vec::new();
    for server in &options.servers {
        let parity = measure_server(options, &testbed, server)?;
        println!(
            "{server}: ours {:.0}, wrk {:.0} requests/s, ratio {:.4} [{:.4} {:.4}] over {} launches",
            parity.wsgibench, parity.wrk, parity.ratio, parity.interval[0], parity.interval[1], parity.launches
        );
        found.push(parity);
    }
    testbed.close();
    let path = output::write(&found, "parity.json")?;
    println!("written to {}", path.display());
    Ok(found.iter().all(|parity| {
        let [low, high] = parity.interval;
        (low <= 1.0 && high >= 1.0) || (low >= 0.97 && high <= 1.03)
    }))
}

fn measure_server(options: &Options, testbed: &Testbed, server: &str) -> Result<Parity> {
    let prepared = testbed.prepare(server)?;
    let mut random = Xoshiro256PlusPlus::seed_from_u64(options.seed);
    let (mut ours, mut wrk) = (Vec::new(), Vec::new());
    for _ in 0..options.repetitions {
        let mut turns = [0, 1, 1, 0];
        if random.random_bool(0.5) {
            turns = [1, 0, 0, 1];
        }
        let logs = testbed.with_launch(&prepared, |launch| {
            // Warm-up, not counted.
            rate(options, Client::Wsgibench, launch.address(), 1)?;
            let mut logs = [0.0, 0.0];
            for turn in turns {
                let client = [Client::Wsgibench, Client::Wrk][turn];
                logs[turn] += rate(options, client, launch.address(), options.seconds)?.ln() / 2.0;
            }
            Ok(logs)
        })?;
        ours.push(logs[0]);
        wrk.push(logs[1]);
    }
    let log_ratios: Vec<f64> = ours.iter().zip(&wrk).map(|(ours, wrk)| ours - wrk).collect();
    let (interval, _) = t_interval(&log_ratios, 0.95);
    Ok(Parity {
        server: server.to_owned(),
        connections: CONNECTIONS,
        launches: log_ratios.len(),
        wsgibench: mean(&ours).exp(),
        wrk: mean(&wrk).exp(),
        ratio: mean(&log_ratios).exp(),
        interval: [interval.low.exp(), interval.high.exp()],
        log_ratios,
    })
}

const CONNECTIONS: usize = 64;

#[expect(clippy::cast_precision_loss, reason = "counts of a run stay far below 2^53")]
fn rate(options: &Options, client: Client, address: std::net::SocketAddr, seconds: u32) -> Result<f64> {
    let command = client.command(address, CONNECTIONS, seconds, options.client_cpu)?;
    let cost = runner::run(command, options.client_cpu)?;
    let work = client.work(&cost.output)?;
    Ok(work.requests as f64 / work.seconds)
}
