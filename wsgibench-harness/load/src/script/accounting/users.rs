//! Users and their scripts: arrivals, departures and activity.

use super::{Accounting, Doing, UserNotes, note_check, step, time};
use crate::{clock::Nanos, result::ErrorKind, script::Part};

impl Accounting {
    pub(in crate::script) fn user_arrives(&mut self, now: Nanos) -> usize {
        self.recorder.tally.users_arrived += u64::from(self.phase.is_some());
        self.users.insert(UserNotes {
            doing: Doing::Nothing,
            since: now,
            began: now,
            part: Part::Run,
            arrival_due: None,
            asked: 0,
            busy: false,
            answers: 0,
        })
    }

    pub(in crate::script) fn user_leaves(&mut self, user: usize, finished: bool) {
        let Some(user) = self.users.try_remove(user) else {
            return;
        };
        if self.phase.is_some() {
            if user.busy {
                self.recorder.tally.fairness.add(user.answers);
                self.recorder.tally.wanted += 1;
            }
            self.recorder.tally.users_finished += u64::from(finished);
        }
    }

    /// Returns the next waiting arrival.
    pub(in crate::script) fn next_arrival(&mut self) -> Option<Nanos> {
        self.queue.pop_front()
    }

    /// Records an arrival that found a free place after `lag`, or waited for one.
    pub(in crate::script) fn placed(&mut self, lag: Nanos, waited: bool) {
        if self.phase.is_some() {
            let tally = &mut self.recorder.tally;
            let latency = if waited { &mut tally.queue } else { &mut tally.lag };
            latency.record(time(lag));
        }
    }

    /// Sets the due time of the arrival that the user's next request belongs to.
    pub(in crate::script) fn set_arrival(&mut self, user: usize, arrival_due: Option<Nanos>) {
        let arrival_due = arrival_due.filter(|_| self.phase.is_some());
        if let Some(accounting) = self.users.get_mut(user).filter(|_| arrival_due.is_some()) {
            accounting.arrival_due = arrival_due;
        }
    }

    pub(in crate::script) fn script_begins(&mut self, user: usize, part: Part, now: Nanos) {
        if let Some(accounting) = self.users.get_mut(user) {
            accounting.doing = Doing::Script;
            accounting.since = now;
            accounting.began = now;
            accounting.part = part;
            accounting.asked = 0;
        }
    }

    /// Records the end of a part of the script; `error` is a failure that is not counted as that of a request.
    pub(in crate::script) fn script_ends(
        &mut self,
        user: usize,
        part: Part,
        error: Option<(&str, String)>,
        failed: bool,
        now: Nanos,
    ) {
        let Some(accounting) = self.users.get_mut(user) else {
            return;
        };
        accounting.doing = Doing::Nothing;
        accounting.since = now;
        // A set-up without requests leaves the arrival to the script.
        let arrival_due = if part == Part::Setup && !failed {
            None
        } else {
            accounting.arrival_due.take()
        };
        let began = accounting.began;
        let Some(start) = self.phase else {
            return;
        };
        let whole = &mut self.steps[0];
        if failed && part != Part::Teardown {
            whole.failed += 1;
        } else if part == Part::Run && began >= start {
            whole.latency.record(time(now - began));
        }
        match error {
            Some((name, sample)) => {
                self.recorder.tally.counts.offered += u64::from(arrival_due.is_none());
                self.recorder.failed(ErrorKind::Script);
                note_check(&mut self.checks, name, &sample);
            }
            // An arrival whose script sent no request.
            None => self.recorder.tally.counts.offered -= u64::from(arrival_due.is_some()),
        }
    }

    /// Returns whether the user has sent a request in this run of its script.
    pub(in crate::script) fn has_asked(&self, user: usize) -> bool {
        self.users.get(user).is_some_and(|accounting| accounting.asked > 0)
    }

    pub(in crate::script) fn thinks(&mut self, user: usize, thinking: bool, now: Nanos) {
        self.does(user, if thinking { Doing::Thinking } else { Doing::Script }, now);
    }

    pub(super) fn does(&mut self, user: usize, doing: Doing, now: Nanos) {
        if let Some(accounting) = self.users.get_mut(user) {
            accounting.doing = doing;
            accounting.since = now;
        }
    }

    /// Returns the index of a step, by name.
    pub(in crate::script) fn step(&mut self, name: &str) -> usize {
        let known = self.steps.iter().position(|step| step.name == name);
        known.unwrap_or_else(|| {
            self.steps.push(step(name));
            self.steps.len() - 1
        })
    }
}
