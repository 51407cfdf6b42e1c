//! Assessment of the machine's facts, with remedies. Pure.

use super::facts::{Engine, Facts};
use crate::tool::units;

/// Severity of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// No problem.
    Ok,
    /// Figures will be less accurate.
    Warn,
    /// Measuring is impossible.
    Fail,
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) level: Level,
    /// The checked property.
    pub(super) about: &'static str,
    /// The observed value.
    pub(super) seen: String,
    /// The remedy; empty if none is needed.
    pub(super) remedy: String,
}

fn line(level: Level, about: &'static str, seen: impl Into<String>, remedy: impl Into<String>) -> Line {
    Line {
        level,
        about,
        seen: seen.into(),
        remedy: remedy.into(),
    }
}

fn ok(about: &'static str, seen: impl Into<String>) -> Line {
    line(Level::Ok, about, seen, "")
}

fn warn(about: &'static str, seen: impl Into<String>, remedy: impl Into<String>) -> Line {
    line(Level::Warn, about, seen, remedy)
}

/// Returns all checks in display order.
pub(super) fn judge(facts: &Facts) -> Vec<Line> {
    let mut lines = sandbox(facts);
    lines.extend(processors(facts));
    lines.extend(quiet(facts));
    lines.extend(limits(facts));
    lines.extend(disk_space(facts));
    lines
}

fn sandbox(facts: &Facts) -> Vec<Line> {
    let mut lines = Vec::new();
    match &facts.engine {
        Engine::Answers { version, cgroup, base } => {
            let groups = cgroup
                .as_deref()
                .map(|version| format!(", cgroup {version}"))
                .unwrap_or_default();
            lines.push(ok("container engine", format!("{version}{groups}")));
            lines.push(match base {
                Some(name) => ok("base image", name.clone()),
                None if facts.debootstrap && facts.root => ok(
                    "base image",
                    "none yet; the first run pulls or builds one",
                ),
                None => warn(
                    "base image",
                    "none yet; the first run must pull python:3.12-slim-bookworm",
                    "without access to a registry: set WSGIBENCH_BASE_IMAGE, or install debootstrap and run as root once",
                ),
            });
        }
        Engine::Missing(why) => {
            let level = if facts.python.is_ok() { Level::Warn } else { Level::Fail };
            let remedy = "start Docker (docker info shows whether it answers, DOCKER_HOST where it is); until then servers run as \
                          local processes, less isolated";
            lines.push(line(level, "container engine", why.clone(), remedy));
        }
    }
    lines.push(match (&facts.python, &facts.engine) {
        (Ok(version), _) => ok("Python for local processes", version.clone()),
        (Err(why), Engine::Answers { .. }) => warn(
            "Python for local processes",
            why.clone(),
            "required for `--sandbox process` only: install python3 and python3-venv",
        ),
        (Err(why), Engine::Missing(_)) => line(
            Level::Fail,
            "Python for local processes",
            why.clone(),
            "servers need a container engine or Python: install one of them (python3 and python3-venv)",
        ),
    });
    if matches!(facts.engine, Engine::Answers { .. }) {
        lines.push(if facts.profiles {
            ok("profiles of containers", "permitted (--explain)")
        } else {
            warn(
                "profiles of containers",
                "not permitted",
                format!("required for --explain only: {}", crate::profile::permission::REMEDY),
            )
        });
    }
    lines.push(match &facts.valgrind {
        Ok(version) => ok("valgrind, for --count", version.clone()),
        // Measuring does not need it.
        Err(why) => warn("valgrind, for --count", "unavailable", why.clone()),
    });
    lines.push(match facts.cgroup {
        Some(version) => ok("control groups", version),
        None => warn(
            "control groups",
            "unavailable",
            "CPU time and memory of servers are summed over their processes, in clock ticks",
        ),
    });
    lines
}

fn processors(facts: &Facts) -> Vec<Line> {
    let mut lines = vec![match facts.cpus {
        0 | 1 => warn(
            "CPUs",
            "1",
            "server and load generator share it, and every figure is marked suspect: use a machine with two or more",
        ),
        n => ok("CPUs", format!("{n}, divided between server and load")),
    }];
    lines.push(match facts.cpu_quota {
        None => ok("CPU quota", "none"),
        Some(cpus) => warn(
            "CPU quota",
            format!("{cpus:.2} CPUs"),
            "rounds in which the quota throttles the load generator are invalid: remove the CPU limit of this pod or \
             container (`limits.cpu`, `--cpus`), or use a CPU set",
        ),
    });
    let governors = facts.governors.join(", ");
    lines.push(if facts.governors.is_empty() {
        ok("frequency governor", "unavailable (common in virtual machines)")
    } else if governors == "performance" {
        ok("frequency governor", governors)
    } else {
        warn(
            "frequency governor",
            governors,
            "the CPU frequency varies with the load: run `cpupower frequency-set -g performance`",
        )
    });
    lines.extend(facts.turbo.map(|on| {
        if on {
            warn(
                "turbo",
                "on",
                "speed depends on heat and on the other cores: for steadier figures, echo 1 > \
                 /sys/devices/system/cpu/intel_pstate/no_turbo, or echo 0 > /sys/devices/system/cpu/cpufreq/boost",
            )
        } else {
            ok("turbo", "off")
        }
    }));
    lines.extend(facts.smt.map(|on| {
        if on {
            warn(
                "hyper-threading",
                "on",
                "two CPUs share a core: keep server and load on different cores with --server-cpus and --load-cpus (lscpu -e shows which), or echo off > \
                 /sys/devices/system/cpu/smt/control",
            )
        } else {
            ok("hyper-threading", "off")
        }
    }));
    lines.extend(facts.clock.as_deref().map(|clock| match clock {
        "hpet" | "acpi_pm" | "jiffies" => warn(
            "clock",
            clock,
            "reading it is slow: boot with clocksource=tsc if the TSC is stable",
        ),
        clock => ok("clock", clock),
    }));
    lines
}

fn quiet(facts: &Facts) -> Vec<Line> {
    let mut lines = Vec::new();
    lines.extend(facts.pressure.map(|percent| {
        let seen = format!("tasks waited for a CPU in {percent:.1} % of the last 10 s");
        if percent > 5.0 {
            warn(
                "CPU pressure",
                seen,
                "wait until the machine is idle, or stop other programs",
            )
        } else {
            ok("CPU pressure", seen)
        }
    }));
    lines.extend(facts.steal.map(|share| {
        let seen = format!("{:.1} %", share * 100.0);
        if share > 0.01 {
            warn(
                "stolen CPU time",
                seen,
                "other virtual machines use this one's CPUs: use one with dedicated CPUs, or more launches",
            )
        } else {
            ok("stolen CPU time", seen)
        }
    }));
    let busy: Vec<String> = facts
        .busy
        .iter()
        .filter(|(_, share)| *share > 0.10)
        .take(5)
        .map(|(name, share)| format!("{name} {:.0} %", share * 100.0))
        .collect();
    lines.push(if busy.is_empty() {
        ok("other programs", "none uses more than 10 % of a CPU")
    } else {
        warn("other programs", busy.join(", "), "stop them while you measure")
    });
    lines
}

fn limits(facts: &Facts) -> Vec<Line> {
    let mut lines = Vec::new();
    lines.extend(facts.descriptors.map(|limit| {
        if limit < 16_384 {
            warn(
                "open files",
                format!("at most {limit}"),
                "10,000 connections need more on both sides: raise the hard limit (`ulimit -Hn`, LimitNOFILE, limits.conf)",
            )
        } else {
            ok("open files", format!("up to {limit}"))
        }
    }));
    lines.extend(facts.backlog.map(|longest| {
        if longest < 4_096 {
            warn(
                "listen backlog",
                format!("at most {longest}"),
                "bursts of connections are refused in `--sandbox process`: sysctl -w net.core.somaxconn=8192",
            )
        } else {
            ok("listen backlog", format!("up to {longest}"))
        }
    }));
    lines.extend(facts.ports.map(|(first, last)| {
        let count = (last + 1).saturating_sub(first);
        let seen = format!("{count} ports, {first} to {last}");
        if count < 20_000 {
            warn(
                "client ports",
                seen,
                "servers that close each connection use one for 60 s: sysctl -w net.ipv4.ip_local_port_range='10240 65535'",
            )
        } else {
            ok("client ports", seen)
        }
    }));
    lines
}

fn disk_space(facts: &Facts) -> Vec<Line> {
    const MIB: u64 = 1 << 20;
    let mut lines = Vec::new();
    lines.extend(facts.memory.map(|bytes| {
        let seen = format!("{} available", units::size(bytes));
        if bytes < 1536 * MIB {
            warn(
                "memory",
                seen,
                "a server may use 1 GiB by default: stop other programs, or lower Limits::memory",
            )
        } else {
            ok("memory", seen)
        }
    }));
    lines.extend(facts.disk.as_ref().map(|(folder, bytes)| {
        let seen = format!("{} free in {}", units::size(*bytes), folder.display());
        let remedy =
            "images, virtual environments and runs need disk space: `wsgibench clean` lists what can be removed";
        if *bytes < 100 * MIB {
            line(Level::Fail, "disk", seen, remedy)
        } else if *bytes < 3072 * MIB {
            warn("disk", seen, remedy)
        } else {
            ok("disk", seen)
        }
    }));
    if facts.shallow == Some(true) {
        lines.push(warn(
            "git",
            "shallow clone",
            "`--against origin/main` needs the history: git fetch --unshallow (in CI, fetch-depth: 0)",
        ));
    }
    lines
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
