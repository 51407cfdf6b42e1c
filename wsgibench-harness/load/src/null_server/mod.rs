//! A server with minimal overhead, used to measure the maximum throughput of load generators.
//!
//! It responds to every request with the same 200 `OK`, on one thread with keep-alive. The throughput of a client against
//! it is the client's own ceiling. Its response times are known, so that a client's figures can be verified. It does not
//! depend on other modules of the crate.
//!
//! Constructors:
//! - [`NullServer::start`]: a thread of this process, for tests;
//! - [`NullServerProcess::spawn`]: a separate process with separate CPU time, which can be pinned and frozen. It runs the
//!   current program again, so `main` must begin with [`maybe_serve`];
//! - [`DelayServerProcess::spawn`]: a separate process that delays each response by a random time and records the actual
//!   durations, to verify the latencies that a client reports.

mod answer;
mod connection;
mod delay;
mod head;
mod process;
mod serve;
mod thread;

pub use delay::Delays;
pub use process::detached_order;
pub use process::{DelayServerProcess, NullServerProcess, VARIABLE, maybe_serve};
pub use thread::NullServer;

/// The response to each valid request on a persistent connection.
pub const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nOK";
