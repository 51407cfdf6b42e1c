//! wsgibench: a benchmark harness for web servers, in the style of criterion, for `cargo bench`.
//!
//! Servers and scenarios are Rust functions under `#[server]` and `#[scenario]`. Each server runs isolated in a
//! container; a load engine of our own drives it; statistics are taken over launches.
//!
//! The rooms, each knowing only those below it: `cli`, `report`, `measure`, [`stats`], `store`, `sandbox`,
//! `declare`, [`load`].

pub mod declare;
pub mod load;
pub mod measure;
pub mod null_server;
pub mod sandbox;
pub mod stats;
pub mod store;

/// What the macros' output refers to. Not for direct use.
#[doc(hidden)]
pub mod __private {
    pub use inventory;
}

/// Registers a function `fn() -> Profile` for `--profile`.
#[macro_export]
macro_rules! profile {
    ($build:path) => {
        $crate::__private::inventory::submit! {
            $crate::declare::ProfileEntry {
                location: $crate::declare::Location { file: file!(), line: line!(), column: column!() },
                build: $build,
            }
        }
    };
}
