//! The state that all users of a worker share.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI32, AtomicU64},
    },
};

use http::HeaderValue;
use url::Url;

use super::{
    super::{
        agenda::Agenda,
        clock::Clock,
        error::LoadError,
        model::Model,
        plan::{LoadPlan, Stripe},
    },
    accounting::Accounting,
};

/// Shared by the users of one worker, and with the session, which reads the accounting even when a script holds the
/// worker's thread.
#[derive(Debug)]
pub(super) struct WorkerState {
    pub(super) plan: Arc<LoadPlan>,
    pub(super) clock: Clock,
    pub(super) address: SocketAddr,
    /// What paths are relative to, with the server's own name.
    pub(super) base: Url,
    accounting: Mutex<Accounting>,
    pub(super) sent: Arc<AtomicU64>,
    pub(super) received: Arc<AtomicU64>,
    /// A `Secure` cookie came over plain HTTP.
    pub(super) secure_over_http: AtomicBool,
    /// Time that pacing spent spinning, ns.
    pub(super) spun: AtomicU64,
    /// The worker's thread, 0 until it runs.
    pub(super) thread: AtomicI32,
}

impl WorkerState {
    pub(super) fn new(plan: Arc<LoadPlan>, clock: Clock, stripe: Stripe) -> Result<Self, LoadError> {
        let host = &plan.target.host;
        let base = Url::parse(&format!("http://{host}/"))
            .map_err(|error| LoadError::InvalidPlan(format!("`{host}` is no name of a server: {error}")))?;
        let model = &plan.load.model;
        let agenda = Agenda::new(model, plan.seed, stripe);
        let accounting = Accounting::new(agenda, matches!(model, Model::Users { .. }));
        Ok(Self {
            address: plan.target.address,
            base,
            plan,
            clock,
            accounting: Mutex::new(accounting),
            sent: Arc::default(),
            received: Arc::default(),
            secure_over_http: AtomicBool::new(false),
            spun: AtomicU64::new(0),
            thread: AtomicI32::new(0),
        })
    }

    /// The URL of a path on the site that a request names: by a `Host` header of its own, or else by the target's.
    pub(super) fn url(&self, tls: bool, own_host: Option<&HeaderValue>, path: &str) -> Option<Url> {
        let host = match own_host {
            Some(host) => host.to_str().ok()?,
            None => &self.plan.target.host,
        };
        let scheme = if tls { "https" } else { "http" };
        Url::parse(&format!("{scheme}://{host}{path}")).ok()
    }

    /// Locks the accounting. Nothing that could panic or wait happens while it is held, so a poisoned lock is still sound.
    pub(super) fn accounting(&self) -> MutexGuard<'_, Accounting> {
        self.accounting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
