//! The same servers on several versions of Python.

use wsgibench_harness::prelude::*;

use super::{messages, studies};
use crate::servers::pythons::{
    bjoern_python39, bjoern_python311, bjoern_python313, gunicorn_gthread_python311, gunicorn_gthread_python313,
    waitress_python39, waitress_python311, waitress_python313,
};

/// `ping` on each Python.
#[scenario(
    servers = [
        bjoern_python39, bjoern_python311, bjoern_python313, gunicorn_gthread_python311, gunicorn_gthread_python313,
        waitress_python39, waitress_python311, waitress_python313,
    ],
    connections = [64]
)]
pub fn ping_by_python(connections: usize) -> Load {
    studies::ping(connections)
}

/// `json` on each Python.
#[scenario(
    servers = [
        bjoern_python39, bjoern_python311, bjoern_python313, gunicorn_gthread_python311, gunicorn_gthread_python313,
        waitress_python39, waitress_python311, waitress_python313,
    ],
    connections = [64]
)]
pub fn json_by_python(connections: usize) -> Load {
    messages::json(connections)
}
