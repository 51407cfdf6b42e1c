//! Engine calls from code that cannot await: `Drop`, signal threads, panics.

use std::{future::Future, time::Duration};

/// Time limit of such a call.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Runs `future` on a thread and runtime of its own and waits for it; `None` if it failed or timed out.
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
            runtime.block_on(async move { tokio::time::timeout(TIMEOUT, future).await.ok() })
        });
    thread.ok()?.join().ok()?
}
