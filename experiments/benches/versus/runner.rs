//! One run of one client under the kernel's accounting.
//!
//! A process begins with the peak memory of the one that started it, so each client is started by a small one that does
//! nothing else: this program once more, which pins itself first.

use std::{
    io::{Read, Write},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail};
use rustix::{
    process::{Resource, getrlimit, setrlimit},
    thread::{CpuSet, sched_setaffinity},
};
use serde::{Deserialize, Serialize};
use wait4::Wait4;

/// Marks the command line of a runner.
const FLAG: &str = "--versus-runner";

#[derive(Debug, Serialize, Deserialize)]
struct Order {
    program: String,
    arguments: Vec<String>,
    cpu: usize,
}

/// What a client's process cost.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// User and system time of the whole process, seconds.
    pub(crate) cpu_seconds: f64,
    /// Of it user time, seconds.
    pub(crate) user_seconds: f64,
    /// From start to exit, seconds.
    pub(crate) wall_seconds: f64,
    /// Largest resident set, bytes.
    pub(crate) peak_rss_bytes: u64,
    /// What it printed.
    pub(crate) output: String,
}

/// Runs `program` on one CPU to its end.
pub(crate) fn run((program, arguments): (String, Vec<String>), cpu: usize) -> Result<Cost> {
    let order = serde_json::to_string(&Order {
        program,
        arguments,
        cpu,
    })?;
    let output = Command::new(std::env::current_exe()?)
        .args([FLAG, &order])
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        bail!("a run failed ({})", output.status);
    }
    serde_json::from_slice(&output.stdout).context("the runner printed something else than its figures")
}

/// Does the work if this process was started to be a runner.
pub(crate) fn maybe_run() -> Option<Result<()>> {
    let mut arguments = std::env::args().skip(1);
    (arguments.next()? == FLAG).then(|| {
        let order: Order = serde_json::from_str(&arguments.next().context("no order")?)?;
        let cost = account(&order)?;
        writeln!(std::io::stdout(), "{}", serde_json::to_string(&cost)?)?;
        Ok(())
    })
}

fn account(order: &Order) -> Result<Cost> {
    let mut cpus = CpuSet::new();
    cpus.set(order.cpu);
    sched_setaffinity(None, &cpus).with_context(|| format!("the client cannot run on CPU {}", order.cpu))?;
    let mut descriptors = getrlimit(Resource::Nofile);
    descriptors.current = descriptors.maximum;
    setrlimit(Resource::Nofile, descriptors)?;
    let begun = Instant::now();
    let mut client = Command::new(&order.program)
        .args(&order.arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("`{}` cannot be started", order.program))?;
    let mut printed = Vec::new();
    if let Some(stdout) = &mut client.stdout {
        stdout.read_to_end(&mut printed)?;
    }
    let ended = client.wait4()?;
    let wall_seconds = begun.elapsed().as_secs_f64();
    let output = String::from_utf8_lossy(&printed).into_owned();
    if !ended.status.success() {
        bail!("`{}` failed ({}):\n{output}", order.program, ended.status);
    }
    let user_seconds = ended.rusage.utime.as_secs_f64();
    Ok(Cost {
        cpu_seconds: user_seconds + ended.rusage.stime.as_secs_f64(),
        user_seconds,
        wall_seconds,
        peak_rss_bytes: ended.rusage.maxrss,
        output,
    })
}
