//! An application that waits for a real database: PostgreSQL in a container beside the server's, filled when its image was built.

use wsgibench_harness::prelude::*;

use crate::servers::database::{granian_database, gunicorn_gevent_database, gunicorn_gthread_database, uwsgi_database};

/// Rows that are asked for, of 10,000.
fn keys() -> impl Iterator<Item = u32> {
    (1..=16).map(|n| n * 613)
}

/// The row as `images/postgresql/items.sql` made it; what a change counts is not in the answer.
fn row(key: u32) -> String {
    format!(r#"{{"id":{key},"name":"item {key:05}","price":{}}}"#, key * 7 % 1_000)
}

fn rows(method: &str, connections: usize) -> Load {
    keys().fold(Load::closed(connections), |load, key| {
        load.request(Request {
            checks: vec![
                Check::Status(200),
                Check::Header("content-type".into(), "application/json".into()),
                Check::Body(row(key).into_bytes()),
            ],
            ..Request::new(method, format!("/database?id={key}"))
        })
    })
}

/// A row of a real database by its key, over connections that the application keeps: one indexed SELECT a request.
#[scenario(
    servers = [gunicorn_gthread_database, gunicorn_gevent_database, uwsgi_database, granian_database],
    connections = [64],
    tags = ["database"]
)]
pub fn database(connections: usize) -> Load {
    rows("GET", connections)
}

/// The same row counted up and answered: one committed UPDATE a request. The database's files are in memory, so that no disk is
/// measured.
#[scenario(
    servers = [gunicorn_gthread_database, gunicorn_gevent_database, uwsgi_database, granian_database],
    connections = [64],
    tags = ["database"]
)]
pub fn database_update(connections: usize) -> Load {
    rows("POST", connections)
}
