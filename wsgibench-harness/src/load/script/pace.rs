//! Waits until a time on the worker's runtime: a kernel timer fires shortly before it, then the thread spins. (The
//! runtime's own sleep is late by a millisecond.)

use std::{
    io,
    os::fd::OwnedFd,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::{Interest, unix::AsyncFd};

use super::{super::clock::Nanos, worker_state::WorkerState};

/// Time between the timer and the target time, ns.
const MARGIN: Nanos = 60_000;

#[derive(Debug)]
pub(super) struct Pace {
    timer: AsyncFd<OwnedFd>,
    state: Arc<WorkerState>,
}

impl Pace {
    pub(super) fn new(state: &Arc<WorkerState>) -> io::Result<Self> {
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
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
            self.arm(moment - MARGIN - now)?;
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

    fn arm(&self, ns: Nanos) -> io::Result<()> {
        let wait = Duration::from_nanos(ns.max(1));
        let value = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec {
                tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: wait.subsec_nanos().into(),
            },
        };
        timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::empty(), &value)?;
        Ok(())
    }
}
