//! Waiting for a moment to the microsecond: a timer of the kernel brings the thread near, spinning does the rest.
//! (A sleep of the runtime or the millisecond timeout of epoll would be late by a millisecond.)

use std::{io, os::fd::AsRawFd, os::fd::OwnedFd, time::Duration};

use mio::{Interest, Registry, Token, unix::SourceFd};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use super::super::clock::{NEVER, Nanos};

/// Least and most that the timer is set before the moment. A virtual machine that is woken late now and then (half a
/// millisecond was seen) had better not sleep between arrivals at all.
const MARGIN: (u64, u64) = (15_000, 1_000_000);

/// A timer of the kernel and what is known of its lateness here.
#[derive(Debug)]
pub(super) struct Pacer {
    timer: OwnedFd,
    /// When the timer is to fire; `NEVER` when it is not set.
    armed: Nanos,
    /// How long before the moment the timer is set to fire: follows how late it has been.
    margin: u64,
}

impl Pacer {
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        registry.register(&mut SourceFd(&timer.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self {
            timer,
            armed: NEVER,
            margin: 60_000,
        })
    }

    /// Whether the moment is so near that it must be spun for.
    pub(super) fn is_near(&self, moment: Nanos, now: Nanos) -> bool {
        moment.saturating_sub(now) <= self.margin
    }

    /// Sets the timer to fire shortly before `moment`.
    pub(super) fn arm(&mut self, moment: Nanos, now: Nanos) -> io::Result<()> {
        let at = moment.saturating_sub(self.margin);
        if self.armed == at {
            return Ok(());
        }
        let wait = Duration::from_nanos(at.saturating_sub(now).max(1));
        let value = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec {
                tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: wait.subsec_nanos().into(),
            },
        };
        // The timer is watched edge by edge, so that its count of expirations never needs to be read.
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &value)?;
        self.armed = at;
        Ok(())
    }

    /// The timer has fired: learns how late this machine wakes us.
    pub(super) fn fired(&mut self, now: Nanos) {
        if self.armed == NEVER || now < self.armed {
            return;
        }
        let late = now - self.armed;
        self.armed = NEVER;
        // Quickly up, slowly down: a wake-up later than the margin is lag, one earlier is only spinning.
        let wanted = late + late / 2 + 5_000;
        self.margin = wanted.max(self.margin - self.margin / 128).clamp(MARGIN.0, MARGIN.1);
    }

    /// A moment has come. Where the margin is wider than the arrivals no timer is set any more, and nothing is learned from
    /// one: by and by sleeping is tried again.
    pub(super) fn passed(&mut self) {
        self.margin = (self.margin - self.margin / 1024).max(MARGIN.0);
    }
}
