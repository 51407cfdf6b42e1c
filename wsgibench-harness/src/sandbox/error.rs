//! Errors of the sandboxes.

use std::{io, time::Duration};

/// An error while opening a sandbox.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The `docker` sandbox was requested, and no container engine responds.
    #[error("no container engine answers: {0}; start Docker, set DOCKER_HOST, or use --sandbox process")]
    NoEngine(String),
    /// The engine's address, context or certificates cannot be used.
    #[error("cannot connect to the container engine: {0}; or use --sandbox process")]
    Endpoint(String),
    /// The engine rejected a request.
    #[error("the container engine refused: {0}")]
    Engine(String),
    /// The `docker` sandbox was requested, and no base image is available.
    #[error("failed to obtain a base image: {0}")]
    NoBaseImage(String),
    /// The process sandbox is not supported on this machine.
    #[error("the process sandbox does not work here: {0}")]
    NoProcesses(String),
    /// The cluster is not available, or refuses what a run needs.
    #[error("the cluster cannot be used: {0}")]
    Cluster(String),
    /// A file operation of the sandbox failed.
    #[error("{what}: {error}")]
    Io {
        /// The operation and the file.
        what: String,
        /// The system error.
        error: io::Error,
    },
}

/// An error while preparing a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrepareError {
    /// The server is not available on this machine; the run continues without it.
    #[error("not available here: {0}")]
    NotAvailable(String),
    /// Preparation failed: the text names the failed step and shows its output.
    #[error("{0}")]
    Failed(String),
}

/// An error while starting a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// The server process could not be started.
    #[error("`{server}` could not be started: {reason}")]
    NotStarted {
        /// The server's name.
        server: String,
        /// Reason, with the remedy if there is one.
        reason: String,
    },
    /// The server exited before it was ready.
    #[error("`{server}` ended before it was ready ({}); {}", ending(*.exit, *.oom_killed), output_text(.last_lines))]
    Died {
        /// The server's name.
        server: String,
        /// Exit status; 128 + n for signal n.
        exit: Option<i64>,
        /// Whether its memory limit was exceeded.
        oom_killed: bool,
        /// The last lines of its output.
        last_lines: String,
    },
    /// The server was not ready in time.
    #[error("`{server}` did not answer within {within:?} ({last}); {}", output_text(.last_lines))]
    NotReady {
        /// The server's name.
        server: String,
        /// The readiness timeout.
        within: Duration,
        /// Why the last readiness probe failed.
        last: String,
        /// The last lines of its output.
        last_lines: String,
    },
    /// An external server did not respond in time.
    #[error("`{server}` did not answer within {within:?} ({last}); start it, or correct its address")]
    NotThere {
        /// The server's name.
        server: String,
        /// The readiness timeout.
        within: Duration,
        /// Why the last readiness probe failed.
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

/// Quotes the end of a program's output.
pub(crate) fn output_text(last_lines: &str) -> String {
    if last_lines.is_empty() {
        "it printed nothing".into()
    } else {
        format!("last output:\n{last_lines}")
    }
}

/// Number of output lines shown in an error.
pub(crate) const SHOWN_LINES: usize = 20;

/// Returns the last lines of an output, indented and without terminal control characters.
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
    fn last_lines_strips_control_characters() {
        let output = b"one\n\x1b[31mtwo\x1b[0m\n\n\xffthree\x07\r\n";
        assert_eq!(last_lines(output, 2), "    two\n    \u{fffd}three");
        assert_eq!(last_lines(b"", 2), "");
    }

    #[test]
    fn an_early_exit_reports_status_and_output() {
        let mut error = LaunchError::Died {
            server: "x".into(),
            exit: Some(3),
            oom_killed: false,
            last_lines: "    boom".into(),
        };
        assert_eq!(
            error.to_string(),
            "`x` ended before it was ready (exit status 3); last output:\n    boom"
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
