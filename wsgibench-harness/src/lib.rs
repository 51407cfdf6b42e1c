//! A Criterion-style benchmark harness for web servers, run by `cargo bench`.
//!
//! Servers and scenarios are Rust functions under `#[server]` and `#[scenario]`. Each server runs isolated in a
//! container, a built-in load generator drives it, and statistics are computed over independent launches.
//! [`prelude`] has an example and everything that a benchmark imports.
//!
//! # Modules, in dependency order
//!
//! | module | concern |
//! |---|---|
//! | `cli`, [`tool`] | arguments of `cargo bench` and of the `wsgibench` command, exit statuses |
//! | [`against`] | the benchmark of another commit: its checkout and its declarations |
//! | [`report`] | terminal, HTML and exported reports; reads results and events |
//! | [`measure`] | launches, rounds, validity, comparisons |
//! | [`sandbox`], [`store`] | containers and processes; runs and baselines on disk |
//! | [`declare`] | servers, scenarios, profiles, and their expansion into cases |
//! | [`conformance`] | HTTP and WSGI rules |
//! | [`counts`], [`mod@profile`], [`waits`] | instructions and system calls per request; profiles of functions; what requests wait for |
//! | [`load`], [`null_server`], [`stats`], `subprocess`, `lock_file` | the load generator and a server for its calibration, a crate usable alone; statistics, a crate too; calls of git, cargo and pip; lock files |
//!
//! A module uses only modules of the rows below it; `tests/layers.rs` enforces this.

#[cfg(not(target_os = "linux"))]
compile_error!("wsgibench supports Linux only; run it in a Linux virtual machine (on Windows, WSL 2)");

pub mod against;
pub mod cli;
#[cfg(feature = "kubernetes")]
mod cluster;
pub mod conformance;
pub mod counts;
pub mod declare;
mod lock_file;
pub mod measure;
pub mod prelude;
pub mod profile;
pub mod report;
pub mod sandbox;
pub mod store;
mod subprocess;
pub mod tool;
mod variables;
pub mod waits;

#[doc(hidden)]
pub mod __private;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;

#[doc(inline)]
pub use wsgibench_load as load;
#[doc(inline)]
pub use wsgibench_load::null_server;
pub(crate) use wsgibench_load::{affinity, panics};
pub use wsgibench_macros::{scenario, server};
#[doc(inline)]
pub use wsgibench_stats as stats;

// Test fixtures of the reports are shared with integration tests, which name this crate as users do.
#[cfg(test)]
extern crate self as wsgibench_harness;

/// Registers a function `fn() -> Profile` for `--profile NAME`, where `NAME` is the profile's name.
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

/// Defines the `main` of a bench target: parses the arguments, runs the benchmark, returns its exit status.
///
/// ```ignore
/// use my_suite as _; // links the servers and scenarios of another crate
///
/// wsgibench_harness::main!();
/// ```
#[macro_export]
macro_rules! main {
    () => {
        fn main() -> ::std::process::ExitCode {
            $crate::cli::run_main(
                ::core::env!("CARGO_MANIFEST_DIR"),
                ::core::env!("CARGO_PKG_NAME"),
                ::core::env!("CARGO_CRATE_NAME"),
            )
        }
    };
}
