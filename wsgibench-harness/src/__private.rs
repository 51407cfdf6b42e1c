//! Items used by the expansion of the macros. Not part of the public API.

pub use inventory;

pub use crate::load::script::script;

/// For tests of both ways to a container's figures.
#[cfg(feature = "docker")]
pub use crate::sandbox::engine_usage;
pub use crate::variables::switch;

use crate::{
    declare::Server,
    load::{Load, LoadWithoutRequest},
};

/// Implemented by the hidden type of a `#[server]` function, which `servers = [...]` refers to.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `#[server]` function",
    label = "not a server",
    note = "`servers` and `baseline` take paths of functions `#[server] fn name() -> Server`"
)]
pub trait IsServer {
    /// Name of the function.
    const NAME: &'static str;
}

/// Functions that can be a `#[server]`. Gives a readable error for others, instead of "cannot find type".
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `#[server]` function",
    label = "not a server",
    note = "`servers` and `baseline` take paths of functions `#[server] fn name() -> Server`"
)]
pub trait ServerFn<Parameters> {}

impl<F: Fn() -> Server> ServerFn<()> for F {}

/// Implements it for functions with parameters, whose types tell the implementations apart.
macro_rules! with_parameters {
    ($($parameter:ident)+) => {
        impl<F: Fn($($parameter),+) -> Server, $($parameter),+> ServerFn<($($parameter,)+)> for F {}
    };
}

with_parameters!(A);
with_parameters!(A B);
with_parameters!(A B C);
with_parameters!(A B C D);
with_parameters!(A B C D E);
with_parameters!(A B C D E G);

/// Compiles only for functions that can be a `#[server]`.
pub const fn assert_server<Parameters, F: ServerFn<Parameters>>(_function: &F) {}

/// Returns at compile time whether `name` is one of `names`.
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

/// The loads that `#[scenario(load = ...)]` accepts.
#[diagnostic::on_unimplemented(
    message = "`load` takes a load without requests, and this is `{Self}`",
    label = "not a load without requests",
    note = "the script sends the requests: leave out `.request(...)`, e.g. `load = Load::users(5).every(secs(1))`"
)]
pub trait ScriptLoad {
    /// Converts the load to its type-erased form.
    fn into_load(self) -> Load;
}

impl<K> ScriptLoad for LoadWithoutRequest<K> {
    fn into_load(self) -> Load {
        self.for_script()
    }
}

/// Returns the load of a scripted scenario.
#[must_use]
pub fn script_load(load: impl ScriptLoad) -> Load {
    load.into_load()
}

/// Collects a parameter's values from an iterable expression.
pub fn values<T, I: IntoIterator<Item = T>>(values: I) -> Vec<T> {
    values.into_iter().collect()
}
