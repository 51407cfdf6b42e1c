//! The clients: command lines and parsers of their output.

use std::{fmt, net::SocketAddr, process::Command, str::FromStr};

use anyhow::{Context, Result, anyhow, bail};
use serde::Serialize;

use crate::{engine, hyper_client};

/// A load generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Client {
    /// wsgibench, declared load.
    Wsgibench,
    /// wsgibench, scripted users.
    WsgibenchScript,
    /// A minimal closed loop on hyper's client, on which scripted users are built.
    Hyper,
    /// <https://github.com/wg/wrk>
    Wrk,
    /// <https://github.com/hatoo/oha>
    Oha,
    /// <https://nghttp2.org>
    H2load,
}

/// Result of a run, as reported by the client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    /// Requests answered with 200.
    pub(crate) requests: u64,
    /// Length, seconds.
    pub(crate) seconds: f64,
}

impl Client {
    /// The clients compared by default.
    pub(crate) const PEERS_AND_US: [Self; 4] = [Self::Wsgibench, Self::Wrk, Self::Oha, Self::H2load];

    fn name(self) -> &'static str {
        match self {
            Self::Wsgibench => "wsgibench",
            Self::WsgibenchScript => "wsgibench-script",
            Self::Hyper => "hyper",
            Self::Wrk => "wrk",
            Self::Oha => "oha",
            Self::H2load => "h2load",
        }
    }

    /// Returns the version that the client reports.
    pub(crate) fn version(self) -> Result<String> {
        let (flag, remedy) = match self {
            Self::Wsgibench | Self::WsgibenchScript => return Ok(env!("CARGO_PKG_VERSION").into()),
            Self::Hyper => return Ok("1, one connection a task".into()),
            Self::Wrk => ("-v", "apt-get install wrk"),
            Self::H2load => ("--version", "apt-get install nghttp2-client"),
            Self::Oha => ("--version", "cargo install oha"),
        };
        let output = Command::new(self.name()).arg(flag).output().map_err(|error| {
            anyhow!("failed to start {self} ({error}); install it with `{remedy}`, or exclude it with --clients")
        })?;
        // wrk exits with a failing status when asked for its version, and prints it on either stream.
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let line = text.lines().next().unwrap_or_default();
        Ok(line.split(" Copyright").next().unwrap_or(line).trim().to_owned())
    }

    /// Returns the command of a closed loop of GETs over keep-alive connections, in one thread.
    pub(crate) fn command(
        self,
        address: SocketAddr,
        connections: usize,
        seconds: u32,
        cpu: usize,
    ) -> Result<(String, Vec<String>)> {
        let url = format!("http://{address}/");
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let (c, d) = (connections.to_string(), format!("{seconds}s"));
        let arguments = match self {
            Self::Wsgibench | Self::WsgibenchScript => {
                let script = self == Self::WsgibenchScript;
                return engine::command(&engine::closed(address, connections, seconds, cpu), script);
            }
            Self::Hyper => return hyper_client::command(address, connections, seconds),
            Self::Wrk => words(&["-t1", "-c", &c, "-d", &d, &url]),
            Self::Oha => words(&["--no-tui", "--output-format", "json", "-c", &c, "-z", &d, &url]),
            Self::H2load => words(&["--h1", "-t1", "-m1", "-c", &c, "-D", &seconds.to_string(), &url]),
        };
        Ok((self.name().to_owned(), arguments))
    }

    /// Parses the output of a run.
    pub(crate) fn work(self, output: &str) -> Result<Work> {
        let work = match self {
            Self::Wsgibench | Self::WsgibenchScript | Self::Hyper => engine::work(output),
            Self::Wrk => wrk(output),
            Self::Oha => oha(output),
            Self::H2load => h2load(output),
        }
        .with_context(|| format!("failed to parse the output of {self}:\n{output}"))?;
        if work.requests == 0 {
            bail!("{self} got no response:\n{output}");
        }
        Ok(work)
    }
}

/// `  123456 requests in 3.00s, 12.34MB read`
fn wrk(output: &str) -> Option<Work> {
    let line = output.lines().find(|line| line.contains(" requests in "))?;
    let (requests, rest) = line.trim().split_once(" requests in ")?;
    let length = rest.split(',').next()?.trim();
    let seconds = match length.strip_suffix('m') {
        Some(minutes) => minutes.parse::<f64>().ok()? * 60.0,
        None => length.strip_suffix('s')?.parse().ok()?,
    };
    Some(Work {
        requests: requests.parse().ok()?,
        seconds,
    })
}

fn oha(output: &str) -> Option<Work> {
    let json: serde_json::Value = serde_json::from_str(output).ok()?;
    Some(Work {
        requests: json.pointer("/statusCodeDistribution/200")?.as_u64()?,
        seconds: json.pointer("/summary/total")?.as_f64()?,
    })
}

/// `finished in 3.00s, 41000.00 req/s, 3.21MB/s` and `status codes: 123000 2xx, 0 3xx, 0 4xx, 0 5xx`
fn h2load(output: &str) -> Option<Work> {
    let rate = output.lines().find_map(|line| line.strip_prefix("finished in "))?;
    let codes = output.lines().find_map(|line| line.strip_prefix("status codes: "))?;
    let requests: u64 = codes.split_once(" 2xx")?.0.trim().parse().ok()?;
    let per_second: f64 = rate.split_once(", ")?.1.split_once(" req/s")?.0.parse().ok()?;
    #[expect(clippy::cast_precision_loss, reason = "counts of a run stay far below 2^53")]
    let seconds = requests as f64 / per_second;
    // "finished in" includes closing the connections; the rate refers to the requested duration.
    Some(Work { requests, seconds })
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Client {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let all = [
            Self::Wsgibench,
            Self::WsgibenchScript,
            Self::Hyper,
            Self::Wrk,
            Self::Oha,
            Self::H2load,
        ];
        all.into_iter()
            .find(|client| client.name() == name)
            .ok_or_else(|| format!("choose from {}", all.map(Self::name).join(", ")))
    }
}
