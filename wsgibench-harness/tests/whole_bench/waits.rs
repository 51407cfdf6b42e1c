//! Servers whose requests wait for something known, and controls.

use wsgibench_harness::{
    report::waits,
    store::record::RunRecord,
    waits::{Cause, Diagnosis},
};

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

/// The largest wait is that of the planted function, and is named unless the server waited for a CPU of this machine instead.
fn waits_for(run: &RunRecord, plant: &str, cause: Cause, noun: &str) {
    let found = diagnosis(run, plant);
    let threads = found.threads.as_ref().expect("threads are seen");
    let first = threads.waits.first().unwrap_or_else(|| panic!("{plant}: {found:?}"));
    assert_eq!(first.cause, cause, "{plant}: {found:?}");
    assert!(
        first.place.starts_with(&format!("{plant} ")) && first.place.contains("planted.py:"),
        "{plant}: {found:?}"
    );
    let named = found.line().unwrap_or_default();
    assert!(named.contains(noun) || found.busy > 0.5, "{plant}: {named}");
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
    for (plant, cause, noun) in [
        ("sleeping", Cause::Sleep, "sleep: "),
        ("remote", Cause::Socket, "socket to 127.0.0.1:"),
        ("locked", Cause::Lock, "lock: "),
    ] {
        waits_for(run, plant, cause, noun);
    }
    // Controls.
    let balanced = diagnosis(run, "balanced");
    assert_eq!((balanced.workers, balanced.imbalanced), (2, false));
    let busy = diagnosis(run, "busy");
    assert!(!busy.queued && !busy.imbalanced, "{:?}", busy.line());
    assert!(busy.queue_mean.is_some(), "its queue is seen");
    assert_eq!(busy.notes, [] as [&str; 0]);
    // Neither threads without work nor those that wait for the interpreter wait for a lock of the program.
    let pooled = diagnosis(run, "pooled").threads.expect("threads are seen");
    let locks = pooled.waits.iter().filter(|wait| wait.cause == Cause::Lock);
    assert!(locks.map(|wait| wait.share).sum::<f64>() < 0.1, "{pooled:?}");
    // All seven threads are seen. Those that wait for the interpreter wake every few milliseconds, and are ready if its CPU is taken.
    let seen = pooled.running + pooled.runnable + pooled.waiting;
    assert!(pooled.running > 0.0 && seen > 6.0, "{pooled:?}");
}

pub(crate) fn planted() {
    let (out, run) = measure("process");
    check(&out, &run);
    // In a container, only memory is writable.
    waits_for(&run, "disk", Cause::Disk, "disk");
}

#[cfg(feature = "docker")]
pub(crate) fn planted_in_docker() {
    let (out, run) = measure("docker");
    check(&out, &run);
    // A container has counters of its own.
    assert!(!diagnosis(&run, "queued").of_machine);
    assert_eq!(diagnosis(&run, "busy").overflows, Some(0));
}
