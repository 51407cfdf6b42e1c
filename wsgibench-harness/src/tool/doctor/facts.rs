//! Facts about the machine. All are optional, as other systems provide fewer.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    measure::{
        counting,
        environment::{self, CpuTicks},
        process_cpu::ProcessCpu,
    },
    sandbox::own_cpu_quota,
    subprocess,
};

/// Observation time of the machine.
pub(super) const WATCHED: Duration = Duration::from_secs(1);

/// Facts about the machine, as far as they are available.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) engine: Engine,
    pub(super) python: Result<String, String>,
    pub(super) debootstrap: bool,
    /// Version of valgrind, or why servers cannot be counted.
    pub(super) valgrind: Result<String, String>,
    pub(super) root: bool,
    /// May read the memory of containers' processes.
    pub(super) profiles: bool,
    pub(super) cpus: usize,
    pub(super) descriptors: Option<u64>,
    pub(super) backlog: Option<u64>,
    pub(super) ports: Option<(u64, u64)>,
    pub(super) governors: Vec<String>,
    /// CPUs granted to this process by a quota.
    pub(super) cpu_quota: Option<f64>,
    pub(super) turbo: Option<bool>,
    pub(super) smt: Option<bool>,
    pub(super) clock: Option<String>,
    /// Share of the last ten seconds in which some task waited for a CPU, percent.
    pub(super) pressure: Option<f64>,
    /// Share of CPU time that the hypervisor gave to others during observation, 0 to 1.
    pub(super) steal: Option<f64>,
    /// Programs that ran during observation, with their CPU use in cores.
    pub(super) busy: Vec<(String, f64)>,
    pub(super) cgroup: Option<&'static str>,
    /// Target folder, and bytes free there.
    pub(super) disk: Option<(PathBuf, u64)>,
    pub(super) memory: Option<u64>,
    /// Whether the git repository is a shallow clone.
    pub(super) shallow: Option<bool>,
}

/// State of the container engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    /// Available: its name and version, its cgroup version, and a base image.
    #[cfg_attr(not(feature = "docker"), expect(dead_code, reason = "no engine without the feature"))]
    Answers {
        version: String,
        cgroup: Option<String>,
        base: Option<String>,
    },
    /// Unavailable, with the reason.
    Missing(String),
}

impl Facts {
    /// Collects all facts, observing the machine for [`WATCHED`].
    pub(super) fn gather(target: &Path) -> Self {
        let (before, since) = (Moment::now(), Instant::now());
        let engine = super::engine::look();
        std::thread::sleep(WATCHED.saturating_sub(since.elapsed()));
        let after = Moment::now();
        Self {
            engine,
            python: python(),
            debootstrap: runs("debootstrap", &["--version"]),
            valgrind: counting::installed_version().map_err(|error| error.to_string()),
            root: rustix::process::geteuid().is_root(),
            profiles: crate::profile::permission::reads_other_users(),
            cpus: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            descriptors: rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum,
            backlog: number("/proc/sys/net/core/somaxconn"),
            ports: ports(),
            governors: governors(),
            cpu_quota: own_cpu_quota(),
            turbo: turbo(),
            smt: number("/sys/devices/system/cpu/smt/active").map(|active| active == 1),
            clock: word("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
            pressure: fs::read_to_string("/proc/pressure/cpu")
                .ok()
                .as_deref()
                .and_then(pressure),
            steal: before.steal_until(&after),
            busy: before.busy_until(&after),
            cgroup: cgroup(),
            disk: disk(target),
            memory: memory(),
            shallow: shallow(),
        }
    }
}

/// A snapshot of the machine's CPU and process times.
struct Moment {
    ticks: CpuTicks,
    programs: ProcessCpu,
}

impl Moment {
    fn now() -> Self {
        Self {
            ticks: environment::cpu_ticks(&[]),
            programs: ProcessCpu::now(),
        }
    }

    fn steal_until(&self, later: &Self) -> Option<f64> {
        let total = later
            .ticks
            .total
            .checked_sub(self.ticks.total)
            .filter(|&total| total > 0)?;
        Some(share(later.ticks.steal.saturating_sub(self.ticks.steal), total))
    }

    fn busy_until(&self, later: &Self) -> Vec<(String, f64)> {
        let busy = self.programs.busy_until(&later.programs);
        // Process titles are read from files, so read them only for busy processes.
        busy.iter()
            .take_while(|busy| busy.share > 0.0)
            .map(|busy| (busy.title(), busy.share))
            .collect()
    }
}

#[expect(clippy::cast_precision_loss, reason = "ticks of one second")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

/// Parses `avg10` of `some` from a pressure file.
fn pressure(text: &str) -> Option<f64> {
    let some = text.lines().find(|line| line.starts_with("some "))?;
    some.split_whitespace()
        .find_map(|field| field.strip_prefix("avg10="))?
        .parse()
        .ok()
}

fn word(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn number(path: &str) -> Option<u64> {
    word(path)?.parse().ok()
}

fn ports() -> Option<(u64, u64)> {
    let text = word("/proc/sys/net/ipv4/ip_local_port_range")?;
    let mut ends = text.split_whitespace().map_while(|end| end.parse().ok());
    Some((ends.next()?, ends.next()?))
}

fn governors() -> Vec<String> {
    let mut found: Vec<String> = fs::read_dir("/sys/devices/system/cpu")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| word(&entry.path().join("cpufreq/scaling_governor").display().to_string()))
        .collect();
    found.sort();
    found.dedup();
    found
}

/// Returns whether CPUs may exceed their nominal frequency.
fn turbo() -> Option<bool> {
    let off = number("/sys/devices/system/cpu/intel_pstate/no_turbo").map(|off| off == 0);
    off.or_else(|| number("/sys/devices/system/cpu/cpufreq/boost").map(|on| on == 1))
}

fn cgroup() -> Option<&'static str> {
    if Path::new("/sys/fs/cgroup/cgroup.controllers").is_file() {
        Some("v2")
    } else if Path::new("/sys/fs/cgroup/cpuacct").exists() || Path::new("/sys/fs/cgroup/memory").exists() {
        Some("v1")
    } else {
        None
    }
}

/// Returns the bytes available to this user in the target folder or its closest existing parent.
fn disk(target: &Path) -> Option<(PathBuf, u64)> {
    let target = std::path::absolute(target).ok()?;
    let folder = target.ancestors().find(|folder| folder.is_dir())?;
    let state = rustix::fs::statvfs(folder).ok()?;
    Some((folder.to_owned(), state.f_bavail.saturating_mul(state.f_frsize)))
}

fn memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

fn python() -> Result<String, String> {
    let program = crate::variables::text("WSGIBENCH_PYTHON").unwrap_or_else(|| "python3".into());
    let script = "import ensurepip, venv, sys; print(sys.version.split()[0])";
    let output = subprocess::python(&program).args(["-c", script]).output();
    match output {
        Ok(output) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        Ok(_) => Err(format!("{program} lacks the modules `venv` and `ensurepip`")),
        Err(_) => Err(format!("{program} not found")),
    }
}

fn runs(program: &str, arguments: &[&str]) -> bool {
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

fn shallow() -> Option<bool> {
    let output = subprocess::git(Path::new("."))
        .args(["rev-parse", "--is-shallow-repository"])
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(output.stdout.starts_with(b"true"))
}

#[cfg(test)]
mod tests {
    use super::pressure;

    #[test]
    fn pressure_file_is_parsed() {
        let text = "some avg10=12.50 avg60=3.00 avg300=1.00 total=9\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
        assert_eq!(pressure(text), Some(12.5));
        assert_eq!(pressure(""), None);
    }
}
