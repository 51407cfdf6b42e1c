//! Servers with a PostgreSQL companion, for the scenarios that use a database. It is started before the server, fresh for each
//! launch, on the servers' CPUs; its usage is reported separately.

use wsgibench_harness::prelude::*;

use super::{granian, gunicorn, uwsgi};

/// Address of the database: a plain connection, without the round trips that negotiate encryption.
const ADDRESS: &str = "host=database port=5432 user=bench dbname=postgres sslmode=disable gssencmode=disable";

/// Adds PostgreSQL as a companion.
fn with_database(mut server: Server) -> Server {
    server.tags = vec!["database".into()];
    server
        .env("WSGIBENCH_DATABASE", ADDRESS)
        .with_companion(
            Companion::dockerfile("database", "images/postgresql")
                .port(5432)
                .confined()
                .counts_statements_by([
                    "psql",
                    "--host=/tmp",
                    "--username=bench",
                    "--dbname=postgres",
                    "-Atc",
                    "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements",
                ]),
        )
        .opt_in()
}

/// Gunicorn, threaded workers, as `gunicorn_gthread`, with PostgreSQL.
#[server]
pub fn gunicorn_gthread_database() -> Server {
    with_database(gunicorn::gunicorn_gthread())
}

/// Gunicorn, threaded workers with their parameters, as `gthread`, with PostgreSQL, for `--tune`.
#[server(workers = [1, 2, 4], threads = [1, 4, 16, 64])]
pub fn gthread_database(workers: usize, threads: usize) -> Server {
    with_database(gunicorn::gthread(workers, threads)).tag("tuning")
}

/// Gunicorn, gevent workers, as `gunicorn_gevent`, with PostgreSQL.
#[server]
pub fn gunicorn_gevent_database() -> Server {
    with_database(gunicorn::gunicorn_gevent())
}

/// uWSGI behind its own HTTP router, as `uwsgi`, with PostgreSQL.
#[server]
pub fn uwsgi_database() -> Server {
    with_database(uwsgi::uwsgi())
}

/// Granian (WSGI), as `granian`, with PostgreSQL.
#[server]
pub fn granian_database() -> Server {
    with_database(granian::granian())
}
