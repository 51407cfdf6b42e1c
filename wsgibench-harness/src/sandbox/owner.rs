//! Owners of containers, networks, processes and folders, and the proof that an owner is dead.
//!
//! Each object that a run creates is marked with its owner: machine, boot, pid namespace, pid and start time. Objects whose owner is
//! proven dead may be removed; all others may belong to a live run.

use std::{fmt, fs, sync::OnceLock};

use super::proc;

/// Label of containers and networks, and file name in folders, for the owner.
pub(crate) const LABEL: &str = "wsgibench.owner";
/// Environment variable of processes for the owner.
pub(crate) const VARIABLE: &str = "WSGIBENCH_OWNER";

/// A run of the harness: one process, distinct from all others with the same pid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    machine: String,
    boot: String,
    pid_namespace: String,
    pid: u32,
    /// Clock ticks from boot to its start; 0 if the system does not report it.
    start: u64,
}

impl Owner {
    /// Returns the owner for this process.
    pub fn this() -> &'static Self {
        static THIS: OnceLock<Owner> = OnceLock::new();
        THIS.get_or_init(|| {
            let pid = std::process::id();
            Self {
                machine: machine(),
                boot: word(&fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default()),
                pid_namespace: word(
                    &fs::read_link("/proc/self/ns/pid")
                        .map(|link| link.display().to_string())
                        .unwrap_or_default(),
                ),
                pid,
                start: proc::stat(pid).map_or(0, |stat| stat.start),
            }
        })
    }

    /// Parses the output of [`Display`](fmt::Display).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('/');
        if parts.next()? != "1" {
            return None;
        }
        let mut next = || parts.next().map(str::to_owned);
        let owner = Self {
            machine: next()?,
            boot: next()?,
            pid_namespace: next()?,
            pid: next()?.parse().ok()?,
            start: next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(owner)
    }

    /// Returns the owner for a process of this machine and boot.
    pub(crate) fn here(pid: u32, start: u64, pid_namespace: &str) -> Self {
        let this = Self::this();
        Self {
            machine: this.machine.clone(),
            boot: this.boot.clone(),
            pid_namespace: pid_namespace.to_owned(),
            pid,
            start,
        }
    }

    /// Returns `pid-start-namespace`, which is unique on this machine until the next boot.
    pub(crate) fn short(&self) -> String {
        format!("{}-{}-{}", self.pid, self.start, self.pid_namespace)
    }

    /// Returns the pid of the owner.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether the owner is proven dead, as seen from this process. `false` means alive or not visible from here.
    #[must_use]
    pub fn is_proven_dead(&self) -> bool {
        self.is_dead_as_seen_by(Self::this(), start_of)
    }

    /// `start_of` returns the start time of a pid, `None` if there is no such process.
    fn is_dead_as_seen_by(&self, me: &Self, start_of: impl Fn(u32) -> Option<u64>) -> bool {
        if self.machine != me.machine || self.machine.is_empty() {
            return false;
        }
        if self.boot != me.boot {
            // The machine was rebooted.
            return true;
        }
        if self.pid_namespace != me.pid_namespace {
            // The pid now belongs to another process.
            return false;
        }
        match start_of(self.pid) {
            None => true,
            Some(start) => start != self.start && start != 0 && self.start != 0,
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            machine,
            boot,
            pid_namespace,
            pid,
            start,
        } = self;
        write!(f, "1/{machine}/{boot}/{pid_namespace}/{pid}/{start}")
    }
}

fn start_of(pid: u32) -> Option<u64> {
    if let Some(stat) = proc::stat(pid) {
        // A zombie no longer runs.
        return stat.is_running().then_some(stat.start);
    }
    if cfg!(target_os = "linux") && fs::exists("/proc/self/stat").unwrap_or(false) {
        return None;
    }
    // Without /proc only the existence of a process is known, not its start time.
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).ok()?)?;
    match rustix::process::test_kill_process(pid) {
        Err(rustix::io::Errno::SRCH) => None,
        _ => Some(0),
    }
}

/// Returns the machine's id if there is one, with the host name, since copied virtual machines may share an id.
fn machine() -> String {
    let id = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{}+{}", word(&name), word(&id))
}

/// Keeps only characters that are valid in labels, file names and environments.
fn word(text: &str) -> String {
    text.trim()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        .take(64)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Owner {
        Owner {
            machine: "m".into(),
            boot: "b".into(),
            pid_namespace: "n".into(),
            pid: 10,
            start: 500,
        }
    }

    #[test]
    fn owner_round_trips_through_text() {
        assert_eq!(owner().to_string(), "1/m/b/n/10/500");
        assert_eq!(Owner::parse("1/m/b/n/10/500"), Some(owner()));
        for wrong in [
            "",
            "2/m/b/n/10/500",
            "1/m/b/n/ten/500",
            "1/m/b/n/10",
            "1/m/b/n/10/500/x",
        ] {
            assert_eq!(Owner::parse(wrong), None, "{wrong}");
        }
        let this = Owner::this();
        assert_eq!(Owner::parse(&this.to_string()).as_ref(), Some(this));
    }

    #[test]
    fn owner_is_dead_only_with_proof() {
        let me = Owner { pid: 99, ..owner() };
        let dead = |owner: &Owner, start: Option<u64>| owner.is_dead_as_seen_by(&me, |_| start);
        assert!(!dead(&owner(), Some(500)), "alive");
        assert!(dead(&owner(), None), "no such process");
        assert!(dead(&owner(), Some(501)), "its pid is another's now");
        assert!(!dead(&owner(), Some(0)), "start time not known");
        assert!(
            dead(
                &Owner {
                    boot: "before".into(),
                    ..owner()
                },
                Some(500)
            ),
            "booted since"
        );
        assert!(
            !dead(
                &Owner {
                    machine: "other".into(),
                    ..owner()
                },
                None
            ),
            "another machine"
        );
        assert!(
            !dead(
                &Owner {
                    pid_namespace: "other".into(),
                    ..owner()
                },
                None
            ),
            "another pid namespace"
        );
    }

    #[test]
    fn this_process_is_alive_and_a_finished_child_is_not() {
        assert!(!Owner::this().is_proven_dead());
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id();
        let start = start_of(pid).unwrap();
        let owner = Owner {
            pid,
            start,
            ..Owner::this().clone()
        };
        assert!(!owner.is_proven_dead());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(owner.is_proven_dead());
    }
}
