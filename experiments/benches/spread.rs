//! Measures the variation between launches of the same server under several treatments (hash seed, malloc arenas, rate).
//!
//!     cargo bench -p wsgibench-experiments --bench spread                          16 launches of each, a round of 1 s: about seven minutes
//!     cargo bench -p wsgibench-experiments --bench spread -- --list
//!
//! Results: `--output-format json`, the report, or `--export csv=PATH`. The findings are in `docs/statistics.md`.

use wsgibench_harness::prelude::*;

/// The request of every treatment.
fn ping() -> Request {
    get("/").expect_status(200).expect_body("OK")
}

fn gthread() -> Server {
    let command = "gunicorn --worker-class gthread --workers 1 --threads 4 --bind {host}:{port} --backlog 4096 --keep-alive 75 \
                   --worker-connections 12000 --no-control-socket --worker-tmp-dir /dev/shm application:application";
    Server::dockerfile("../suites/images/gunicorn")
        .app("../suites/app")
        .command(command.split_whitespace())
}

fn bjoern() -> Server {
    let command = "python -m wsgibench_serve --port {port} --workers 1 --backlog 4096 application:application";
    Server::dockerfile("../suites/images/bjoern")
        .app("../suites/app")
        .command(command.split_whitespace())
}

/// Gunicorn's threads as in the suite: hash seed fixed.
#[server]
fn gthread_fixed_hash() -> Server {
    gthread()
}

/// The same with a random hash seed per launch, Python's default.
#[server]
fn gthread_random_hash() -> Server {
    gthread().env("PYTHONHASHSEED", "random")
}

/// The same with one malloc arena for all threads.
#[server]
fn gthread_one_arena() -> Server {
    gthread().env("MALLOC_ARENA_MAX", "1")
}

/// bjoern as in the suite: hash seed fixed.
#[server]
fn bjoern_fixed_hash() -> Server {
    bjoern()
}

/// The same with a random hash seed per launch.
#[server]
fn bjoern_random_hash() -> Server {
    bjoern().env("PYTHONHASHSEED", "random")
}

/// A closed loop of 64 connections.
#[scenario]
fn closed() -> Load {
    Load::closed(64).request(ping())
}

/// A constant rate of about half the server's capacity.
#[scenario(servers = [gthread_fixed_hash, gthread_random_hash, gthread_one_arena])]
fn half_of_gthread() -> Load {
    Load::rate(3_000).request(ping())
}

/// A constant rate of about half the server's capacity.
#[scenario(servers = [bjoern_fixed_hash, bjoern_random_hash])]
fn half_of_bjoern() -> Load {
    Load::rate(40_000).request(ping())
}

fn spread() -> Profile {
    Profile {
        description: "16 launches of each treatment, 0.5 s of warm-up and one round of 1 s".into(),
        launches: 16,
        rounds: 1,
        warm_up_time: Duration::from_millis(500),
        measurement_time: secs(1),
        ..Profile::default()
    }
}

wsgibench_harness::profile!(spread);

wsgibench_harness::main!();
