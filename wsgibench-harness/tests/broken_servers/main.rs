//! Servers that do everything wrong, and the load engine against them: each is classified rightly, and the engine
//! never hangs, panics or spins. Real sockets; no expectation depends on how fast this machine is.

mod dying;
mod framing;
mod hanging;
mod lost;
mod server;
mod upload;
