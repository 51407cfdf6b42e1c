//! Where a server runs: `docker` (testcontainers) or `process` (a local process with its own virtual environment).

pub mod usage;

pub use usage::Usage;
