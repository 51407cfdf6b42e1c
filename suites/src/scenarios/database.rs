//! An application that queries a real database: PostgreSQL in a companion container, filled when its image is built.

use wsgibench_harness::prelude::*;

use crate::servers::database::{granian_database, gunicorn_gevent_database, gunicorn_gthread_database, uwsgi_database};

/// Keys of the requested rows, of 10,000.
fn keys() -> impl Iterator<Item = u32> {
    (1..=16).map(|n| n * 613)
}

/// The row as `images/postgresql/items.sql` inserts it; the counter that an update changes is not in the response.
fn row(key: u32) -> String {
    format!(r#"{{"id":{key},"name":"item {key:05}","price":{}}}"#, key * 7 % 1_000)
}

pub(super) fn rows(method: &str, connections: usize) -> Load {
    Load::closed(connections).requests(keys().map(|key| {
        request(method, format!("/database?id={key}"))
            .expect_status(200)
            .expect_header("content-type", "application/json")
            .expect_body(row(key))
    }))
}

/// A row by its key, over pooled database connections: one indexed SELECT a request.
#[scenario(
    servers = [gunicorn_gthread_database, gunicorn_gevent_database, uwsgi_database, granian_database],
    connections = [64],
    tags = ["database"]
)]
pub fn database(connections: usize) -> Load {
    rows("GET", connections)
}

/// A row updated and answered: one committed UPDATE a request. The database's files are in memory, so that no disk is measured.
#[scenario(
    servers = [gunicorn_gthread_database, gunicorn_gevent_database, uwsgi_database, granian_database],
    connections = [64],
    tags = ["database"]
)]
pub fn database_update(connections: usize) -> Load {
    rows("POST", connections)
}
