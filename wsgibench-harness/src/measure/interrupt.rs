//! Ctrl-C: the first stops the round, the second cleans up and exits, the third exits at once.

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

/// The reaction to an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reaction {
    Ask,
    CleanUp,
    Leave,
}

impl Reaction {
    /// Returns the reaction to an interrupt after this many earlier ones.
    fn to(earlier: usize) -> Self {
        match earlier {
            0 => Self::Ask,
            1 => Self::CleanUp,
            _ => Self::Leave,
        }
    }
}

/// Counts interrupts and wakes running operations.
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
    /// Returns one that never occurs, for a process without a terminal.
    #[cfg(feature = "kubernetes")]
    pub(super) fn never() -> Self {
        Self::default()
    }

    /// Listens for SIGINT and SIGTERM. The first stops the running round and keeps the results so far; the second runs
    /// `insist` (the necessary clean-up) and exits; the third exits immediately, even during the clean-up.
    ///
    /// # Errors
    /// Returns an error if the handler cannot be installed.
    pub fn listen(insist: impl Fn() + Send + Sync + 'static) -> std::io::Result<Self> {
        let this = Self::default();
        let insist = Arc::new(insist);
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let inner = Arc::clone(&this.inner);
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for _ in signals.forever() {
                match Reaction::to(inner.seen.fetch_add(1, Ordering::SeqCst)) {
                    Reaction::Ask => {
                        if let Some(hook) = &*inner.hook.lock().unwrap_or_else(PoisonError::into_inner) {
                            hook();
                        }
                    }
                    // On a separate thread, to handle the third interrupt during the clean-up.
                    Reaction::CleanUp => {
                        let insist = Arc::clone(&insist);
                        let clean_up = std::thread::Builder::new().name("clean-up".to_owned()).spawn(move || {
                            insist();
                            std::process::exit(INTERRUPTED_STATUS);
                        });
                        if clean_up.is_err() {
                            std::process::exit(INTERRUPTED_STATUS);
                        }
                    }
                    Reaction::Leave => std::process::exit(INTERRUPTED_STATUS),
                }
            }
        })?;
        Ok(this)
    }

    /// Returns whether the user has interrupted the run.
    #[must_use]
    pub fn asked(&self) -> bool {
        self.inner.seen.load(Ordering::SeqCst) > 0
    }

    /// Sets the hook that runs at the first interrupt; replaces the previous one.
    pub fn on_first(&self, hook: Option<Hook>) {
        *self.inner.hook.lock().unwrap_or_else(PoisonError::into_inner) = hook;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn third_interrupt_does_not_wait_for_clean_up() {
        let reactions: Vec<Reaction> = (0..4).map(Reaction::to).collect();
        assert_eq!(
            reactions,
            [Reaction::Ask, Reaction::CleanUp, Reaction::Leave, Reaction::Leave]
        );
    }
}
