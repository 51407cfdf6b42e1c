//! A tool that a server runs under, such as valgrind.

use std::{path::PathBuf, time::Duration};

use super::PreparedServer;

/// A program that starts a server's own command, with what it needs in the sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instrument {
    /// The program, as the server's sandbox sees it, and its arguments; the server's command follows them.
    pub command: Vec<String>,
    /// Additional environment variables.
    pub env: Vec<(String, String)>,
    /// Files and folders of this machine that a container sees read-only, each with its path there.
    pub mounts: Vec<(PathBuf, String)>,
    /// CPUs of the server, instead of those that servers get otherwise.
    pub cpus: Vec<usize>,
    /// Times as much memory and time to become ready as the server's own limits; a CPU quota is lifted.
    pub slowdown: u32,
}

/// Stands for the home that a server is given in the process sandbox, in the command of an instrument.
pub(crate) const HOME: &str = "{home}";

/// Set to `1` in the companions of an instrumented server.
const COUNT_VARIABLE: &str = "WSGIBENCH_COUNTED";

/// Host name of an instrumented container, so that its length is constant.
#[cfg(feature = "docker")]
pub(super) const HOST_NAME: &str = "wsgibench";

impl PreparedServer {
    /// Returns the same server, to be launched by `instrument`. `own_command` is the whole command of its image
    /// ([`Sandbox::command_of`](super::Sandbox::command_of)).
    #[must_use]
    pub fn under(&self, instrument: Instrument, own_command: &[String]) -> Self {
        let mut server = self.clone();
        let spec = &mut server.spec;
        spec.command = own_command.to_vec();
        for (name, value) in &instrument.env {
            if !spec.env.iter().any(|(known, _)| known == name) {
                spec.env.push((name.clone(), value.clone()));
            }
        }
        for companion in &mut spec.companions {
            companion.env.push((COUNT_VARIABLE.to_owned(), "1".to_owned()));
        }
        let times = u64::from(instrument.slowdown.max(1));
        spec.limits.memory = spec.limits.memory.saturating_mul(times);
        spec.limits.cpu_quota = None;
        spec.ready_within = spec
            .ready_within
            .saturating_mul(instrument.slowdown.max(1))
            .min(Duration::from_secs(600));
        server.instrument = Some(instrument);
        server
    }

    /// Returns the same server with one more option of its tool.
    #[must_use]
    pub fn with_tool_option(&self, option: &str) -> Self {
        let mut server = self.clone();
        if let Some(instrument) = &mut server.instrument {
            instrument.command.push(option.to_owned());
        }
        server
    }

    /// Returns the same server on these CPUs, if it is instrumented.
    #[must_use]
    pub fn on_cpus(&self, cpus: &[usize]) -> Self {
        let mut server = self.clone();
        if let Some(instrument) = &mut server.instrument {
            instrument.cpus = cpus.to_vec();
        }
        server
    }
}
