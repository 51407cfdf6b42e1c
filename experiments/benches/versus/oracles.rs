//! Compares measured latencies with values known from the set-up.

use std::{fmt::Display, time::Duration};

use anyhow::{Context, Result};
use serde::Serialize;
use wsgibench_harness::{
    load::{self, Latency, Load, RoundResult, get},
    null_server::{DelayServerProcess, Delays, NullServerProcess},
};

use crate::{Options, clients::Client, engine, output, runner};

/// One comparison with a known value.
#[derive(Debug, Serialize)]
struct Finding {
    oracle: &'static str,
    figure: String,
    measured: f64,
    wanted: String,
    unit: &'static str,
    holds: bool,
}

#[derive(Debug, Default, Serialize)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, oracle: &'static str, figure: impl Display, measured: f64, unit: &'static str, wanted: &Wanted) {
        let holds = match *wanted {
            Wanted::AtMost(most) => measured <= most,
            Wanted::AtLeast(least) => measured >= least,
            Wanted::Near(truth, by) => (measured - truth).abs() <= by,
        };
        let finding = Finding {
            oracle,
            figure: figure.to_string(),
            measured,
            wanted: wanted.to_string(),
            unit,
            holds,
        };
        println!(
            "{} {oracle:<9} {:<38} {:>12.3} {:<6} wanted {}",
            if holds { "ok    " } else { "MISSED" },
            finding.figure,
            measured,
            unit,
            finding.wanted
        );
        self.0.push(finding);
    }
}

enum Wanted {
    AtMost(f64),
    AtLeast(f64),
    /// The known value and its tolerance.
    Near(f64, f64),
}

impl Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtMost(most) => write!(f, "at most {most:.3}"),
            Self::AtLeast(least) => write!(f, "at least {least:.3}"),
            Self::Near(truth, by) => write!(f, "{truth:.3} +- {by:.3}"),
        }
    }
}

type Oracle = fn(&Options, &mut Findings) -> Result<()>;

/// Runs the oracles. Returns whether all hold.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let oracles: [(&str, Oracle); 5] = [
        ("lag", lag),
        ("freeze", freeze),
        ("censored", censored),
        ("delays", delays),
        ("memory", memory),
    ];
    let mut findings = Findings::default();
    for (name, oracle) in oracles {
        if name.contains(&options.only) {
            oracle(options, &mut findings).with_context(|| format!("the oracle `{name}`"))?;
        }
    }
    let path = output::write(&findings, "oracles.json")?;
    println!("written to {}", path.display());
    Ok(findings.0.iter().all(|finding| finding.holds))
}

/// Nanoseconds as microseconds.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn us(ns: u64) -> f64 {
    ns as f64 / 1e3
}

fn quantile(latency: &Latency, q: f64) -> f64 {
    us(latency.quantile(q).ns)
}

/// One round of `load` against `server`, in which `meanwhile` happens.
fn round(
    options: &Options,
    server: &NullServerProcess,
    load: Load,
    length: Duration,
    meanwhile: impl FnOnce() -> Result<()> + Send,
) -> Result<RoundResult> {
    let plan = engine::plan(server.address(), load, length, options.client_cpu);
    let mut result = std::thread::scope(|scope| {
        let other = scope.spawn(meanwhile);
        let result = load::run(&plan).context("the load could not be offered");
        match other.join() {
            Ok(outcome) => outcome.and(result),
            Err(_) => anyhow::bail!("the background action panicked"),
        }
    })?;
    result.rounds.pop().context("no round")
}

/// Client lag: on an idle core, with a fast server and a modest rate, requests are sent when due.
fn lag(options: &Options, findings: &mut Findings) -> Result<()> {
    let server = NullServerProcess::spawn(Some(options.server_cpu))?;
    let round = round(
        options,
        &server,
        Load::rate(2_000).request(get("/")),
        Duration::from_secs(10),
        || Ok(()),
    )?;
    let (p50, p99) = (quantile(&round.client_lag, 0.5), quantile(&round.client_lag, 0.99));
    findings.add("lag", "client lag p50", p50, "us", &Wanted::AtMost(5.0));
    findings.add("lag", "client lag p99", p99, "us", &Wanted::AtMost(200.0));
    let achieved = per_second(&round) / 2_000.0;
    findings.add("lag", "achieved / offered", achieved, "", &Wanted::Near(1.0, 0.01));
    Ok(())
}

/// Coordinated omission: a server is stopped for 1.5 s of 10 s at 2,000/s. 15 % of the requests wait between 0 and 1.5 s, and
/// the backlog is served in order at the server's capacity (measured just before), which determines p90 and p99.
fn freeze(options: &Options, findings: &mut Findings) -> Result<()> {
    const RATE: f64 = 2_000.0;
    const FROZEN: f64 = 1.5;
    const SHARE: f64 = 0.15;
    const CONNECTIONS: usize = 64;
    let server = NullServerProcess::spawn(Some(options.server_cpu))?;
    let frozen = &server;
    let full = Load::closed(CONNECTIONS).request(get("/"));
    let full = round(options, &server, full, Duration::from_secs(1), || Ok(()))?;
    let capacity = per_second(&full);
    let load = Load::rate(2_000).max_connections(CONNECTIONS).request(get("/"));
    let round = round(options, &server, load, Duration::from_secs(10), || {
        std::thread::sleep(Duration::from_secs(4));
        frozen.freeze()?;
        std::thread::sleep(Duration::from_secs_f64(FROZEN));
        Ok(frozen.thaw()?)
    })?;
    for q in [0.90, 0.99] {
        // Requests that wait longer were due early in the stop, behind those due before them.
        let part = (1.0 - q) / SHARE * FROZEN;
        let truth = (FROZEN - part + part * RATE / capacity) * 1e6;
        let measured = quantile(&round.response_time, q);
        let figure = format!("response time p{:.0}", q * 100.0);
        findings.add("freeze", figure, measured, "us", &Wanted::Near(truth, truth * 0.05));
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn per_second(round: &RoundResult) -> f64 {
    round.counts.done as f64 / round.seconds
}

/// Censoring: a server is stopped from 3.5 s to the end of a closed-loop round; requests in flight are reported as censored.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn censored(options: &Options, findings: &mut Findings) -> Result<()> {
    const CONNECTIONS: usize = 64;
    let server = NullServerProcess::spawn(Some(options.server_cpu))?;
    let frozen = &server;
    let load = Load::closed(CONNECTIONS).request(get("/"));
    let round = round(options, &server, load, Duration::from_secs(5), || {
        std::thread::sleep(Duration::from_millis(3_500));
        Ok(frozen.freeze()?)
    })?;
    let latency = &round.response_time;
    let all = CONNECTIONS as f64;
    let censored = round.counts.censored as f64;
    findings.add(
        "censored",
        "requests in flight at the end",
        censored,
        "",
        &Wanted::Near(all, 0.0),
    );
    let top = latency.quantile(1.0);
    findings.add(
        "censored",
        "largest response time",
        us(top.ns),
        "us",
        &Wanted::Near(1.5e6, 1e5),
    );
    let marked = f64::from(u8::from(top.at_least));
    findings.add("censored", "marked as a lower bound", marked, "", &Wanted::AtLeast(1.0));
    Ok(())
}

/// Delays: a server with known response delays.
fn delays(options: &Options, findings: &mut Findings) -> Result<()> {
    for connections in [1, 32] {
        let server = DelayServerProcess::spawn(Delays::default(), Some(options.server_cpu))?;
        let load = Load::closed(connections).request(get("/"));
        let plan = engine::plan(server.address(), load, Duration::from_secs(15), options.client_cpu);
        let round = load::run(&plan)?.rounds.pop().context("no round")?;
        let truth = server.finish()?;
        for (name, q) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)] {
            let recorded = us(truth.value_at_quantile(q));
            let measured = quantile(&round.service_time, q);
            let figure = format!("{name} at {connections} connections");
            let by = (recorded * 0.02).max(100.0);
            findings.add("delays", figure, measured, "us", &Wanted::Near(recorded, by));
        }
    }
    Ok(())
}

/// Memory: peak memory is independent of the duration.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn memory(options: &Options, findings: &mut Findings) -> Result<()> {
    let mut peaks = Vec::new();
    for seconds in [6, 60] {
        let server = NullServerProcess::spawn(Some(options.server_cpu))?;
        let command = Client::Wsgibench.command(server.address(), 10_000, seconds, options.client_cpu)?;
        let cost = runner::run(command, options.client_cpu)?;
        let peak = cost.peak_rss_bytes as f64 / 1_048_576.0;
        let figure = format!("peak at 10,000 connections, {seconds} s");
        findings.add("memory", figure, peak, "MiB", &Wanted::AtMost(60.0));
        peaks.push(peak);
    }
    let growth = peaks[1] / peaks[0];
    findings.add("memory", "60 s over 6 s", growth, "", &Wanted::Near(1.0, 0.02));
    Ok(())
}
