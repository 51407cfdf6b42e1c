//! A server with minimal overhead, used to measure the maximum throughput of load generators.
//!
//! It answers every request with the same 200 `OK`, keeps connections alive, and does it on one thread. What a client
//! reaches against it is the client's own ceiling; how long it takes to answer is known, so a client's figures can be
//! checked against arithmetic. It does not depend on other modules of the crate.
//!
//! Three ways to start one:
//! - [`NullServer::start`]: a thread of this process, for tests;
//! - [`NullServerProcess::spawn`]: a process of its own, whose CPU time is its own and which can be pinned and frozen.
//!   It is this very program run again, so `main` must begin with [`maybe_serve`];
//! - [`DelayServerProcess::spawn`]: the same, but each answer waits for a drawn time, and how long each really took is
//!   recorded: the truth that a client's latencies are held against.

mod answer;
mod connection;
mod delay;
mod head;
mod process;
mod serve;
mod thread;

pub use delay::Delays;
pub(crate) use process::detached_order;
pub use process::{DelayServerProcess, NullServerProcess, VARIABLE, maybe_serve};
pub use thread::NullServer;

/// The response to each valid request on a persistent connection.
pub const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nOK";
