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
        tls::Connector,
    },
    accounting::Accounting,
    cookies::RefusedCookie,
};

/// State shared by the users of one worker and the session, which reads the accounting even while a script blocks the
/// worker's thread.
#[derive(Debug)]
pub(super) struct WorkerState {
    pub(super) plan: Arc<LoadPlan>,
    pub(super) clock: Clock,
    pub(super) address: SocketAddr,
    /// Base URL of paths, with the server's own host name.
    pub(super) base: Url,
    accounting: Mutex<Accounting>,
    /// Only for a target that speaks TLS.
    pub(super) tls: Option<Arc<Connector>>,
    pub(super) sent: Arc<AtomicU64>,
    pub(super) received: Arc<AtomicU64>,
    /// Whether a `Secure` cookie was set over plain HTTP.
    pub(super) secure_over_http: AtomicBool,
    /// Cookies that users refused.
    refused_cookies: Mutex<Vec<RefusedCookie>>,
    /// Time that pacing spent spinning, ns.
    pub(super) spun: AtomicU64,
    /// The worker's thread, 0 until it runs.
    pub(super) thread: AtomicI32,
}

impl WorkerState {
    pub(super) fn new(plan: Arc<LoadPlan>, clock: Clock, stripe: Stripe) -> Result<Self, LoadError> {
        let host = &plan.target.host;
        let base = Url::parse(&format!("http://{host}/"))
            .map_err(|error| LoadError::InvalidPlan(format!("`{host}` is not a valid host name: {error}")))?;
        let model = &plan.load.model;
        let agenda = Agenda::new(model, plan.seed, stripe);
        let accounting = Accounting::new(agenda, matches!(model, Model::Users { .. }));
        Ok(Self {
            address: plan.target.address,
            base,
            tls: Connector::new(&plan.target)
                .map_err(LoadError::InvalidPlan)?
                .map(Arc::new),
            plan,
            clock,
            accounting: Mutex::new(accounting),
            sent: Arc::default(),
            received: Arc::default(),
            secure_over_http: AtomicBool::new(false),
            refused_cookies: Mutex::default(),
            spun: AtomicU64::new(0),
            thread: AtomicI32::new(0),
        })
    }

    /// Returns the URL of a path on the site given by the request's `Host` header, or else by the target.
    pub(super) fn url(&self, tls: bool, own_host: Option<&HeaderValue>, path: &str) -> Option<Url> {
        let host = match own_host {
            Some(host) => host.to_str().ok()?,
            None => &self.plan.target.host,
        };
        let scheme = if tls { "https" } else { "http" };
        Url::parse(&format!("{scheme}://{host}{path}")).ok()
    }

    /// Records cookies that a user refused.
    pub(super) fn refuses(&self, cookies: Vec<RefusedCookie>) {
        if cookies.is_empty() {
            return;
        }
        let mut all = self.refused_cookies.lock().unwrap_or_else(PoisonError::into_inner);
        for cookie in cookies {
            cookie.join(&mut all);
        }
    }

    /// Returns the cookies that users refused.
    pub(super) fn refused_cookies(&self) -> Vec<RefusedCookie> {
        self.refused_cookies
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Locks the accounting. No code that could panic or wait runs while it is locked, so a poisoned lock is still valid.
    pub(super) fn accounting(&self) -> MutexGuard<'_, Accounting> {
        self.accounting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
