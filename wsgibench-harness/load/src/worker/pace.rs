//! Waits until a time with microsecond precision: a kernel timer fires shortly before it, then the thread spins.
//! (The millisecond timeout of epoll would be late by a millisecond.)
//!
//! The worker's event loop polls the timer along with its sockets and spins by polling again. Scripted workers await theirs
//! as a task of a tokio runtime (`script/pace.rs`); `timer` has the code that both share.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
};

use mio::{Interest, Registry, Token, unix::SourceFd};

use super::super::{
    clock::{NEVER, Nanos},
    timer,
};

/// Minimum and maximum time between the timer and the target time, ns. A virtual machine that sometimes wakes up late (by
/// half a millisecond, as observed) should not sleep between arrivals at all.
const MARGIN: (u64, u64) = (15_000, 1_000_000);

/// A kernel timer that adapts to its observed lateness.
#[derive(Debug)]
pub(super) struct Pacer {
    timer: OwnedFd,
    /// When the timer fires; `NEVER` if it is not set.
    armed: Nanos,
    /// Time between the timer and the target time; follows the observed lateness.
    margin: u64,
}

impl Pacer {
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let timer = timer::create()?;
        registry.register(&mut SourceFd(&timer.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self {
            timer,
            armed: NEVER,
            margin: timer::MARGIN,
        })
    }

    /// Returns whether the time is so near that the thread must spin.
    pub(super) fn is_near(&self, moment: Nanos, now: Nanos) -> bool {
        moment.saturating_sub(now) <= self.margin
    }

    /// Sets the timer to fire shortly before `moment`.
    pub(super) fn arm(&mut self, moment: Nanos, now: Nanos) -> io::Result<()> {
        let at = moment.saturating_sub(self.margin);
        if self.armed == at {
            return Ok(());
        }
        // The timer is edge-triggered, so that its count of expirations need not be read.
        timer::expire_after(&self.timer, at.saturating_sub(now))?;
        self.armed = at;
        Ok(())
    }

    /// Handles the timer's expiration: adapts the margin to its lateness.
    pub(super) fn fired(&mut self, now: Nanos) {
        if self.armed == NEVER || now < self.armed {
            return;
        }
        let late = now - self.armed;
        self.armed = NEVER;
        // Quickly up, slowly down: a wake-up later than the margin is client lag, an earlier one only costs spinning.
        let wanted = late + late / 2 + 5_000;
        self.margin = wanted.max(self.margin - self.margin / 128).clamp(MARGIN.0, MARGIN.1);
    }

    /// Handles a target time. If the margin exceeds the gaps between arrivals, no timer is set and the margin cannot adapt, so
    /// it is reduced slowly until sleeping is tried again.
    pub(super) fn passed(&mut self) {
        self.margin = (self.margin - self.margin / 1024).max(MARGIN.0);
    }
}
