//! One interface to the two load generators: declared loads and scripted users.

use std::time::Duration;

use crate::{
    declare::Work,
    load::{Counts, Edge, LoadError, LoadPlan, RoundResult, Session, Watch, script::ScriptSession},
};

/// A running load.
#[derive(Debug)]
pub(super) enum Driver {
    Declared(Box<Session>),
    Script(Box<ScriptSession>),
}

impl Driver {
    /// Starts the workers for `work`.
    pub(super) fn start(plan: &LoadPlan, work: &Work) -> Result<Self, LoadError> {
        Ok(match work.script() {
            None => Self::Declared(Box::new(Session::start(plan)?)),
            Some(script) => Self::Script(Box::new(ScriptSession::start(plan, script.clone())?)),
        })
    }

    pub(super) fn warm_up(&mut self, length: Duration) -> Result<Counts, LoadError> {
        match self {
            Self::Declared(session) => session.warm_up(length),
            Self::Script(session) => session.warm_up(length),
        }
    }

    pub(super) fn round_observed(
        &mut self,
        length: Duration,
        observe: &mut dyn FnMut(Edge),
    ) -> Result<RoundResult, LoadError> {
        match self {
            Self::Declared(session) => session.round_observed(length, observe),
            Self::Script(session) => session.round_observed(length, observe),
        }
    }

    /// Runs one slice of a round, then pauses the load. Declared loads only.
    pub(super) fn slice_observed(
        &mut self,
        length: Duration,
        observe: &mut dyn FnMut(Edge),
    ) -> Result<RoundResult, LoadError> {
        match self {
            Self::Declared(session) => session.slice_observed(length, observe),
            Self::Script(_) => Err(LoadError::InvalidPlan(
                "a scripted load cannot be paused between slices".to_owned(),
            )),
        }
    }

    /// Runs the one user of the load until it has left, for at most a time.
    pub(super) fn one_visit(&mut self, requests: u64, at_most: Duration) -> Result<RoundResult, LoadError> {
        match self {
            Self::Declared(session) => session.until_answered(requests, at_most),
            Self::Script(session) => session.until_users_left(1, at_most),
        }
    }

    pub(super) fn watch(&self) -> Watch {
        match self {
            Self::Declared(session) => session.watch(),
            Self::Script(session) => session.watch(),
        }
    }

    pub(super) fn finish(self) -> Result<(), LoadError> {
        match self {
            Self::Declared(session) => session.finish(),
            Self::Script(session) => session.finish(),
        }
    }
}
