//! Panics in the user's own code: a mistake to be told like any other, with its place and without a backtrace.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    panic::{self, AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Once,
    task::Poll,
};

thread_local! {
    static IN_USERS_CODE: Cell<bool> = const { Cell::new(false) };
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Calls the user's code.
///
/// # Errors
/// What its panic said, and where: `index out of bounds (at benches/server.rs:12:5)`.
pub(crate) fn catch_panic<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    keep_quiet();
    // Of a panic that the user's code caught itself.
    PLACE.take();
    let outside = IN_USERS_CODE.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(call));
    IN_USERS_CODE.set(outside);
    outcome.map_err(|panic| {
        let place = PLACE.take().map(|place| format!(" (at {place})")).unwrap_or_default();
        format!("{}{place}", text_of(panic.as_ref()))
    })
}

/// The same of a future: each of its polls is the user's code.
///
/// # Errors
/// As [`catch_panic`].
pub(crate) async fn catch_panic_async<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let mut running = pin!(future);
    std::future::poll_fn(|cx| match catch_panic(|| running.as_mut().poll(cx)) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
        Err(text) => Poll::Ready(Err(text)),
    })
    .await
}

/// Keeps the standard library from printing what will be told; a panic outside the user's polls is printed as ever. One of
/// ours that the user awaits is told as theirs: its place says whose it is.
fn keep_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let place = info.location().map(ToString::to_string);
            // A second one before the first was told may end the process, and nobody would tell of it.
            if !IN_USERS_CODE.get() || PLACE.replace(place).is_some() {
                usual(info);
            }
        }));
    });
}

/// What a panic said.
pub(crate) fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_with_its_place() {
        assert_eq!(catch_panic(|| 3), Ok(3));
        let at = line!() + 1;
        let said = catch_panic(|| panic!("no {}", "luck")).unwrap_err();
        assert!(
            said.starts_with("no luck (at ") && said.contains(&format!("panics.rs:{at}:")),
            "{said}"
        );
        assert!(
            catch_panic(|| panic::panic_any(7))
                .unwrap_err()
                .starts_with("a panic without text (at ")
        );
        assert!(!IN_USERS_CODE.get(), "what panics from here on is ours");
    }

    #[test]
    fn a_panic_in_the_midst_of_a_future_is_told() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let said = runtime.block_on(catch_panic_async(async {
            tokio::task::yield_now().await;
            assert!(
                !IN_USERS_CODE.get(),
                "a poll is the user's code, and this a panic in it"
            );
        }));
        let said = said.unwrap_err();
        assert!(
            said.starts_with("a poll is the user's code") && said.contains("panics.rs:"),
            "{said}"
        );
        assert_eq!(runtime.block_on(catch_panic_async(async { 5 })), Ok(5));
    }
}
