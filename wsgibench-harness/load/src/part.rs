//! The figures of one stripe of a load, which are merged with those of the other stripes without loss.

use serde::{Deserialize, Serialize};

use super::{
    error::LoadError,
    record::{self, Circumstances, Tally},
    result::{FailedCheck, RoundResult, Step},
};

/// The figures of one stripe in one round: whole histograms, so that the merged result equals that of one process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RoundPart {
    tallies: Vec<Tally>,
    check_names: Vec<String>,
    request_names: Vec<String>,
    open: bool,
    users: bool,
    /// Named checks and steps of scripted users.
    script: Option<ScriptPart>,
}

/// Figures that only scripted users have.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct ScriptPart {
    pub(super) checks: Vec<FailedCheck>,
    pub(super) steps: Vec<Step>,
}

impl RoundPart {
    pub(super) fn new(tallies: Vec<Tally>, about: Circumstances<'_>, script: Option<ScriptPart>) -> Self {
        Self {
            tallies,
            check_names: about.check_names.to_vec(),
            request_names: about.request_names.to_vec(),
            open: about.open,
            users: about.users,
            script,
        }
    }

    /// Counts times from the start of the round instead of from the start of this process's clock, which other processes do not share.
    #[must_use]
    pub(super) fn counted_from_start(mut self) -> Self {
        let origin = self.tallies.iter().map(|tally| tally.start).min().unwrap_or(0);
        for tally in &mut self.tallies {
            tally.start -= origin;
            tally.end = tally.end.saturating_sub(origin);
        }
        self
    }

    /// Adds the figures of another stripe. Merged in the same order, they give the same result to the bit.
    pub fn add(&mut self, other: Self) {
        let mut tallies = std::mem::take(&mut self.tallies).into_iter().chain(other.tallies);
        if let Some(mut sum) = tallies.next() {
            // Workers are counted when the tallies are merged.
            for tally in tallies {
                record::add(&mut sum, tally);
            }
            self.tallies.push(sum);
        }
        if let Some(more) = other.script {
            let script = self.script.get_or_insert_default();
            for check in more.checks {
                check.join(&mut script.checks);
            }
            for step in more.steps {
                step.join(&mut script.steps);
            }
        }
    }

    /// Returns the result of the round.
    ///
    /// # Errors
    /// [`LoadError::Accounting`] when a request was lost or counted twice.
    pub fn result(self) -> Result<RoundResult, LoadError> {
        let about = Circumstances {
            check_names: &self.check_names,
            request_names: &self.request_names,
            open: self.open,
            users: self.users,
        };
        let mut result = record::merge(self.tallies, about)?;
        if let Some(script) = self.script {
            result.failed_checks = script.checks;
            result.steps = script.steps;
        }
        Ok(result)
    }
}

#[cfg(feature = "testing")]
#[doc(hidden)]
impl RoundPart {
    /// Returns a part whose requests took these times, ns, in a round of 1 s.
    #[must_use]
    pub fn sample(times: impl Iterator<Item = u64>) -> Self {
        let mut recorder = record::Recorder::new(0, 0);
        for ns in times {
            recorder.tally.counts.offered += 1;
            recorder.done(ns, ns / 2);
        }
        recorder.end_second(0, 1);
        recorder.tally.end = 1_000_000_000;
        let about = Circumstances {
            check_names: &[],
            request_names: &[],
            open: false,
            users: false,
        };
        Self::new(vec![recorder.take()], about, None)
    }
}
