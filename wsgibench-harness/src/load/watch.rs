//! A look at a running session from elsewhere.

use std::sync::{Arc, atomic::Ordering};

use mio::Waker;

use super::worker::LiveCell;

/// Figures of the round that is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Live {
    /// Right answers so far.
    pub done: u64,
    /// Failures and timeouts so far.
    pub errors: u64,
    /// Requests sent again so far.
    pub retried: u64,
    /// 99th percentile of the response times of the last whole second, ns (of the slowest worker).
    pub p99_ns: u64,
    /// Connections (or users) that are active.
    pub active: u64,
}

/// Looks at a session from another thread, or ends its round early. Cheap to clone.
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

    /// Forgets the round before: also that it was ended early, which would end a shorter one at once. Only a session that is
    /// cancelled stays so.
    pub(super) fn reset(&self) {
        for (cell, _) in self.workers.iter() {
            let _ = cell.stop.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |stop| {
                (stop != u64::MAX).then_some(0)
            });
            cell.done.store(0, Ordering::Relaxed);
            cell.errors.store(0, Ordering::Relaxed);
            cell.retried.store(0, Ordering::Relaxed);
        }
    }

    /// The figures of the round that is on, or of the last one.
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

    /// Ends the round that is on, and every later one, at once; each returns what it has.
    pub fn cancel(&self) {
        self.stop(u64::MAX);
    }

    pub(super) fn is_cancelled(&self) -> bool {
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
            // The worker also looks by itself, twice a second.
            let _ = waker.wake();
        }
    }
}
