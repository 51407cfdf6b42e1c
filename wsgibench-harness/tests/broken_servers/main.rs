//! Tests of the load engine against faulty servers: each fault is classified correctly, and the engine
//! never hangs, panics or spins. Real sockets; no expectation depends on the speed of the machine.

mod dying;
mod framing;
mod hanging;
mod lost;
mod server;
mod upload;
