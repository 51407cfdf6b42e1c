//! What all users of a worker share.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI32, AtomicU64},
    },
};

use url::Url;

use super::{
    super::{clock::Clock, error::LoadError, plan::LoadPlan},
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
    /// Time that pacing spent spinning, ns.
    pub(super) spun: AtomicU64,
    /// The worker's thread, 0 until it runs.
    pub(super) thread: AtomicI32,
}

impl WorkerState {
    pub(super) fn new(plan: Arc<LoadPlan>, clock: Clock) -> Result<Self, LoadError> {
        let host = &plan.target.host;
        let base = Url::parse(&format!("http://{host}/"))
            .map_err(|error| LoadError::InvalidPlan(format!("`{host}` is no name of a server: {error}")))?;
        Ok(Self {
            address: plan.target.address,
            base,
            plan,
            clock,
            accounting: Mutex::new(Accounting::default()),
            sent: Arc::default(),
            received: Arc::default(),
            spun: AtomicU64::new(0),
            thread: AtomicI32::new(0),
        })
    }

    /// The address of a path on the server.
    pub(super) fn url(&self, tls: bool, path: &str) -> Option<Url> {
        let mut url = self.base.join(path).ok()?;
        if tls {
            // From one special scheme to another: always possible.
            let _ = url.set_scheme("https");
        }
        Some(url)
    }

    /// The accounting. Nothing that could panic or wait happens while they are held, so a poisoned lock is still sound.
    pub(super) fn accounting(&self) -> MutexGuard<'_, Accounting> {
        self.accounting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
