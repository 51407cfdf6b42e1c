//! Three servers on the Pythons of three Debian releases: in C (bjoern), in Python with threads (waitress), and a process manager with
//! threaded workers (Gunicorn). All other settings are those of the server with the same name prefix.
//!
//! Gunicorn on 3.9 is not included: the version in this suite needs 3.10 or later, and an older one would be another server.

use wsgibench_harness::prelude::*;

use super::{bjoern, gunicorn, waitress};

/// Returns the same server on one Python version.
fn on(python: &str, mut server: Server) -> Server {
    server.tags = vec!["python".into()];
    server.python_version(python).opt_in()
}

/// bjoern on Python 3.9.
#[server]
pub fn bjoern_python39() -> Server {
    on("3.9", bjoern::bjoern())
}

/// bjoern on Python 3.11.
#[server]
pub fn bjoern_python311() -> Server {
    on("3.11", bjoern::bjoern())
}

/// bjoern on Python 3.13.
#[server]
pub fn bjoern_python313() -> Server {
    on("3.13", bjoern::bjoern())
}

/// Gunicorn, threaded workers, on Python 3.11.
#[server]
pub fn gunicorn_gthread_python311() -> Server {
    on("3.11", gunicorn::gunicorn_gthread())
}

/// Gunicorn, threaded workers, on Python 3.13.
#[server]
pub fn gunicorn_gthread_python313() -> Server {
    on("3.13", gunicorn::gunicorn_gthread())
}

/// waitress on Python 3.9.
#[server]
pub fn waitress_python39() -> Server {
    on("3.9", waitress::waitress())
}

/// waitress on Python 3.11.
#[server]
pub fn waitress_python311() -> Server {
    on("3.11", waitress::waitress())
}

/// waitress on Python 3.13.
#[server]
pub fn waitress_python313() -> Server {
    on("3.13", waitress::waitress())
}
