//! Asks the processes of a server for dumps of their counts, and collects them.
//!
//! A dump is requested while the server is idle. Valgrind checks for requests every few basic blocks, so each process writes the
//! dump when it next runs, before it does anything else. No process is stopped or traced for it. A process that does not run until
//! the next request has executed no instructions.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    thread,
    time::{Duration, Instant},
};

use tokio::runtime::Runtime;

use super::valgrind::{PREFIX, shell_folder};
use crate::{
    counts::{
        callgrind::{self, Profile},
        syscalls,
    },
    sandbox::{Launch, SandboxKind, Signal},
};

/// Time limit for a command to reach every process.
const ORDER_WITHIN: Duration = Duration::from_secs(60);
/// Time limit for a process to write its last dump after the stop signal.
const STOP_WITHIN: Duration = Duration::from_secs(4);
/// Interval between looks.
const CHECK_INTERVAL: Duration = Duration::from_millis(40);

/// Before each profile of a concatenation.
const SEPARATOR: &str = "@wsgibench-dump ";
/// After the traces of a window.
const WINDOW_END: &str = "@wsgibench-window-end";

/// A dump that a process has written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Dump {
    /// When, seconds since the epoch; `None` if the sandbox does not tell.
    pub(super) taken: Option<f64>,
    pub(super) profile: Profile,
}

/// A process under valgrind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Process {
    /// Bytes that vgdb has written to it.
    written: u64,
    /// The dump that it has not taken yet.
    pending: Option<String>,
}

/// The processes of a server and the sizes of their traces at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    processes: BTreeMap<u32, Process>,
    logs: BTreeMap<String, u64>,
}

impl State {
    pub(super) fn pids(&self) -> BTreeSet<u32> {
        self.processes.keys().copied().collect()
    }

    /// Parses `p PID WRITTEN SEEN [PENDING]` and `l FILE BYTES` lines.
    fn parse(text: &str) -> Self {
        let mut state = Self::default();
        for line in text.lines() {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            match words[..] {
                ["p", pid, written, _seen, ref pending @ ..] => {
                    let (Ok(pid), Ok(written)) = (pid.parse(), written.parse()) else {
                        continue;
                    };
                    let pending = (!pending.is_empty()).then(|| pending.join(" "));
                    state.processes.insert(pid, Process { written, pending });
                }
                ["l", file, bytes] => {
                    if let Ok(bytes) = bytes.parse() {
                        state.logs.insert(file.to_owned(), bytes);
                    }
                }
                _ => {}
            }
        }
        state
    }
}

/// Talks to the processes of one launch.
pub(super) struct Dumps<'a> {
    pub(super) launch: &'a Launch,
    pub(super) runtime: &'a Runtime,
    pub(super) kind: SandboxKind,
    /// The command that runs vgdb, quoted for a shell.
    pub(super) vgdb: String,
}

impl Dumps<'_> {
    /// A script in the folder of valgrind's files.
    fn in_folder(&self, script: &str) -> String {
        format!("cd {} && {script}", shell_folder(self.kind))
    }

    /// Runs a script in the folder of valgrind's files, and returns what it prints.
    pub(super) fn shell(&self, script: &str) -> Result<Vec<u8>, String> {
        let output = self
            .runtime
            .block_on(self.launch.exec(&["sh", "-c", &self.in_folder(script)]))
            .map_err(|error| format!("failed to run a shell in the sandbox of the server: {error}"))?;
        if output.status == Some(126) || output.status == Some(127) {
            return Err("its image has no shell, which collects the counts".to_owned());
        }
        Ok(output.stdout)
    }

    /// Reads the state of all processes.
    pub(super) fn state(&self) -> Result<State, String> {
        let script = format!(
            "for f in {PREFIX}-shared-mem-vgdb-*; do [ -e \"$f\" ] || continue; p=${{f##*-shared-mem-vgdb-}}; p=${{p%%-by-*}}; \
             [ -d /proc/$p ] || continue; echo p $p $(od -An -tu4 -N8 \"$f\") $(cat {PREFIX}.busy.$p 2>/dev/null); done; \
             for f in {PREFIX}.log.*; do [ -e \"$f\" ] && echo l $f $(wc -c < \"$f\"); done; true"
        );
        Ok(State::parse(&String::from_utf8_lossy(&self.shell(&script)?)))
    }

    /// Orders `command` of every process that has taken its last order, and returns once the orders have arrived.
    pub(super) fn order(&self, command: &str) -> Result<State, String> {
        let before = self.state()?;
        if before.processes.is_empty() {
            return Err("no process of the server runs under valgrind".to_owned());
        }
        let free: Vec<u32> = before
            .processes
            .iter()
            .filter(|(_, process)| process.pending.is_none())
            .map(|(pid, _)| *pid)
            .collect();
        if free.is_empty() {
            return Ok(before);
        }
        let pids: Vec<String> = free.iter().map(u32::to_string).collect();
        let script = format!(
            "for p in {}; do echo '{command}' > {PREFIX}.busy.$p; ( {} \"--vgdb-prefix=$PWD/{PREFIX}\" --max-invoke-ms=0 --pid=$p {command} \
             < /dev/null > {PREFIX}.vgdb.$p 2>&1; rm -f {PREFIX}.busy.$p ) & done; wait",
            pids.join(" "),
            self.vgdb
        );
        self.runtime
            .block_on(self.launch.spawn(&["sh", "-c", &self.in_folder(&script)]))
            .map_err(|error| format!("failed to run vgdb in the sandbox of the server: {error}"))?;
        let deadline = Instant::now() + ORDER_WITHIN;
        loop {
            thread::sleep(CHECK_INTERVAL);
            let now = self.state()?;
            // A process that runs on its own may have taken the order already, and its vgdb is gone.
            let arrived = |pid: &u32| {
                let before = before.processes.get(pid).map_or(0, |process| process.written);
                now.processes.get(pid).is_none_or(|process| process.written != before)
            };
            if free.iter().all(arrived) {
                return Ok(now);
            }
            if Instant::now() > deadline {
                let text = self.shell(&format!("cat {PREFIX}.vgdb.* 2>/dev/null; true"))?;
                let text = String::from_utf8_lossy(&text);
                return Err(format!(
                    "valgrind's vgdb did not reach the server: {}",
                    text.lines().next_back().unwrap_or("it printed nothing")
                ));
            }
        }
    }

    /// Waits until no process has one of these dumps pending, stopping the server if need be.
    pub(super) fn settle(&self, awaited: &[String]) -> Result<(), String> {
        let pending = || -> Result<Vec<u32>, String> {
            let state = self.state()?;
            let pending = state.processes.iter().filter(|(_, process)| {
                let pending = process.pending.as_ref();
                pending.is_some_and(|pending| awaited.contains(pending))
            });
            Ok(pending.map(|(pid, _)| *pid).collect())
        };
        for signal in [None, Some(Signal::Term), Some(Signal::Int)] {
            if let Some(signal) = signal {
                // A server that ended a moment ago has written its counts.
                let _ = self.runtime.block_on(self.launch.signal(signal));
            }
            let deadline = Instant::now()
                + if signal.is_some() {
                    STOP_WITHIN
                } else {
                    CHECK_INTERVAL * 12
                };
            while Instant::now() < deadline {
                if !self.launch.is_alive() {
                    return Err("the server ended before its counts were written".to_owned());
                }
                if pending()?.is_empty() {
                    return Ok(());
                }
                thread::sleep(CHECK_INTERVAL);
            }
        }
        Err(format!(
            "processes {:?} of the server did not write their counts: they neither ran again nor obeyed SIGTERM and SIGINT",
            pending()?
        ))
    }

    /// Reads all dumps.
    pub(super) fn dumps(&self) -> Result<Vec<Dump>, String> {
        // Without `%.Y` (busybox) the times are unknown.
        let script = format!(
            "for f in {PREFIX}.out.*.[0-9]*; do [ -e \"$f\" ] || continue; echo \"{SEPARATOR}$(stat -c %.Y \"$f\" 2>/dev/null)\"; \
             cat \"$f\"; done; true"
        );
        let text = self.shell(&script)?;
        split(&String::from_utf8_lossy(&text))
            .map(|(taken, text)| {
                let profile = callgrind::parse(text);
                let profile = profile.map_err(|error| format!("failed to read callgrind's profile: {error}"))?;
                Ok(Dump { taken, profile })
            })
            .collect()
    }

    /// Counts the system calls of the windows between these moments.
    pub(super) fn traced<const N: usize>(
        &self,
        windows: [[&State; 2]; N],
    ) -> Result<[BTreeMap<String, u64>; N], String> {
        let mut script = String::new();
        for window in &windows {
            script.push_str(&traces(window));
        }
        // One command for all of them: starting one in a container takes a tenth of a second.
        let text = self.shell(&script)?;
        let text = String::from_utf8_lossy(&text);
        let mut parts = text.split(WINDOW_END);
        Ok(windows.map(|_| syscalls::count(parts.next().unwrap_or_default())))
    }
}

/// Returns the commands that print all processes' traces of a window.
fn traces([from, until]: &[&State; 2]) -> String {
    let mut script = String::new();
    for (file, end) in &until.logs {
        let start = from.logs.get(file).copied().unwrap_or(0);
        let bytes = end.saturating_sub(start);
        if bytes > 0 {
            let _ = write!(script, "tail -c +{} {file} | head -c {bytes}; ", start + 1);
        }
    }
    script + "echo; echo " + WINDOW_END + "; "
}

/// Splits a concatenation of profiles, each after a line with its time.
fn split(text: &str) -> impl Iterator<Item = (Option<f64>, &str)> {
    let parts = text.split(SEPARATOR).filter(|part| !part.trim().is_empty());
    parts.map(|part| {
        let (time, profile) = part.split_once('\n').unwrap_or((part, ""));
        (time.trim().parse().ok(), profile)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_name_pending_orders_and_the_sizes_of_traces() {
        let state = State::parse("p 1 4 4\np 12 8 4 dump w1\nl /tmp/x.log.1 120\np broken\n");
        assert_eq!(state.pids(), BTreeSet::from([1, 12]));
        assert_eq!(state.processes[&1].pending, None);
        assert_eq!(state.processes[&12].pending.as_deref(), Some("dump w1"));
        assert_eq!(state.logs["/tmp/x.log.1"], 120);
    }

    #[test]
    fn traces_of_a_window_begin_where_the_last_one_ended() {
        let from = State::parse("l x.log.1 120\nl x.log.2 7\n");
        let until = State::parse("l x.log.1 150\nl x.log.2 7\nl x.log.3 5\n");
        assert_eq!(
            traces(&[&from, &until]),
            format!("tail -c +121 x.log.1 | head -c 30; tail -c +1 x.log.3 | head -c 5; echo; echo {WINDOW_END}; ")
        );
    }

    #[test]
    fn concatenated_profiles_are_split_and_have_times() {
        let text = format!("{SEPARATOR}17.25\n# callgrind format\ntotals: 1\n{SEPARATOR}\n# callgrind format\n");
        let parts: Vec<(Option<f64>, &str)> = split(&text).collect();
        assert_eq!(
            parts,
            [
                (Some(17.25), "# callgrind format\ntotals: 1\n"),
                (None, "# callgrind format\n")
            ]
        );
        assert_eq!(split("").count(), 0);
    }
}
