//! Faults that are injected while a load runs. They are data: the engine offers the load, the caller injects the faults.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A fault that is injected into the server during a round, 2 s after its start by default.
///
/// ```
/// use wsgibench_harness::prelude::*;
///
/// let load = Load::closed(16)
///     .duration(secs(10))
///     .request(get("/").expect_status(200))
///     .fault(Fault::kill_worker_from("/pid").after(secs(3)));
/// assert_eq!(load.faults[0].after, secs(3));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Fault {
    /// The action.
    pub action: Action,
    /// Time from the start of the round.
    pub after: Duration,
}

/// The action of a fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Kills one worker process (`SIGKILL`).
    KillWorker {
        /// A path that returns the pid of the worker that serves it, as the server itself sees it. `None`: the busiest
        /// process except the first.
        worker_from: Option<String>,
    },
    /// Reloads the server gracefully, by the signal that it declares (`Server::reloads_on`).
    Reload,
    /// Stops the server (`SIGTERM`) and starts it again at once.
    Restart,
    /// Sends harmful requests, one after the other on separate connections.
    Ask {
        /// Path and query of a GET.
        path: String,
        /// Number of requests.
        times: u32,
    },
    /// Repeats a request until the server's memory limit is reached or the server exits; for 15 s at most.
    ExhaustMemory {
        /// Path and query of a GET that makes the application keep memory.
        path: String,
    },
}

impl Fault {
    /// Delays the fault by 2 s, because recovery is judged by the rate before it.
    fn new(action: Action) -> Self {
        Self {
            action,
            after: Duration::from_secs(2),
        }
    }

    /// Kills the busiest worker process.
    #[must_use]
    pub fn kill_worker() -> Self {
        Self::new(Action::KillWorker { worker_from: None })
    }

    /// Kills the worker process whose pid a GET of `path` returns.
    #[must_use]
    pub fn kill_worker_from(path: impl Into<String>) -> Self {
        Self::new(Action::KillWorker {
            worker_from: Some(path.into()),
        })
    }

    /// Reloads the server gracefully.
    #[must_use]
    pub fn reload() -> Self {
        Self::new(Action::Reload)
    }

    /// Stops the server and starts it again.
    #[must_use]
    pub fn restart() -> Self {
        Self::new(Action::Restart)
    }

    /// Sends `times` harmful GETs of `path`, one after the other.
    #[must_use]
    pub fn harmful_requests(path: impl Into<String>, times: u32) -> Self {
        Self::new(Action::Ask {
            path: path.into(),
            times,
        })
    }

    /// Repeats a GET of `path`, which makes the application keep memory.
    #[must_use]
    pub fn exhaust_memory(path: impl Into<String>) -> Self {
        Self::new(Action::ExhaustMemory { path: path.into() })
    }

    /// Sets the time from the start of the round.
    #[must_use]
    pub fn after(mut self, time: Duration) -> Self {
        self.after = time;
        self
    }
}

impl Action {
    /// Returns the name for reports, e.g. `worker killed`.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::KillWorker { .. } => "worker killed".to_owned(),
            Self::Reload => "graceful reload".to_owned(),
            Self::Restart => "restart".to_owned(),
            Self::Ask { path, times: 1 } => format!("GET {path}"),
            Self::Ask { path, times } => format!("GET {path}, {times} times"),
            Self::ExhaustMemory { .. } => "memory limit reached".to_owned(),
        }
    }
}
