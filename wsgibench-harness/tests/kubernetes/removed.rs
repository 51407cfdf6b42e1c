//! Nothing is left behind.

use std::{process::Command, time::Duration};

use crate::bench::Bench;

fn signal(name: &str, pid: u32) {
    let status = Command::new("kill").args([name, &pid.to_string()]).status().unwrap();
    assert!(status.success());
}

const LONG: [&str; 5] = ["--load-pods", "2", "--measurement-time", "60", "closed/threads"];

pub(crate) fn ctrl_c_removes_everything() {
    let bench = Bench::new("interrupted");
    let mut child = bench.start_until(&LONG, "server", 1);
    std::thread::sleep(Duration::from_secs(3));
    signal("-INT", child.id());
    bench.assert_empty_within(Duration::from_secs(10));
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

pub(crate) fn killed_bench_is_removed_by_its_lease() {
    let bench = Bench::new("lease");
    let mut child = bench.start_until(&LONG, "load", 2);
    signal("-KILL", child.id());
    child.wait().unwrap();
    assert!(!bench.running("coordinator").is_empty(), "the lease has not expired");
    // 30 s of the lease, and the coordinator's and the garbage collector's intervals.
    bench.assert_empty_within(Duration::from_secs(60));
}
