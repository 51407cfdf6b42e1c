//! What the macros' output refers to. Not for direct use: it changes without notice.

pub use inventory;

pub use crate::load::script::script;

pub use crate::variables::switch;

use crate::{
    declare::Server,
    load::{Load, LoadWithoutRequest},
};

/// The hidden type beside a `#[server]` function; `servers = [...]` looks for it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `#[server]` function",
    label = "not a server",
    note = "`servers` and `baseline` take paths of functions `#[server] fn name() -> Server`"
)]
pub trait IsServer {
    /// Name of the function.
    const NAME: &'static str;
}

/// A function that a `#[server]` could be: tells of a wrong function in words, where the type namespace only says "no type".
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `#[server]` function",
    label = "not a server",
    note = "`servers` and `baseline` take paths of functions `#[server] fn name() -> Server`"
)]
pub trait ServerFn {}

impl<F: Fn() -> Server> ServerFn for F {}

/// Compiles for functions that a `#[server]` could be.
pub const fn assert_server<F: ServerFn>(_function: &F) {}

/// Whether `name` is one of `names`, at compile time.
#[must_use]
pub const fn contains(names: &[&str], name: &str) -> bool {
    let mut i = 0;
    while i < names.len() {
        if equal(names[i].as_bytes(), name.as_bytes()) {
            return true;
        }
        i += 1;
    }
    false
}

const fn equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// What `#[scenario(load = ...)]` takes.
#[diagnostic::on_unimplemented(
    message = "`load` takes a load without requests, and this is `{Self}`",
    label = "not a load without requests",
    note = "the script sends the requests: leave out `.request(...)`, e.g. `load = Load::users(5).every(secs(1))`"
)]
pub trait ScriptLoad {
    /// The load without its kind.
    fn into_load(self) -> Load;
}

impl<K> ScriptLoad for LoadWithoutRequest<K> {
    fn into_load(self) -> Load {
        self.for_script()
    }
}

/// The load of a scripted scenario.
#[must_use]
pub fn script_load(load: impl ScriptLoad) -> Load {
    load.into_load()
}

/// A parameter's values from any expression that can be iterated.
pub fn values<T, I: IntoIterator<Item = T>>(values: I) -> Vec<T> {
    values.into_iter().collect()
}
