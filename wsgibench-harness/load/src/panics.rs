//! Catches panics in the user's code and reports them as errors with file and line, without a backtrace.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    panic::{self, AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Once,
    task::Poll,
};

thread_local! {
    static IN_USER_CODE: Cell<bool> = const { Cell::new(false) };
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Calls the user's code and catches its panic.
///
/// # Errors
/// The panic's message and location: `index out of bounds (at benches/server.rs:12:5)`.
pub fn catch_panic<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    install_quiet_hook();
    // Left over from a panic that the user's code caught itself.
    LOCATION.take();
    let outside = IN_USER_CODE.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(call));
    IN_USER_CODE.set(outside);
    outcome.map_err(|panic| {
        let location = LOCATION
            .take()
            .map(|location| format!(" (at {location})"))
            .unwrap_or_default();
        format!("{}{location}", text_of(panic.as_ref()))
    })
}

/// Polls the user's future and catches a panic in any of its polls.
///
/// # Errors
/// As [`catch_panic`].
pub async fn catch_panic_async<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let mut running = pin!(future);
    std::future::poll_fn(|cx| match catch_panic(|| running.as_mut().poll(cx)) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
        Err(text) => Poll::Ready(Err(text)),
    })
    .await
}

/// Installs a panic hook that prints nothing for panics in the user's code, which are reported as errors. Panics elsewhere
/// are printed as usual. A panic of this crate that the user awaits is reported like theirs; its location tells them apart.
fn install_quiet_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let location = info.location().map(ToString::to_string);
            // A second panic before the first was reported may abort the process, and must be visible.
            if !IN_USER_CODE.get() || LOCATION.replace(location).is_some() {
                usual(info);
            }
        }));
    });
}

/// Returns the message of a panic payload.
pub fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_reported_with_its_location() {
        assert_eq!(catch_panic(|| 3), Ok(3));
        let at = line!() + 1;
        let message = catch_panic(|| panic!("no {}", "luck")).unwrap_err();
        assert!(
            message.starts_with("no luck (at ") && message.contains(&format!("panics.rs:{at}:")),
            "{message}"
        );
        assert!(
            catch_panic(|| panic::panic_any(7))
                .unwrap_err()
                .starts_with("a panic without text (at ")
        );
        assert!(!IN_USER_CODE.get(), "panics after the call belong to this crate");
    }

    #[test]
    fn a_panic_between_two_polls_is_reported() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let message = runtime.block_on(catch_panic_async(async {
            tokio::task::yield_now().await;
            assert!(!IN_USER_CODE.get(), "a poll is the user's code, and this a panic in it");
        }));
        let message = message.unwrap_err();
        assert!(
            message.starts_with("a poll is the user's code") && message.contains("panics.rs:"),
            "{message}"
        );
        assert_eq!(runtime.block_on(catch_panic_async(async { 5 })), Ok(5));
    }
}
