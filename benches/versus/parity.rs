//! The same launch of a real server measured by us and by wrk: do both see the same rate?
//!
//! Within a launch the two take turns (ours, wrk, wrk, ours, or the other way round, drawn), so that a drift of the launch
//! touches both alike. The launch is the replicate: one log ratio each.

use std::{path::Path, sync::Arc};

use anyhow::{Context, Result, anyhow};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::Serialize;
use wsgibench_harness::{
    cli::target_dir,
    declare::{Declarations, Machine, resolve},
    sandbox::{MachineLock, Sandbox, SandboxChoice, SandboxOptions},
    stats::{estimate::t_interval, sample::mean},
};
use wsgibench_suites as _;

use crate::{Options, clients::Client, output, runner};

/// Ours over wrk's, of one server.
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

/// Measures each server; says whether every interval holds 1 or lies within 3 % of it.
pub(crate) fn run(options: &Options) -> Result<bool> {
    Client::Wrk.version()?;
    let target = target_dir(env!("CARGO_MANIFEST_DIR").as_ref());
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let _alone = runtime.block_on(MachineLock::acquire(|text| println!("{text}")))?;
    let sandbox = runtime.block_on(Sandbox::open(SandboxOptions {
        choice: SandboxChoice::Auto,
        run_id: format!("parity-{}", std::process::id()),
        run_dir: folder.path().to_owned(),
        target_dir: target,
        server_cpus: vec![options.server_cpu],
        published_port: false,
        say: Arc::new(|what, text| println!("{what}: {text}")),
    }))?;
    let mut found = Vec::new();
    for server in &options.servers {
        let parity = runtime.block_on(of_server(options, &sandbox, server, folder.path()))?;
        println!(
            "{server}: ours {:.0}, wrk {:.0} requests/s, ratio {:.4} [{:.4} {:.4}] over {} launches",
            parity.wsgibench, parity.wrk, parity.ratio, parity.interval[0], parity.interval[1], parity.launches
        );
        found.push(parity);
    }
    runtime.block_on(sandbox.close());
    let path = output::write(&found, "parity.json")?;
    println!("written to {}", path.display());
    Ok(found.iter().all(|parity| {
        let [low, high] = parity.interval;
        (low <= 1.0 && high >= 1.0) || (low >= 0.97 && high <= 1.03)
    }))
}

async fn of_server(options: &Options, sandbox: &Sandbox, server: &str, logs: &Path) -> Result<Parity> {
    let declarations = Declarations::collect().map_err(|error| anyhow!("{error}"))?;
    let declared = declarations
        .servers
        .iter()
        .find(|declared| declared.name == server)
        .with_context(|| format!("there is no server `{server}`; `cargo bench -- --list` names them"))?;
    let machine = Machine {
        server_cpus: 1,
        memory: u64::MAX,
    };
    let prepared = sandbox.prepare(&resolve(declared, None, &machine).0).await?;
    let mut random = Xoshiro256PlusPlus::seed_from_u64(options.seed);
    let (mut ours, mut wrk) = (Vec::new(), Vec::new());
    for number in 0..options.repetitions {
        let launch = sandbox
            .launch(&prepared, &logs.join(format!("{server}-{number}.log")))
            .await?;
        // Warms the server up, and is not counted.
        rate(options, Client::Wsgibench, launch.address(), 1)?;
        let mut logs = [0.0, 0.0];
        let mut turns = [0, 1, 1, 0];
        if random.random_bool(0.5) {
            turns = [1, 0, 0, 1];
        }
        for turn in turns {
            let client = [Client::Wsgibench, Client::Wrk][turn];
            logs[turn] += rate(options, client, launch.address(), options.seconds)?.ln() / 2.0;
        }
        launch.stop().await?;
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
