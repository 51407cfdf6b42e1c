//! Runs one client and reads its CPU time and peak memory from the kernel.
//!
//! A process inherits the peak memory of its parent, so each client is started by a small intermediate process: this program
//! again, which sets its CPU affinity first.

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
struct RunnerArguments {
    program: String,
    arguments: Vec<String>,
    cpu: usize,
}

/// Resource usage of a client's process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// User and system time of the whole process, seconds.
    pub(crate) cpu_seconds: f64,
    /// User time, seconds.
    pub(crate) user_seconds: f64,
    /// From start to exit, seconds.
    pub(crate) wall_seconds: f64,
    /// Largest resident set, bytes.
    pub(crate) peak_rss_bytes: u64,
    /// Its output.
    pub(crate) output: String,
}

/// Runs `program` on one CPU to its end.
pub(crate) fn run((program, arguments): (String, Vec<String>), cpu: usize) -> Result<Cost> {
    let arguments = serde_json::to_string(&RunnerArguments {
        program,
        arguments,
        cpu,
    })?;
    let output = Command::new(std::env::current_exe()?)
        .args([FLAG, &arguments])
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        bail!("the intermediate process failed ({})", output.status);
    }
    serde_json::from_slice(&output.stdout).context("failed to parse the output of the intermediate process")
}

/// Runs the client if this process was started as that intermediate process.
pub(crate) fn maybe_run() -> Option<Result<()>> {
    let mut arguments = std::env::args().skip(1);
    (arguments.next()? == FLAG).then(|| {
        let arguments: RunnerArguments = serde_json::from_str(&arguments.next().context("no arguments")?)?;
        let cost = run_client(&arguments)?;
        writeln!(std::io::stdout(), "{}", serde_json::to_string(&cost)?)?;
        Ok(())
    })
}

/// Runs the client on its CPU and reads its resource usage.
fn run_client(arguments: &RunnerArguments) -> Result<Cost> {
    let mut cpus = CpuSet::new();
    cpus.set(arguments.cpu);
    sched_setaffinity(None, &cpus).with_context(|| format!("failed to bind the client to CPU {}", arguments.cpu))?;
    let mut descriptors = getrlimit(Resource::Nofile);
    descriptors.current = descriptors.maximum;
    setrlimit(Resource::Nofile, descriptors)?;
    let started = Instant::now();
    let mut client = Command::new(&arguments.program)
        .args(&arguments.arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("failed to start `{}`", arguments.program))?;
    let mut printed = Vec::new();
    if let Some(stdout) = &mut client.stdout {
        stdout.read_to_end(&mut printed)?;
    }
    let ended = client.wait4()?;
    let wall_seconds = started.elapsed().as_secs_f64();
    let output = String::from_utf8_lossy(&printed).into_owned();
    if !ended.status.success() {
        bail!("`{}` failed ({}):\n{output}", arguments.program, ended.status);
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
