//! Requests: each is counted once, when its script has checked or dropped the response.

use std::time::Duration;

use super::{Accounting, Doing, Pending, RequestOutcome, note_check, time};
use crate::{clock::Nanos, excerpt::shorten, result::ErrorKind};

impl Accounting {
    pub(in crate::script) fn asks(&mut self, user: usize, step: Option<usize>, now: Nanos) -> usize {
        let noted = self.phase.is_some();
        let mut arrival_due = None;
        if let Some(accounting) = self.users.get_mut(user) {
            arrival_due = accounting.arrival_due.take();
            accounting.asked += 1;
            accounting.busy |= noted;
            accounting.doing = Doing::Request;
            accounting.since = now;
        }
        self.recorder.tally.counts.offered += u64::from(noted && arrival_due.is_none());
        self.requests.insert(Pending {
            user,
            step,
            intended: arrival_due.unwrap_or(now),
            begun: now,
            answered: None,
            passes: true,
            noted,
        })
    }

    /// Records the start of sending; the time before was spent connecting.
    pub(in crate::script) fn sends(&mut self, request: usize, now: Nanos) {
        if let Some(pending) = self.requests.get_mut(request) {
            pending.begun = now;
        }
    }

    pub(in crate::script) fn retries(&mut self) {
        self.recorder.tally.counts.retried += 1;
    }

    /// Records a complete response, which is counted when the script has checked it.
    pub(in crate::script) fn is_answered(&mut self, request: usize, status: u16, now: Nanos) {
        if let Some(pending) = self.requests.get_mut(request) {
            let response = now.saturating_sub(pending.intended);
            pending.answered = Some((response, now.saturating_sub(pending.begun)));
            pending.passes = status < 400;
            let user = pending.user;
            self.does(user, Doing::Script, now);
        }
    }

    /// Records that the script accepts the status.
    pub(in crate::script) fn passes(&mut self, request: usize) {
        if let Some(pending) = self.requests.get_mut(request) {
            pending.passes = true;
        }
    }

    /// Records the outcome of a request.
    pub(in crate::script) fn record_outcome(&mut self, request: usize, verdict: RequestOutcome, now: Nanos) {
        let Some(pending) = self.requests.try_remove(request) else {
            return;
        };
        if pending.answered.is_none() {
            self.does(pending.user, Doing::Script, now);
        }
        if !pending.noted {
            return;
        }
        match verdict {
            RequestOutcome::Right => match pending.answered {
                Some((response, service)) => self.right(pending, response, service),
                None => self.censor(pending, now),
            },
            RequestOutcome::Failed(kind, reason) => {
                self.recorder.explain(kind, || match kind {
                    // Words of this crate, with a remedy at the end.
                    ErrorKind::Tls => reason,
                    _ => shorten(&reason),
                });
                self.failed(pending, kind);
            }
            RequestOutcome::Check(kind, name, sample) => {
                note_check(&mut self.checks, &name, &sample);
                self.failed(pending, kind);
            }
        }
    }

    /// Records a request that the script dropped: successful unless its status is an error, censored if it was in flight.
    pub(in crate::script) fn record_drop(&mut self, request: usize, status: u16, now: Nanos) {
        let verdict = match self.requests.get(request) {
            Some(pending) if !pending.passes => RequestOutcome::Check(
                ErrorKind::Status,
                "status 200 to 399".into(),
                format!("status {status}"),
            ),
            _ => RequestOutcome::Right,
        };
        self.record_outcome(request, verdict, now);
    }

    pub(in crate::script) fn times_out(&mut self, request: usize, after: Duration, now: Nanos) {
        let Some(pending) = self.requests.try_remove(request) else {
            return;
        };
        self.does(pending.user, Doing::Script, now);
        if pending.noted {
            let (response, service) = (now - pending.intended, now - pending.begun);
            self.recorder.timed_out(response, service);
            self.recorder.explain(ErrorKind::ResponseTimeout, || {
                format!("no response within {} s", after.as_secs_f64())
            });
            self.censor_step(pending, now);
        }
    }

    /// Records a failed check that does not belong to a response.
    pub(in crate::script) fn check_fails(&mut self, user: usize, name: &str) {
        if self.phase.is_some() {
            let arrival_due = self
                .users
                .get_mut(user)
                .and_then(|accounting| accounting.arrival_due.take());
            self.recorder.tally.counts.offered += u64::from(arrival_due.is_none());
            self.recorder.failed(ErrorKind::CheckFailed);
            note_check(&mut self.checks, name, "");
        }
    }

    pub(super) fn right(&mut self, pending: Pending, response: Nanos, service: Nanos) {
        self.recorder.done(response.max(1), service.max(1));
        if let Some(step) = pending.step {
            self.steps[step].latency.record(time(response));
        }
        if let Some(user) = self.users.get_mut(pending.user) {
            user.answers += 1;
        }
    }

    fn failed(&mut self, pending: Pending, kind: ErrorKind) {
        self.recorder.failed(kind);
        if let Some(step) = pending.step {
            self.steps[step].failed += 1;
        }
    }

    pub(super) fn censor(&mut self, pending: Pending, now: Nanos) {
        let service = now.saturating_sub(pending.begun);
        self.recorder
            .censored(now.saturating_sub(pending.intended), Some(service));
        self.censor_step(pending, now);
    }

    fn censor_step(&mut self, pending: Pending, now: Nanos) {
        if let Some(step) = pending.step {
            let latency = &mut self.steps[step].latency;
            latency.record_censored(time(now.saturating_sub(pending.intended)));
        }
    }
}
