//! Servers of the suite in real containers. Without an engine the tests are ignored; `WSGIBENCH_REQUIRE_DOCKER=1` makes them fail.
//!
//! This program is both the bench of the database scenarios (if [`ROLE`] is in its environment) and the tests.

mod database;
#[path = "../../../wsgibench-harness/tests/needs/mod.rs"]
mod needs;
mod pythons;

use std::{panic, process::ExitCode, thread};

use needs::Need;

/// Environment variable that makes this program the bench.
const ROLE: &str = "WSGIBENCH_TEST_IS_THE_BENCH";

const DATABASE: &str = "database::database_responds_or_the_case_fails_with_the_reason";

fn main() -> ExitCode {
    wsgibench_harness::null_server::maybe_serve();
    if std::env::var_os(ROLE).is_some() {
        return wsgibench_harness::cli::run_main(env!("CARGO_MANIFEST_DIR"), env!("CARGO_PKG_NAME"), "containers");
    }
    let engine = Need::engine();
    // Begun before the images of the other servers are built, which has to happen before the tests are listed.
    let database = (engine.is_met() && needs::selects(DATABASE))
        .then(|| thread::spawn(database::database_responds_or_the_case_fails_with_the_reason));
    let (pythons, mut trials) = pythons::Pythons::prepare(&engine);
    trials.push(engine.trial(DATABASE, move || {
        let database = database.expect("a selected test is begun");
        if let Err(panicked) = database.join() {
            panic::resume_unwind(panicked);
        }
    }));
    let status = needs::run_waiting(trials);
    if let Some(pythons) = pythons {
        pythons.close();
    }
    status
}
