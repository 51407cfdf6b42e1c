//! Ctrl-C: the first asks, the second insists.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};

/// Shell convention for "ended by Ctrl-C".
pub const INTERRUPTED_STATUS: i32 = 130;

type Hook = Box<dyn Fn() + Send>;

/// Counts interrupts and wakes whoever is busy.
#[derive(Clone, Default)]
pub struct Interrupt {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    seen: AtomicUsize,
    hook: Mutex<Option<Hook>>,
}

impl Interrupt {
    /// Listens for SIGINT and SIGTERM. The first stops the running round and keeps what was measured; the second runs
    /// `insist` (clean-up that cannot wait) and ends the process.
    ///
    /// # Errors
    /// When the handler cannot be installed.
    pub fn listen(insist: impl Fn() + Send + 'static) -> std::io::Result<Self> {
        let this = Self::default();
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let inner = Arc::clone(&this.inner);
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for _ in signals.forever() {
                if inner.seen.fetch_add(1, Ordering::SeqCst) == 0 {
                    if let Some(hook) = &*inner.hook.lock().unwrap_or_else(PoisonError::into_inner) {
                        hook();
                    }
                } else {
                    insist();
                    std::process::exit(INTERRUPTED_STATUS);
                }
            }
        })?;
        Ok(this)
    }

    /// Whether the user has asked to stop.
    #[must_use]
    pub fn asked(&self) -> bool {
        self.inner.seen.load(Ordering::SeqCst) > 0
    }

    /// What to do at the first interrupt, besides remembering it; replaces the last hook.
    pub fn on_first(&self, hook: Option<Hook>) {
        *self.inner.hook.lock().unwrap_or_else(PoisonError::into_inner) = hook;
    }
}
