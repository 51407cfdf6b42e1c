//! A whole bench on a real cluster (`.ci/cluster start FOLDER`, `WSGIBENCH_CLUSTER=FOLDER`): servers, load and coordinator in pods.
//!
//! This program is both the bench (if [`ROLE`] is in its environment, or in a pod) and the tests that start it.

mod bench;
mod declared;
mod measured;
#[path = "../needs/mod.rs"]
mod needs;
mod refused;
mod removed;

use std::process::ExitCode;

use needs::Need;

/// Turns this program into the bench.
const ROLE: &str = "WSGIBENCH_TEST_IS_THE_BENCH";

fn main() -> ExitCode {
    wsgibench_harness::null_server::maybe_serve();
    if std::env::var_os(ROLE).is_some() || std::env::var_os("WSGIBENCH_POD").is_some() {
        return wsgibench_harness::cli::run_main(env!("CARGO_MANIFEST_DIR"), env!("CARGO_PKG_NAME"), "kubernetes");
    }
    let cluster = Need::new(bench::missing(), "WSGIBENCH_REQUIRE_CLUSTER");
    // One at a time: they measure, and share two nodes.
    let tests = needs::trials![cluster;
        measured::every_load_model_of_one_and_two_pods,
        measured::scripts_run_in_pods,
        measured::planted_clock_offset_is_corrected,
        measured::planted_delay_makes_a_round_invalid,
        measured::killed_pod_makes_a_round_invalid_by_name,
        refused::servers_that_do_not_start_are_explained,
        refused::missing_namespace_role_and_image_have_remedies,
        refused::quota_that_is_reached_is_named,
        refused::unreachable_cluster_is_named,
        removed::ctrl_c_removes_everything,
        removed::killed_bench_is_removed_by_its_lease,
    ];
    needs::run_waiting_then_alone(Vec::new(), tests.into())
}
