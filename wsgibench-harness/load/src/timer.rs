//! Kernel timers with nanosecond resolution, for the pacers of declared and of scripted loads.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use super::clock::Nanos;

/// Time between the expiration of the timer and the target time, in which a thread spins, ns. An adaptive pacer begins with it.
pub(super) const MARGIN: Nanos = 60_000;

/// Creates a timer that is not set.
pub(super) fn create() -> io::Result<OwnedFd> {
    Ok(timerfd_create(
        TimerfdClockId::Monotonic,
        TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
    )?)
}

/// Sets a timer to expire once, `wait` nanoseconds from now (at least 1: 0 would disarm it).
pub(super) fn expire_after(timer: impl AsFd, wait: Nanos) -> io::Result<()> {
    let wait = Duration::from_nanos(wait.max(1));
    let value = Itimerspec {
        it_interval: Timespec::default(),
        it_value: Timespec {
            tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: wait.subsec_nanos().into(),
        },
    };
    timerfd_settime(timer, TimerfdTimerFlags::empty(), &value)?;
    Ok(())
}
