//! What goes wrong while a load is on. The engine offers the load and knows nothing of it: these are words for whoever runs
//! the server, who carries them out at their time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Something that is done to the server in the middle of a round.
///
/// ```
/// use std::time::Duration;
/// use wsgibench_harness::load::{Fault, Load, get};
/// let load = Load::closed(16).duration(Duration::from_secs(10)).request(get("/")).fault(Fault::kill_worker().worker_from("/pid").after(Duration::from_secs(3)));
/// assert_eq!(load.faults.len(), 1);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What is done.
    pub action: Action,
    /// From the start of the round.
    pub after: Duration,
}

/// What is done to a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// One worker process is killed (`SIGKILL`).
    KillWorker {
        /// A path that answers with the pid of the worker that serves it, as the server itself sees it. `None`: the busiest
        /// process beside the first one is taken.
        worker_from: Option<String>,
    },
    /// The server is told to reload in the graceful way that it declares (`Server::reloads_on`).
    Reload,
    /// The server is stopped in an orderly way, and started again at once.
    Restart,
    /// Requests that do harm, one after the other on connections of their own.
    Ask {
        /// Path and query of a GET.
        path: String,
        /// How often.
        times: u32,
    },
    /// The same request, until the server's memory limit strikes or the server ends; for 15 s at most.
    ExhaustMemory {
        /// Path and query of a GET that makes the application keep memory.
        path: String,
    },
}

impl Fault {
    /// Two seconds into the round, unless [`after`](Self::after) says otherwise: what went before is what the server must
    /// come back to.
    fn new(action: Action) -> Self {
        Self {
            action,
            after: Duration::from_secs(2),
        }
    }

    /// A worker process is killed.
    #[must_use]
    pub fn kill_worker() -> Self {
        Self::new(Action::KillWorker { worker_from: None })
    }

    /// The server is told to reload gracefully.
    #[must_use]
    pub fn reload() -> Self {
        Self::new(Action::Reload)
    }

    /// The server is stopped and started again.
    #[must_use]
    pub fn restart() -> Self {
        Self::new(Action::Restart)
    }

    /// A request that does harm, once unless [`times`](Self::times) says otherwise.
    #[must_use]
    pub fn ask(path: impl Into<String>) -> Self {
        Self::new(Action::Ask {
            path: path.into(),
            times: 1,
        })
    }

    /// A request that makes the application keep memory, over and over.
    #[must_use]
    pub fn exhaust_memory(path: impl Into<String>) -> Self {
        Self::new(Action::ExhaustMemory { path: path.into() })
    }

    /// When, from the start of the round.
    #[must_use]
    pub fn after(mut self, time: Duration) -> Self {
        self.after = time;
        self
    }

    /// How often a harmful request is made.
    #[must_use]
    pub fn times(mut self, n: u32) -> Self {
        if let Action::Ask { times, .. } = &mut self.action {
            *times = n;
        }
        self
    }

    /// A path that answers with the pid of the worker to kill.
    #[must_use]
    pub fn worker_from(mut self, path: impl Into<String>) -> Self {
        if let Action::KillWorker { worker_from } = &mut self.action {
            *worker_from = Some(path.into());
        }
        self
    }
}

impl Action {
    /// In words, e.g. `worker killed`.
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
