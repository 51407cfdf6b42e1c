//! Runs the comparison: interleaved repetitions in random order, medians and ratios.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, Result};
use rand::{SeedableRng, seq::SliceRandom};
use rand_xoshiro::Xoshiro256PlusPlus;
use wsgibench_harness::null_server::NullServerProcess;

use crate::{
    Options,
    clients::Client,
    output::{self, Sample},
    runner,
};

/// Runs everything, prints the table and writes the file.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut clients = options.clients.clone();
    for client in [Client::WsgibenchScript, Client::Hyper] {
        if options.script && !clients.contains(&client) {
            clients.push(client);
        }
    }
    let mut versions = Vec::new();
    for client in &clients {
        versions.push((*client, client.version()?));
    }
    for (client, version) in &versions {
        println!("{client}: {version}");
    }
    let mut random = Xoshiro256PlusPlus::seed_from_u64(options.seed);
    let mut samples = Vec::new();
    for repetition in 0..options.repetitions {
        let mut runs: Vec<(usize, Client)> = options
            .connections
            .iter()
            .flat_map(|&connections| clients.iter().map(move |&client| (connections, client)))
            .collect();
        runs.shuffle(&mut random);
        for (connections, client) in runs {
            let sample = one(options, client, connections)
                .with_context(|| format!("{client} with {connections} connections"))?;
            eprintln!(
                "{:>3}/{} {:<16} {connections:>6} connections: {:.3} us/request, {:.0} requests/s, {:.1} MiB",
                repetition + 1,
                options.repetitions,
                client.to_string(),
                sample.cpu_us_per_request,
                sample.requests_per_second,
                sample.peak_rss_bytes / 1_048_576.0,
            );
            samples.push(sample);
            // Lets the kernel finish closing the last run's sockets.
            std::thread::sleep(Duration::from_millis(300));
        }
    }
    let file = output::File::new(options, &versions, &samples);
    println!("{}", file.table());
    let path = file.write()?;
    println!("written to {}", path.display());
    Ok(())
}

/// Runs one client against a fresh null server, so that no run inherits ports or memory of another.
#[expect(clippy::cast_precision_loss, reason = "counts of a run stay far below 2^53")]
fn one(options: &Options, client: Client, connections: usize) -> Result<Sample> {
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let server = NullServerProcess::spawn_at(anywhere, Some(options.server_cpu))?;
    let command = client.command(server.address(), connections, options.seconds, options.client_cpu)?;
    let cost = runner::run(command, options.client_cpu)?;
    let server_cpu = server_cpu_seconds(server.pid())?;
    let work = client.work(&cost.output)?;
    let requests = work.requests as f64;
    Ok(Sample {
        client,
        connections,
        cpu_us_per_request: cost.cpu_seconds / requests * 1e6,
        user_us_per_request: cost.user_seconds / requests * 1e6,
        requests_per_second: requests / work.seconds,
        peak_rss_bytes: cost.peak_rss_bytes as f64,
        client_cpu_share: cost.cpu_seconds / cost.wall_seconds,
        server_cpu_share: server_cpu / cost.wall_seconds,
    })
}

/// CPU time that a process has used so far, seconds.
#[expect(clippy::cast_precision_loss, reason = "nanoseconds of a short run")]
fn server_cpu_seconds(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/schedstat");
    let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    let ns: u64 = text.split(' ').next().unwrap_or_default().parse().context(path)?;
    Ok(ns as f64 / 1e9)
}
