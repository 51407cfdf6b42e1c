//! Is there a container engine to test with?

use std::process::Command;

/// Whether one answers. Where none does that is told, and where one is required it is a failure.
pub(crate) fn answers() -> bool {
    let answered = Command::new("docker")
        .arg("info")
        .output()
        .is_ok_and(|output| output.status.success());
    let required = wsgibench_harness::__private::switch("WSGIBENCH_REQUIRE_DOCKER").unwrap();
    assert!(answered || !required, "no container engine answers");
    if !answered {
        println!("skipped: no container engine answers");
    }
    answered
}
