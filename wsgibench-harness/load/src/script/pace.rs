//! Waits until a time on the worker's runtime: a kernel timer fires shortly before it, then the thread spins. (The
//! runtime's own sleep is late by a millisecond.)
//!
//! The task that starts users awaits the timer and spins by yielding to the users. Declared loads poll theirs in an event loop
//! (`worker/pace.rs`); `timer` has the code that both share.

use std::{
    io,
    os::fd::OwnedFd,
    sync::{Arc, atomic::Ordering},
};

use tokio::io::{Interest, unix::AsyncFd};

use super::{
    super::{
        clock::Nanos,
        timer::{self, MARGIN},
    },
    worker_state::WorkerState,
};

#[derive(Debug)]
pub(super) struct Pace {
    timer: AsyncFd<OwnedFd>,
    state: Arc<WorkerState>,
}

impl Pace {
    pub(super) fn new(state: &Arc<WorkerState>) -> io::Result<Self> {
        let timer = timer::create()?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe for descriptors that may be closed elsewhere; this one is owned and is not"
        )]
        let timer = AsyncFd::with_interest(timer, Interest::READABLE)?;
        Ok(Self {
            timer,
            state: Arc::clone(state),
        })
    }

    /// Waits until `moment`, or later if the worker is busy.
    pub(super) async fn until(&self, moment: Nanos) -> io::Result<()> {
        let now = self.state.clock.now();
        if moment > now + MARGIN {
            timer::expire_after(self.timer.get_ref(), moment - MARGIN - now)?;
            let mut ready = self.timer.readable().await?;
            let mut expirations = [0; 8];
            // Reading the count of expirations resets the readiness of the timer.
            let _ = rustix::io::read(self.timer.get_ref(), &mut expirations);
            ready.clear_ready();
        }
        let begun = self.state.clock.now();
        if begun >= moment {
            return Ok(());
        }
        // Other tasks run meanwhile; within the margin, counting their time as spinning does not matter.
        while self.state.clock.now() < moment {
            tokio::task::yield_now().await;
        }
        self.state.spun.fetch_add(moment - begun, Ordering::Relaxed);
        Ok(())
    }
}
