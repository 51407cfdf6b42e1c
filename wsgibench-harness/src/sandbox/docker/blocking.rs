//! Engine calls from where nothing can be awaited: `Drop`, a signal's thread, a panic.

use std::{future::Future, time::Duration};

/// The longest that such a call may hold up its caller.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs `future` on a thread and a runtime of its own and waits for it; `None` when it failed or took too long.
pub(super) fn run<F>(future: F) -> Option<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    let thread = std::thread::Builder::new()
        .name("wsgibench-clean-up".into())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .ok()?;
            runtime.block_on(async move { tokio::time::timeout(PATIENCE, future).await.ok() })
        });
    thread.ok()?.join().ok()?
}
