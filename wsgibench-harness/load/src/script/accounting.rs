//! Accounting of scripted users: every request is counted once, even if its script drops it.

mod requests;
mod users;

use std::{collections::VecDeque, time::Duration};

use slab::Slab;

use super::{
    super::{
        agenda::Agenda,
        clock::{NEVER, Nanos},
        excerpt::shorten,
        record::{Recorder, Tally},
        result::{ErrorKind, FailedCheck, Latency, Step},
        watch::Live,
    },
    Part, WHOLE_SCRIPT,
};

/// A script that has done nothing for this long at the end of a round counts as hanging.
const SILENCE: Nanos = 100_000_000;
/// The name under which hanging scripts are counted.
pub(super) const HANGS: &str = "the script hangs";

/// Outcome of a request after its response was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RequestOutcome {
    Right,
    /// Failed, with the reason.
    Failed(ErrorKind, String),
    /// Failed a check: kind of error, name of the check, sample of the response.
    Check(ErrorKind, String, String),
}

/// A request that has started and is not counted yet.
#[derive(Clone, Copy, Debug)]
struct Pending {
    user: usize,
    step: Option<usize>,
    intended: Nanos,
    begun: Nanos,
    /// Response and service time, once the response is complete.
    answered: Option<(Nanos, Nanos)>,
    /// Whether the status passes without a check.
    passes: bool,
    /// Whether it counts in the current round.
    noted: bool,
}

/// Activity of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    /// Between two runs of its script.
    Nothing,
    /// Its script runs without a request or a pause.
    Script,
    Request,
    Thinking,
}

#[derive(Clone, Copy, Debug)]
struct UserNotes {
    doing: Doing,
    /// Start of the activity.
    since: Nanos,
    /// Start of the current part of its script.
    began: Nanos,
    part: Part,
    /// Due time of an arrival that was offered and has not sent its first request.
    arrival_due: Option<Nanos>,
    /// Requests in this run of its script so far.
    asked: u64,
    /// Whether it has sent a request in this round, or hangs.
    busy: bool,
    /// Successful requests in this round.
    answers: u64,
}

impl UserNotes {
    /// Returns whether the user has neither sent a request nor paused for this long.
    fn hangs(&self, now: Nanos, longer_than: Nanos) -> bool {
        self.doing == Doing::Script && now.saturating_sub(self.since) >= longer_than
    }
}

/// The accounting of one worker.
#[derive(Debug)]
pub(super) struct Accounting {
    recorder: Recorder,
    /// Start of the current round.
    phase: Option<Nanos>,
    /// End of the current round.
    until: Nanos,
    /// Arrivals of this worker; `None` for closed loops.
    agenda: Option<Agenda>,
    /// Whether each arrival is a user with several runs, not a request.
    visits: bool,
    /// Number of arrivals taken in the round.
    taken: u64,
    second: Nanos,
    requests: Slab<Pending>,
    users: Slab<UserNotes>,
    /// Arrivals that wait for a free place.
    queue: VecDeque<Nanos>,
    checks: Vec<FailedCheck>,
    /// Steps; the first is that of whole scripts.
    steps: Vec<Step>,
    open_connections: u64,
}

/// Figures of a worker in a round.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) tally: Tally,
    pub(super) checks: Vec<FailedCheck>,
    pub(super) steps: Vec<Step>,
}

impl Accounting {
    pub(super) fn new(agenda: Option<Agenda>, visits: bool) -> Self {
        Self {
            recorder: Recorder::new(0, 0),
            phase: None,
            until: 0,
            agenda,
            visits,
            taken: 0,
            second: 0,
            requests: Slab::new(),
            users: Slab::new(),
            queue: VecDeque::new(),
            checks: Vec::new(),
            steps: vec![step(WHOLE_SCRIPT)],
            open_connections: 0,
        }
    }
}

fn step(name: &str) -> Step {
    Step {
        name: name.to_owned(),
        latency: Latency::new(),
        failed: 0,
    }
}

/// The phase.
impl Accounting {
    /// Begins a round that lasts until `until`. Requests in flight join it.
    pub(super) fn begin(&mut self, now: Nanos, until: Nanos) {
        self.until = until;
        self.taken = 0;
        if let Some(agenda) = &mut self.agenda {
            agenda.restart(now);
        }
        self.recorder.take();
        self.checks.clear();
        for step in &mut self.steps {
            *step = self::step(&step.name);
        }
        self.phase = Some(now);
        self.second = now;
        for (_, user) in &mut self.users {
            user.answers = 0;
            user.busy = false;
        }
        for (_, pending) in &mut self.requests {
            pending.noted = pending.answered.is_none();
            self.recorder.tally.counts.offered += u64::from(pending.noted);
            if let Some(user) = self.users.get_mut(pending.user).filter(|_| pending.noted) {
                user.busy = true;
            }
        }
        self.recorder.tally.established = self.open_connections;
    }

    /// Ends a second of the round.
    pub(super) fn end_second(&mut self, now: Nanos) {
        if let Some(start) = self.phase {
            let active = self.users.len() as u64;
            self.recorder.end_second(self.second - start, active);
            self.second = now;
        }
    }

    /// Ends the round; requests in flight are censored.
    pub(super) fn end(&mut self, now: Nanos) -> Round {
        let keys: Vec<usize> = self
            .requests
            .iter()
            .filter(|(_, p)| p.noted)
            .map(|(key, _)| key)
            .collect();
        for key in keys {
            let pending = self.requests[key];
            match pending.answered {
                Some((response, service)) => self.right(pending, response, service),
                None => self.censor(pending, now),
            }
            self.requests[key].noted = false;
        }
        let users: Vec<(usize, UserNotes)> = self.users.iter().map(|(key, user)| (key, *user)).collect();
        for (key, user) in users {
            self.close_user(key, user, now);
        }
        while let Some(due) = self.queue.pop_front() {
            self.recorder.unsent(now.saturating_sub(due));
        }
        self.end_arrivals(now);
        let start = self.phase.unwrap_or(now);
        self.end_second(now);
        self.phase = None;
        let mut tally = self.recorder.take();
        tally.start = start;
        tally.end = now;
        Round {
            tally,
            checks: std::mem::take(&mut self.checks),
            steps: self.steps.clone(),
        }
    }

    /// Counts arrivals that were due but not started by a busy worker.
    fn end_arrivals(&mut self, now: Nanos) {
        let users = self.visits;
        let Some(agenda) = &mut self.agenda else { return };
        let end = self.until.min(now);
        while let Some(due) = agenda.pop(end, end) {
            let tally = &mut self.recorder.tally;
            tally.counts.offered += 1;
            if users {
                tally.users_arrived += 1;
                tally.users_active += 1;
                tally.wanted += 1;
                tally.fairness.add(0);
            } else {
                tally.scheduled += 1;
            }
            self.recorder.unsent(now.saturating_sub(due));
        }
        agenda.stop();
    }

    fn close_user(&mut self, key: usize, user: UserNotes, now: Nanos) {
        let hangs = user.arrival_due.is_none() && user.hangs(now, SILENCE);
        // A user who pauses for the whole round was not starved.
        if user.busy || hangs {
            self.recorder.tally.fairness.add(user.answers);
            self.recorder.tally.wanted += 1;
        }
        self.recorder.tally.users_active += 1;
        if user.doing != Doing::Nothing && user.part == Part::Run {
            let since = user.began.max(self.phase.unwrap_or(now));
            self.steps[0].latency.record_censored(time(now.saturating_sub(since)));
        }
        if let Some(due) = user.arrival_due {
            self.recorder.unsent(now.saturating_sub(due));
            self.users[key].arrival_due = None;
        } else if hangs {
            // The script awaits forever, or blocks the thread.
            self.recorder.tally.counts.offered += 1;
            self.recorder.censored(now - user.since, None);
            let sample = format!(
                "no request and no pause for {:.1} s",
                time(now - user.since).as_secs_f64()
            );
            note_check(&mut self.checks, HANGS, &sample);
        }
    }

    /// Returns whether a request that began before `moment` is in flight.
    pub(super) fn any_asks_since(&self, moment: Nanos) -> bool {
        self.users
            .iter()
            .any(|(_, user)| user.doing == Doing::Request && user.since <= moment)
    }

    /// Returns whether a script has done nothing for this long.
    pub(super) fn any_hangs(&self, now: Nanos, longer_than: Nanos) -> bool {
        self.users.iter().any(|(_, user)| user.hangs(now, longer_than))
    }

    /// Returns the number of users who finished in this round.
    pub(super) fn finished(&self) -> u64 {
        self.recorder.tally.users_finished
    }

    /// Returns the figures of the round so far.
    pub(super) fn live(&self) -> Live {
        let (done, errors) = self.recorder.done_or_failed();
        Live {
            done,
            errors,
            retried: self.recorder.tally.counts.retried,
            p99_ns: self.recorder.last_p99,
            active: self.users.len() as u64,
        }
    }
}

/// Arrivals.
impl Accounting {
    /// Returns when the next arrival of the round that began at `start` is due; `None` after the last, and in another round.
    pub(super) fn next_due(&self, start: Nanos) -> Option<Nanos> {
        let due = self.agenda.as_ref().filter(|_| self.phase == Some(start))?.due();
        (due != NEVER && due < self.until).then_some(due)
    }

    /// Takes the arrival that was due at `due`, and returns its number in the round; `None` if the round has ended. A request
    /// that arrives waits for a free place from then on.
    pub(super) fn take_arrival(&mut self, start: Nanos, due: Nanos, now: Nanos) -> Option<u64> {
        if self.next_due(start) != Some(due) {
            return None;
        }
        self.agenda.as_mut()?.pop(now.max(due), self.until)?;
        let number = self.taken;
        self.taken += 1;
        if !self.visits {
            self.recorder.tally.counts.offered += 1;
            self.recorder.tally.scheduled += 1;
            self.queue.push_back(due);
        }
        Some(number)
    }
}

/// Connections.
impl Accounting {
    pub(super) fn connects(&mut self, took: Nanos) {
        self.open_connections += 1;
        let tally = &mut self.recorder.tally;
        tally.opened += 1;
        tally.established = tally.established.max(self.open_connections);
        tally.connect.record(time(took));
    }

    pub(super) fn disconnects(&mut self) {
        self.open_connections = self.open_connections.saturating_sub(1);
    }
}

fn time(ns: Nanos) -> Duration {
    Duration::from_nanos(ns)
}

fn note_check(checks: &mut Vec<FailedCheck>, name: &str, sample: &str) {
    match checks.iter_mut().find(|check| check.name == name) {
        Some(check) => check.count += 1,
        None => checks.push(FailedCheck {
            name: name.to_owned(),
            count: 1,
            sample: shorten(sample),
        }),
    }
}
