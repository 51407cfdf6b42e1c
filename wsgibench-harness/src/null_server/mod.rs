//! A server that does as little as a server can: the engine's ceiling, and the fixed reference that tells a machine
//! that changed speed from a server that did.
//!
//! It answers any request head with the same 200 `OK`, keeps connections alive, swallows bodies by content-length, and
//! runs as one thread on mio. As a process of its own (the running executable, started again) it can be pinned, frozen and
//! accounted for apart.

mod connection;
mod process;
mod serve;

pub(crate) use process::VARIABLE;
pub use process::{NullServerProcess, maybe_serve};
pub use serve::NullServer;

/// The answer to everything.
pub const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nOK";
