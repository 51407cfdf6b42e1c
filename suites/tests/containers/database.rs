//! The database scenarios as `cargo bench` runs them: PostgreSQL responds, and a case whose database is unreachable fails with that
//! reason while the others continue.

use std::process::Command;

use wsgibench_harness::{
    prelude::*,
    store::record::{CaseOutcome, CaseRecord, RunRecord},
};
use wsgibench_suites::{gunicorn_gevent_database, gunicorn_gthread, gunicorn_gthread_database, scenarios};

use crate::ROLE;

/// A server whose database is unreachable: its companion is running, but the application connects to a port without a listener.
#[server]
fn astray() -> Server {
    gunicorn_gthread_database().env(
        "WSGIBENCH_DATABASE",
        "host=database port=5433 user=bench connect_timeout=2",
    )
}

/// A server without a database.
#[server]
fn without() -> Server {
    gunicorn_gthread().opt_in()
}

/// The suite's scenarios from a few connections.
#[scenario(
    servers = [astray, without, gunicorn_gevent_database, gunicorn_gthread_database],
    connections = [4]
)]
fn select(connections: usize) -> Load {
    scenarios::database::database(connections)
}

#[scenario(servers = [gunicorn_gthread_database], connections = [4])]
fn update(connections: usize) -> Load {
    scenarios::database::database_update(connections)
}

pub(crate) fn database_responds_or_the_case_fails_with_the_reason() {
    let target = tempfile::Builder::new()
        .prefix("database-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .unwrap();
    let arguments = "--bench --launches 1 --rounds 1 --warm-up-time 200ms --measurement-time 800ms --seed 7 \
        --scenario select --scenario update";
    let output = Command::new(std::env::current_exe().unwrap())
        .args(arguments.split(' '))
        .env(ROLE, "1")
        .env("CARGO_TARGET_DIR", target.path())
        // No figure is judged, so it need not wait for other benches.
        .env("WSGIBENCH_LOCK_DIR", target.path())
        .env("WSGIBENCH_SANDBOX", "docker")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    println!("{}\n{}", text(&output.stdout), text(&output.stderr));

    let folder = std::fs::read_dir(target.path().join("wsgibench/runs")).unwrap();
    let folder = folder.map(|entry| entry.unwrap().path()).next().unwrap();
    let run = std::fs::read_to_string(folder.join("run.json")).unwrap();
    let run: RunRecord = serde_json::from_str(&run).unwrap();

    for (id, why) in [
        ("select/astray/c4", "the database cannot be reached: "),
        ("select/without/c4", "WSGIBENCH_DATABASE is not set"),
    ] {
        let case = case(&run, id);
        let CaseOutcome::Failed(told) = &case.outcome else {
            panic!("{id}: {:?}", case.outcome)
        };
        assert!(told.contains("503") && told.contains(why), "{id}: {told}");
        assert!(case.launches.iter().all(|launch| launch.rounds.is_empty()));
    }
    for id in [
        "select/gunicorn_gthread_database/c4",
        "select/gunicorn_gevent_database/c4",
        "update/gunicorn_gthread_database/c4",
    ] {
        let case = case(&run, id);
        assert_eq!(case.outcome, CaseOutcome::Measured, "{id}");
        let round = &case.launches[0].rounds[0];
        let counts = &round.load.counts;
        assert!(counts.done > 0 && counts.failed == 0, "{id}: {counts:?}");
        let [database] = round.companions.as_slice() else {
            panic!("{id}: {:?}", round.companions)
        };
        assert!(
            database.name == "database" && database.cpu_seconds > 0.0,
            "{database:?}"
        );
    }
    assert_eq!(output.status.code(), Some(1), "two cases failed");
}

fn case<'a>(run: &'a RunRecord, id: &str) -> &'a CaseRecord {
    let found = run.cases.iter().find(|case| case.id == id);
    found.unwrap_or_else(|| panic!("{id} is not in the run"))
}
