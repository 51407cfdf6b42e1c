//! wsgibench: a benchmark harness for web servers, in the style of criterion, for `cargo bench`.
//!
//! Servers and scenarios are Rust functions under `#[server]` and `#[scenario]`. Each server runs isolated in a
//! container; a load engine of our own drives it; statistics are taken over launches.
//!
//! The rooms, each knowing only those below it: `cli`, `report`, `measure`, [`stats`], `store`, `sandbox`,
//! `declare`, [`load`].

pub mod against;
pub mod cli;
pub mod conformance;
pub mod declare;
pub mod load;
pub mod measure;
pub mod null_server;
mod panics;
pub mod prelude;
pub mod report;
pub mod sandbox;
pub mod stats;
pub mod store;
pub mod tool;

#[doc(hidden)]
pub mod __private;

pub use wsgibench_macros::{scenario, server};

// The records that the tests of reports are made of name this crate as a user does.
#[cfg(test)]
extern crate self as wsgibench_harness;

/// Registers a function `fn() -> Profile` for `--profile`.
#[macro_export]
macro_rules! profile {
    ($build:path) => {
        $crate::__private::inventory::submit! {
            $crate::declare::ProfileEntry {
                location: $crate::declare::Location { file: ::core::file!(), line: ::core::line!(), column: ::core::column!() },
                build: $build,
            }
        }
    };
}

/// The whole `main` of a bench target: reads the arguments, runs what they ask for, ends with the exit status.
///
/// ```ignore
/// use my_suite as _; // links its servers and scenarios
///
/// wsgibench_harness::main!();
/// ```
#[macro_export]
macro_rules! main {
    () => {
        fn main() -> ::std::process::ExitCode {
            $crate::cli::run_main(
                ::core::env!("CARGO_MANIFEST_DIR"),
                ::core::env!("CARGO_CRATE_NAME"),
            )
        }
    };
}
