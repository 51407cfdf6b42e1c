//! A whole bench, run as cargo runs it: scripted users against a real server in the process sandbox, from the attribute to
//! `run.json` and the terminal output.
//!
//! This program is both the bench (if [`ROLE`] is in its environment) and the tests that start it.

mod bench;
mod command_line;
mod counting;
mod declared;
#[path = "../needs/mod.rs"]
mod needs;
mod profiling;
mod scripts;
mod tuning;
mod variants;
mod waits;

use std::process::ExitCode;

use libtest_mimic::Trial;
use needs::Need;

/// Turns this program into the bench.
const ROLE: &str = "WSGIBENCH_TEST_IS_THE_BENCH";

fn main() -> ExitCode {
    wsgibench_harness::null_server::maybe_serve();
    if std::env::var_os(ROLE).is_some() {
        return wsgibench_harness::cli::run_main(env!("CARGO_MANIFEST_DIR"), env!("CARGO_PKG_NAME"), "whole_bench");
    }
    let python = Need::python();
    let tests: Vec<(&str, fn())> = vec![
        ("a_script_is_measured_under_every_load_model", scripts::every_load_model),
        ("the_terminal_and_the_page_show_the_steps", scripts::terminal_and_page),
        (
            "a_script_that_goes_wrong_is_told_and_never_timed",
            scripts::wrong_scripts,
        ),
        ("a_script_that_holds_its_thread_ends_the_run", scripts::held_thread),
        ("launches_and_users_are_set_up_and_cleared", scripts::hooks),
        ("a_hook_that_fails_is_told", scripts::bad_hooks),
        ("a_companion_needs_the_docker_sandbox", scripts::companion),
        ("an_interrupted_run_goes_on", command_line::resume),
        ("what_a_baseline_lacks_is_told_before_the_run", command_line::baseline),
        ("a_running_server_is_measured_and_marked", command_line::server_url),
        (
            "a_row_that_would_break_the_request_is_refused_at_declaration",
            command_line::broken_row,
        ),
        (
            "too_few_open_files_are_told_before_a_server_starts",
            command_line::descriptor_limit,
        ),
        ("a_server_with_parameters_is_measured_as_variants", variants::measured),
        ("planted_waits_are_named_and_controls_are_not", waits::planted),
        ("tunings_that_cannot_decide_are_refused", tuning::refused),
        ("test_runners_list_cases_and_run_one", command_line::test_runner),
        ("cargo_test_tries_each_script_once", command_line::test_mode),
        ("options_of_profiles_without_a_meaning_are_refused", profiling::usage),
    ];
    // The longest begin first.
    let valgrind = Need::valgrind();
    let mut trials: Vec<Trial> = vec![
        valgrind.trial("counts_are_blessed_and_checked", counting::blessed_and_checked),
        valgrind.trial(
            "counted_baselines_of_another_environment_or_definition_are_refused",
            counting::baselines,
        ),
        valgrind.trial("counts_ignore_arrival_schedules", counting::arrival_schedule),
        valgrind.trial("a_counted_server_that_ends_is_a_failure", counting::server_that_ends),
        valgrind.trial("scripted_users_are_counted_without_thinking", counting::script),
    ];
    trials.extend(tests.into_iter().map(|(name, test)| python.trial(name, test)));
    trials.push(python.trial(
        "counting_without_valgrind_names_the_package",
        counting::without_valgrind,
    ));
    #[cfg(feature = "docker")]
    trials.push(Need::engine().trial("planted_waits_are_named_in_containers", waits::planted_in_docker));
    #[cfg(feature = "docker")]
    trials.push(Need::engine().trial(
        "a_companion_is_filled_asked_and_accounted_for",
        scripts::companion_in_docker,
    ));
    // Other tests would disturb their rounds and the reads of stacks, which the results report.
    let alone = vec![
        python.trial("thresholds_decide_a_gate_without_a_base", variants::thresholds),
        python.trial("the_best_setting_is_found_and_gates", tuning::best_setting),
        python.trial("an_interrupted_tuning_goes_on", tuning::interrupted),
        python.trial("functions_of_one_arm_are_profiled", profiling::one_arm),
    ];
    needs::run_waiting_then_alone(trials, alone)
}
