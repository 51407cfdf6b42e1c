//! Servers whose requests wait for something known, and controls.

use wsgibench_harness::{report::waits, store::record::RunRecord, waits::Diagnosis};

use crate::bench::Bench;

/// Measures all planted servers in a sandbox.
fn measure(sandbox: &str) -> (String, RunRecord) {
    let bench = Bench::new();
    let ended = bench.quick_in(sandbox, "planted");
    assert_eq!(ended.status, Some(0), "{}", ended.err);
    (ended.out, bench.record())
}

fn diagnosis(run: &RunRecord, plant: &str) -> Diagnosis {
    let case = run
        .cases
        .iter()
        .find(|case| case.server.ends_with(&format!("plant={plant}")))
        .unwrap_or_else(|| panic!("{plant}: not measured"));
    let found = waits::of_case(case).unwrap_or_else(|| panic!("{plant}: not observed"));
    println!("{plant}: {found:?}");
    found
}

fn line(run: &RunRecord, plant: &str) -> String {
    diagnosis(run, plant).line().unwrap_or_default()
}

fn check(out: &str, run: &RunRecord) {
    let imbalanced = diagnosis(run, "imbalanced");
    assert_eq!(imbalanced.workers, 2);
    let named = line(run, "imbalanced");
    assert!(named.contains("imbalanced workers: "), "{named}");
    let named = line(run, "queued");
    assert!(named.contains("accept queue: on average "), "{named}");
    let named = line(run, "overflowing");
    assert!(named.contains("accept queue overflowed "), "{named}");
    assert!(out.contains("waits"), "{out}");
    // Controls.
    let balanced = diagnosis(run, "balanced");
    assert_eq!((balanced.workers, balanced.imbalanced), (2, false));
    let busy = diagnosis(run, "busy");
    assert!(!busy.queued && !busy.imbalanced, "{:?}", busy.line());
    assert!(busy.queue_mean.is_some(), "its queue is seen");
    assert_eq!(busy.notes, [] as [&str; 0]);
}

pub(crate) fn planted() {
    let (out, run) = measure("process");
    check(&out, &run);
}

#[cfg(feature = "docker")]
pub(crate) fn planted_in_docker() {
    let (out, run) = measure("docker");
    check(&out, &run);
    // A container has counters of its own.
    assert!(!diagnosis(&run, "queued").of_machine);
    assert_eq!(diagnosis(&run, "busy").overflows, Some(0));
}
