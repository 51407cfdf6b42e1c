//! Servers with a database of their own beside them, for the scenarios that ask it. It is a companion: started first and fresh for each
//! launch, accounted apart, on the CPUs that the server has too.

use wsgibench_harness::prelude::*;

use super::{granian, gunicorn, uwsgi};

/// Where the application finds it: a plain connection, without the round trips that would offer encryption first.
const ADDRESS: &str = "host=database port=5432 user=bench dbname=postgres sslmode=disable gssencmode=disable";

/// The same server, which has PostgreSQL for a companion.
fn with_database(server: Server) -> Server {
    Server {
        tags: vec!["database".into()],
        ..server
    }
    .env("WSGIBENCH_DATABASE", ADDRESS)
    .with_companion(
        Companion::dockerfile("database", "images/postgresql")
            .port(5432)
            .confined(),
    )
    .opt_in()
}

/// Gunicorn, threaded workers, as `gunicorn_gthread`, with PostgreSQL beside it.
#[server]
pub fn gunicorn_gthread_database() -> Server {
    with_database(gunicorn::gunicorn_gthread())
}

/// Gunicorn, gevent workers, as `gunicorn_gevent`, with PostgreSQL beside it.
#[server]
pub fn gunicorn_gevent_database() -> Server {
    with_database(gunicorn::gunicorn_gevent())
}

/// uWSGI behind its own HTTP router, as `uwsgi`, with PostgreSQL beside it.
#[server]
pub fn uwsgi_database() -> Server {
    with_database(uwsgi::uwsgi())
}

/// Granian (WSGI), as `granian`, with PostgreSQL beside it.
#[server]
pub fn granian_database() -> Server {
    with_database(granian::granian())
}
