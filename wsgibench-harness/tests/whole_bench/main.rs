//! A whole bench, run as cargo runs one: scripted users against a real server in the process sandbox, from the attribute
//! to `run.json` and what stands on the terminal.
//!
//! This program is both: the bench (when it finds [`ROLE`] in its environment) and the tests that start it.

mod bench;
mod command_line;
mod declared;
mod engine;
mod scripts;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    process::{Command, ExitCode},
};

/// Makes this program the bench.
const ROLE: &str = "WSGIBENCH_TEST_IS_THE_BENCH";

type Test = (&'static str, fn());

const TESTS: &[Test] = &[
    ("a_script_is_measured_under_every_load_model", scripts::every_load_model),
    ("the_terminal_and_the_page_show_the_steps", scripts::terminal_and_page),
    (
        "a_script_that_goes_wrong_is_told_and_never_timed",
        scripts::wrong_scripts,
    ),
    ("a_script_that_holds_its_thread_ends_the_run", scripts::held_thread),
    ("launches_and_users_are_set_up_and_cleared", scripts::hooks),
    ("a_hook_that_fails_is_told", scripts::bad_hooks),
    ("a_companion_is_filled_asked_and_accounted_for", scripts::companion),
    ("an_interrupted_run_goes_on", command_line::resume),
    ("what_a_baseline_lacks_is_told_before_the_run", command_line::baseline),
    ("a_running_server_is_measured_and_marked", command_line::server_url),
    ("test_runners_list_cases_and_run_one", command_line::test_runner),
    ("cargo_test_tries_each_script_once", command_line::test_mode),
];

fn main() -> ExitCode {
    wsgibench_harness::null_server::maybe_serve();
    if std::env::var_os(ROLE).is_some() {
        return wsgibench_harness::cli::run_main(env!("CARGO_MANIFEST_DIR"), env!("CARGO_PKG_NAME"), "whole_bench");
    }
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let asked = |word: &str| std::env::args().any(|argument| argument == word);
    if asked("--list") {
        for (name, _) in TESTS.iter().filter(|_| !asked("--ignored")) {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    if Command::new("python3").arg("--version").output().is_err() {
        println!("skipped: there is no python3 here");
        return ExitCode::SUCCESS;
    }
    let mut failed = 0;
    for (name, test) in TESTS {
        if !wanted.is_empty() && !wanted.iter().any(|word| name.contains(word.as_str())) {
            continue;
        }
        let ended = catch_unwind(AssertUnwindSafe(test));
        println!("test {name} ... {}", if ended.is_ok() { "ok" } else { "FAILED" });
        failed += u32::from(ended.is_err());
    }
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
