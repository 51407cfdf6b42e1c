//! One interface to the two load generators: declared loads and scripted users.

use std::time::Duration;
#[cfg(feature = "kubernetes")]
use std::time::Instant;

#[cfg(feature = "kubernetes")]
use super::cluster::ClusterDriver;

#[cfg(feature = "kubernetes")]
use crate::load::RoundPart;
use crate::{
    declare::Work,
    load::{Counts, Edge, LoadError, LoadPlan, RoundResult, Session, Watch, script::ScriptSession},
};

/// A running load.
#[derive(Debug)]
pub(super) enum Driver {
    Declared(Box<Session>),
    Script(Box<ScriptSession>),
    /// Pods of a cluster.
    #[cfg(feature = "kubernetes")]
    Cluster(Box<ClusterDriver>),
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
            #[cfg(feature = "kubernetes")]
            Self::Cluster(driver) => driver.warm_up(length).map(|()| Counts::default()),
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
            #[cfg(feature = "kubernetes")]
            Self::Cluster(_) => Err(in_pods()),
        }
    }

    /// Runs one round from a moment on; returns the figures of this process's stripe.
    #[cfg(feature = "kubernetes")]
    pub(super) fn round_at(
        &mut self,
        start: Instant,
        length: Duration,
        observe: &mut dyn FnMut(Edge),
    ) -> Result<RoundPart, LoadError> {
        match self {
            Self::Declared(session) => session.round_at(start, length, observe),
            Self::Script(session) => session.round_at(start, length, observe),
            Self::Cluster(_) => Err(in_pods()),
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
            #[cfg(feature = "kubernetes")]
            Self::Cluster(_) => Err(in_pods()),
        }
    }

    /// Runs the one user of the load until it has left, for at most a time.
    pub(super) fn one_visit(&mut self, requests: u64, at_most: Duration) -> Result<RoundResult, LoadError> {
        match self {
            Self::Declared(session) => session.until_answered(requests, at_most),
            Self::Script(session) => session.until_users_left(1, at_most),
            #[cfg(feature = "kubernetes")]
            Self::Cluster(_) => Err(in_pods()),
        }
    }

    /// Whether a part of the load was lost, so that no further round is possible.
    pub(super) fn is_broken(&self) -> bool {
        match self {
            Self::Declared(_) | Self::Script(_) => false,
            #[cfg(feature = "kubernetes")]
            Self::Cluster(driver) => driver.is_broken(),
        }
    }

    pub(super) fn watch(&self) -> Watch {
        match self {
            Self::Declared(session) => session.watch(),
            Self::Script(session) => session.watch(),
            #[cfg(feature = "kubernetes")]
            Self::Cluster(driver) => driver.watch(),
        }
    }

    pub(super) fn finish(self) -> Result<(), LoadError> {
        match self {
            Self::Declared(session) => session.finish(),
            Self::Script(session) => session.finish(),
            #[cfg(feature = "kubernetes")]
            Self::Cluster(driver) => {
                driver.finish();
                Ok(())
            }
        }
    }
}

/// The error of an operation that only a load of this process supports.
#[cfg(feature = "kubernetes")]
fn in_pods() -> LoadError {
    LoadError::InvalidPlan("not supported for a load that pods of a cluster offer".to_owned())
}
