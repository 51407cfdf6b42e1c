//! What is seen of the machine. Everything is optional: another system shows less.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// How long the machine is watched.
pub(super) const WATCHED: Duration = Duration::from_secs(1);

/// The machine, as far as it shows.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) engine: Engine,
    pub(super) python: Result<String, String>,
    pub(super) debootstrap: bool,
    pub(super) root: bool,
    pub(super) cpus: usize,
    pub(super) descriptors: Option<u64>,
    pub(super) backlog: Option<u64>,
    pub(super) ports: Option<(u64, u64)>,
    pub(super) governors: Vec<String>,
    pub(super) turbo: Option<bool>,
    pub(super) smt: Option<bool>,
    pub(super) clock: Option<String>,
    /// Share of the last ten seconds in which something waited for a CPU, percent.
    pub(super) pressure: Option<f64>,
    /// Share of CPU time that the hypervisor gave to others while the machine was watched, 0 to 1.
    pub(super) steal: Option<f64>,
    /// Programs that ran while the machine was watched, with their share of one CPU, 0 to 1 and more.
    pub(super) busy: Vec<(String, f64)>,
    pub(super) cgroup: Option<&'static str>,
    /// Folder of the target, and bytes free there.
    pub(super) disk: Option<(PathBuf, u64)>,
    pub(super) memory: Option<u64>,
    /// A git repository without its history.
    pub(super) shallow: Option<bool>,
}

/// The container engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    /// It answers: its name and version, its cgroup version, and a base image that it has.
    #[cfg_attr(not(feature = "docker"), expect(dead_code, reason = "no engine without the feature"))]
    Answers {
        version: String,
        cgroup: Option<String>,
        base: Option<String>,
    },
    /// It does not, and why.
    Missing(String),
}

impl Facts {
    /// Looks at everything, and watches the machine for [`WATCHED`].
    pub(super) fn gather(target: &Path) -> Self {
        let (before, since) = (Moment::now(), Instant::now());
        let engine = super::engine::look();
        std::thread::sleep(WATCHED.saturating_sub(since.elapsed()));
        let after = Moment::now();
        Self {
            engine,
            python: python(),
            debootstrap: runs("debootstrap", &["--version"]),
            root: rustix::process::geteuid().is_root(),
            cpus: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            descriptors: rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum,
            backlog: number("/proc/sys/net/core/somaxconn"),
            ports: ports(),
            governors: governors(),
            turbo: turbo(),
            smt: number("/sys/devices/system/cpu/smt/active").map(|active| active == 1),
            clock: word("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
            pressure: fs::read_to_string("/proc/pressure/cpu")
                .ok()
                .as_deref()
                .and_then(pressure),
            steal: before.steal_until(&after),
            busy: before.busy_until(&after, since.elapsed()),
            cgroup: cgroup(),
            disk: disk(target),
            memory: memory(),
            shallow: shallow(),
        }
    }
}

/// Counters of the machine and of its processes, in clock ticks.
struct Moment {
    total: u64,
    steal: u64,
    processes: BTreeMap<u32, (String, u64)>,
}

impl Moment {
    fn now() -> Self {
        let (total, steal) = fs::read_to_string("/proc/stat")
            .ok()
            .as_deref()
            .and_then(machine_ticks)
            .unwrap_or_default();
        let processes = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let pid = entry.file_name().to_str()?.parse().ok()?;
                let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
                Some((pid, process_ticks(&stat)?))
            })
            .collect();
        Self {
            total,
            steal,
            processes,
        }
    }

    fn steal_until(&self, later: &Self) -> Option<f64> {
        let total = later.total.checked_sub(self.total).filter(|&total| total > 0)?;
        Some(share(later.steal.saturating_sub(self.steal), total))
    }

    fn busy_until(&self, later: &Self, elapsed: Duration) -> Vec<(String, f64)> {
        let own = std::process::id();
        let hertz = rustix::param::clock_ticks_per_second();
        let ticks = elapsed.as_millis().saturating_mul(u128::from(hertz)) / 1000;
        let ticks = u64::try_from(ticks).unwrap_or(u64::MAX).max(1);
        let mut busy: Vec<(String, f64)> = later
            .processes
            .iter()
            .filter(|(pid, _)| **pid != own)
            .filter_map(|(pid, (name, now))| {
                // One that has just begun counts from nothing.
                let then = self.processes.get(pid).map_or(0, |(_, then)| *then);
                Some((format!("{name} ({pid})"), share(now.checked_sub(then)?, ticks)))
            })
            .collect();
        busy.sort_by(|a, b| b.1.total_cmp(&a.1));
        busy
    }
}

#[expect(clippy::cast_precision_loss, reason = "ticks of one second")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

/// All ticks and the stolen ones from the first line of `/proc/stat`.
fn machine_ticks(stat: &str) -> Option<(u64, u64)> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?;
    // user nice system idle iowait irq softirq steal; guest times are in user already.
    let ticks: Vec<u64> = fields
        .split_whitespace()
        .take(8)
        .map_while(|field| field.parse().ok())
        .collect();
    Some((ticks.iter().sum(), ticks.get(7).copied().unwrap_or(0)))
}

/// Name and ticks (user and system) from `/proc/PID/stat`. The name may hold spaces and parentheses.
fn process_ticks(stat: &str) -> Option<(String, u64)> {
    let (open, close) = (stat.find('(')?, stat.rfind(')')?);
    let mut fields = stat.get(close + 1..)?.split_whitespace().skip(11);
    let ticks = |field: Option<&str>| field?.parse::<u64>().ok();
    let used = ticks(fields.next())? + ticks(fields.next())?;
    Some((stat.get(open + 1..close)?.to_owned(), used))
}

/// `avg10` of `some` from a pressure file.
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

/// Whether CPUs may go beyond their nominal frequency.
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

/// Bytes that we may still write where the target folder is, or will be.
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
    let program = std::env::var("WSGIBENCH_PYTHON").unwrap_or_else(|_| "python3".into());
    let script = "import ensurepip, venv, sys; print(sys.version.split()[0])";
    let output = Command::new(&program)
        .args(["-c", script])
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        Ok(_) => Err(format!("{program} is here, but not its modules `venv` and `ensurepip`")),
        Err(_) => Err(format!("{program} is not here")),
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
    let output = Command::new("git")
        .args(["rev-parse", "--is-shallow-repository"])
        .stdin(Stdio::null())
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(output.stdout.starts_with(b"true"))
}

#[cfg(test)]
mod tests {
    use super::{machine_ticks, pressure, process_ticks};

    #[test]
    fn counters_are_read_as_the_kernel_writes_them() {
        let stat = "cpu  100 0 50 800 10 0 5 35 7 0\ncpu0 1 2 3\n";
        assert_eq!(machine_ticks(stat), Some((1000, 35)));
        let stat = "77 (a (b) c) S 1 77 77 0 -1 4194560 1 2 3 4 250 30 0 0 20 0 1 0 5 6 7";
        assert_eq!(process_ticks(stat), Some(("a (b) c".into(), 280)));
        let text = "some avg10=12.50 avg60=3.00 avg300=1.00 total=9\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
        assert_eq!(pressure(text), Some(12.5));
        assert_eq!(
            (machine_ticks(""), process_ticks("x"), pressure("")),
            (None, None, None)
        );
    }
}
