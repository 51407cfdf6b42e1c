//! What can go wrong, as sentences for the user.

use std::{io, time::Duration};

/// No sandbox could be opened.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// No container engine answers, and `docker` was asked for.
    #[error("no container engine answers: {0}; start Docker, set DOCKER_HOST, or use --sandbox process")]
    NoEngine(String),
    /// The engine's address, context or certificates cannot be used.
    #[error("cannot connect to the container engine: {0}; or use --sandbox process")]
    Endpoint(String),
    /// An engine answers, but refused something.
    #[error("the container engine refused: {0}")]
    Engine(String),
    /// No base image could be had, and `docker` was asked for.
    #[error("no base image for the servers can be had: {0}")]
    NoBaseImage(String),
    /// The process sandbox cannot work here.
    #[error("the process sandbox does not work here: {0}")]
    NoProcesses(String),
    /// Files of the sandbox.
    #[error("{what}: {error}")]
    Io {
        /// What was done to which file.
        what: String,
        /// The system's answer.
        error: io::Error,
    },
}

/// A server could not be prepared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrepareError {
    /// It cannot be had on this machine; the run goes on without it.
    #[error("not available here: {0}")]
    NotAvailable(String),
    /// It should have worked: the text names what failed and shows the failing step's output.
    #[error("{0}")]
    Failed(String),
}

/// A server could not be started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LaunchError {
    /// It did not come to start.
    #[error("`{server}` could not be started: {reason}")]
    NotStarted {
        /// Server.
        server: String,
        /// Reason, with the remedy where there is one.
        reason: String,
    },
    /// It ended before it answered.
    #[error("`{server}` ended before it was ready ({}); {}", ending(*.exit, *.oom_killed), said(.last_lines))]
    Died {
        /// Server.
        server: String,
        /// Exit status; 128 + n for signal n.
        exit: Option<i64>,
        /// Its memory limit ended it.
        oom_killed: bool,
        /// The last lines that it printed.
        last_lines: String,
    },
    /// It did not answer in time.
    #[error("`{server}` did not answer within {within:?} ({last}); {}", said(.last_lines))]
    NotReady {
        /// Server.
        server: String,
        /// The time that it had.
        within: Duration,
        /// What the last try met with.
        last: String,
        /// The last lines that it printed.
        last_lines: String,
    },
    /// One that is said to run already did not answer in time.
    #[error("`{server}` did not answer within {within:?} ({last}); start it, or correct its address")]
    NotThere {
        /// Server.
        server: String,
        /// The time that it had.
        within: Duration,
        /// What the last try met with.
        last: String,
    },
}

impl LaunchError {
    pub(crate) fn not_started(server: &str, reason: impl Into<String>) -> Self {
        Self::NotStarted {
            server: server.to_owned(),
            reason: reason.into(),
        }
    }
}

fn ending(exit: Option<i64>, oom_killed: bool) -> String {
    match (exit, oom_killed) {
        (_, true) => "killed at its memory limit: raise Limits::memory".into(),
        (Some(status), false) => format!("exit status {status}"),
        (None, false) => "exit status not known".into(),
    }
}

fn said(last_lines: &str) -> String {
    if last_lines.is_empty() {
        "it printed nothing".into()
    } else {
        format!("it printed last:\n{last_lines}")
    }
}

/// Lines of output shown in an error.
pub(crate) const SHOWN_LINES: usize = 20;

/// The last lines of an output, indented, without the control characters that would disturb a terminal.
pub(crate) fn last_lines(output: &[u8], count: usize) -> String {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<String> = text
        .lines()
        .map(|line| {
            console::strip_ansi_codes(line)
                .chars()
                .filter(|c| !c.is_control() || *c == '\t')
                .collect::<String>()
        })
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(count)..]
        .iter()
        .map(|line| format!("    {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_safe_to_print() {
        let output = b"one\n\x1b[31mtwo\x1b[0m\n\n\xffthree\x07\r\n";
        assert_eq!(last_lines(output, 2), "    two\n    \u{fffd}three");
        assert_eq!(last_lines(b"", 2), "");
    }

    #[test]
    fn a_death_tells_how_and_what_it_said() {
        let mut error = LaunchError::Died {
            server: "x".into(),
            exit: Some(3),
            oom_killed: false,
            last_lines: "    boom".into(),
        };
        assert_eq!(
            error.to_string(),
            "`x` ended before it was ready (exit status 3); it printed last:\n    boom"
        );
        if let LaunchError::Died {
            oom_killed, last_lines, ..
        } = &mut error
        {
            *oom_killed = true;
            last_lines.clear();
        }
        assert!(error.to_string().contains("Limits::memory"), "{error}");
    }
}
