//! The arrivals of one worker in a phase.

use super::{
    clock::{NEVER, Nanos},
    model::Model,
    plan::Stripe,
    schedule::{ArrivalTimes, Schedule},
};

/// The arrivals of a worker, phase by phase.
#[derive(Debug)]
pub(crate) struct Agenda {
    schedule: Schedule,
    stripe: Stripe,
    times: ArrivalTimes,
    /// Start of the phase.
    start: Nanos,
    /// The next arrival; `NEVER` after the last and between phases.
    due: Nanos,
}

impl Agenda {
    /// `None` for closed loops, which have no arrivals.
    pub(crate) fn new(model: &Model, seed: u64, stripe: Stripe) -> Option<Self> {
        let schedule = Schedule::of_model(model, seed)?;
        Some(Self {
            times: schedule.arrivals(stripe),
            schedule,
            stripe,
            start: 0,
            due: NEVER,
        })
    }

    /// Begins a phase.
    pub(crate) fn restart(&mut self, start: Nanos) {
        self.times = self.schedule.arrivals(self.stripe);
        self.start = start;
        self.advance();
    }

    /// Ends a phase: nothing is due until the next.
    pub(crate) fn stop(&mut self) {
        self.due = NEVER;
    }

    fn advance(&mut self) {
        self.due = self.times.next().map_or(NEVER, |at| self.start.saturating_add(at));
    }

    /// Returns when the next arrival is due; `NEVER` for none.
    pub(crate) fn due(&self) -> Nanos {
        self.due
    }

    /// Takes the next arrival if it is due by `now` and before `end`.
    pub(crate) fn pop(&mut self, now: Nanos, end: Nanos) -> Option<Nanos> {
        let due = self.due;
        if due <= now && due < end {
            self.advance();
            Some(due)
        } else {
            None
        }
    }

    /// Returns this worker's share of the highest rate of the schedule, arrivals per second.
    pub(crate) fn peak_rate(&self) -> f64 {
        self.schedule.peak_rate() / f64::from(self.stripe.of.max(1))
    }
}
