//! Live figures of a running session, for other threads.

use std::sync::{Arc, atomic::Ordering};

use mio::{Poll, Token, Waker};
use serde::{Deserialize, Serialize};

use super::worker::LiveCell;

/// Live figures of a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Live {
    /// Successful requests so far.
    pub done: u64,
    /// Failures and timeouts so far.
    pub errors: u64,
    /// Requests sent again so far.
    pub retried: u64,
    /// 99th percentile of the response times of the last whole second, ns (of the slowest worker).
    pub p99_ns: u64,
    /// Active connections (or users).
    pub active: u64,
}

impl Live {
    /// Adds the figures of another process; the percentile is that of the slower one.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            done: self.done + other.done,
            errors: self.errors + other.errors,
            retried: self.retried + other.retried,
            p99_ns: self.p99_ns.max(other.p99_ns),
            active: self.active + other.active,
        }
    }
}

/// A handle to read a session's live figures from another thread, or to end its round early. Cheap to clone.
#[derive(Clone)]
pub struct Watch {
    workers: Arc<[(Arc<LiveCell>, Waker)]>,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("live", &self.live()).finish()
    }
}

impl Watch {
    pub(super) fn new(workers: Vec<(Arc<LiveCell>, Waker)>) -> Self {
        Self {
            workers: workers.into(),
        }
    }

    /// Creates a handle whose figures come from other processes, by [`publish`](Self::publish).
    ///
    /// # Errors
    /// The system has no free descriptor.
    pub fn of_others() -> std::io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), Token(0))?;
        Ok(Self::new(vec![(Arc::new(LiveCell::default()), waker)]))
    }

    /// Sets the figures of a handle made by [`of_others`](Self::of_others).
    pub fn publish(&self, live: Live) {
        if let [(cell, _)] = &*self.workers {
            cell.done.store(live.done, Ordering::Relaxed);
            cell.errors.store(live.errors, Ordering::Relaxed);
            cell.retried.store(live.retried, Ordering::Relaxed);
            cell.p99_ns.store(live.p99_ns, Ordering::Relaxed);
            cell.active.store(live.active, Ordering::Relaxed);
        }
    }

    /// Resets the figures, and the request to end the previous round early, which would end a shorter round immediately. A
    /// cancelled session stays cancelled.
    pub fn reset(&self) {
        for (cell, _) in self.workers.iter() {
            let _ = cell.stop.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |stop| {
                (stop != u64::MAX).then_some(0)
            });
            cell.done.store(0, Ordering::Relaxed);
            cell.errors.store(0, Ordering::Relaxed);
            cell.retried.store(0, Ordering::Relaxed);
        }
    }

    /// Returns the figures of the current round, or of the last one.
    #[must_use]
    pub fn live(&self) -> Live {
        self.workers.iter().fold(Live::default(), |sum, (cell, _)| Live {
            done: sum.done + cell.done.load(Ordering::Relaxed),
            errors: sum.errors + cell.errors.load(Ordering::Relaxed),
            retried: sum.retried + cell.retried.load(Ordering::Relaxed),
            p99_ns: sum.p99_ns.max(cell.p99_ns.load(Ordering::Relaxed)),
            active: sum.active + cell.active.load(Ordering::Relaxed),
        })
    }

    /// Ends the current round and every later one immediately; each returns the figures so far.
    pub fn cancel(&self) {
        self.stop(u64::MAX);
    }

    /// Returns whether the session has been cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.workers
            .iter()
            .any(|(cell, _)| cell.stop.load(Ordering::Relaxed) == u64::MAX)
    }

    pub(super) fn stop(&self, end: u64) {
        for (cell, _) in self.workers.iter() {
            cell.stop.fetch_max(end, Ordering::Relaxed);
        }
        self.wake();
    }

    pub(super) fn wake(&self) {
        for (_, waker) in self.workers.iter() {
            // A worker also checks twice a second.
            let _ = waker.wake();
        }
    }
}
