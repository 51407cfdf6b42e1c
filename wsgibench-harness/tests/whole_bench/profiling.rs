//! `--explain` as a whole, in the process sandbox.

use std::fs;

use serde_json::Value;

use crate::bench::{Bench, case};

pub(crate) fn one_arm() {
    let bench = Bench::new();
    let folded = bench.0.path().join("stacks.folded");
    let export = format!("folded={}", folded.display());
    let ended = bench.run(&[
        "--bench",
        "--quick",
        "--explain",
        "--scenario",
        "ping",
        "--noplot",
        "--export",
        &export,
    ]);
    assert_eq!(ended.status, Some(0), "{}", ended.err);
    assert!(ended.err.contains("profiling 2 launches of each case"), "{}", ended.err);
    assert!(ended.out.contains("one arm was profiled"), "{}", ended.out);
    let record = bench.record();
    // Profiled launches are no launches of the run.
    assert_eq!(case(&record, "ping").launches.len(), 2);
    let explanation = record.explanation.as_ref().expect("a profile");
    let profiled = &explanation.cases[0];
    assert!(
        profiled.base.is_none() && profiled.candidate.launches == 2,
        "{:?}",
        profiled.notes
    );
    assert!(
        profiled.candidate.running_samples > 20,
        "{}",
        profiled.candidate.running_samples
    );
    // How long the server's threads wait for a CPU depends on the machine.
    let of_machine = |note: &String| note.starts_with("threads were ready for a CPU");
    let faults: Vec<&String> = profiled.notes.iter().filter(|note| !of_machine(note)).collect();
    assert!(faults.is_empty() && explanation.notes.is_empty(), "{explanation:?}");
    // The handler of the server's own class runs in every request.
    let handler = profiled
        .functions
        .iter()
        .find(|function| function.function.ends_with("do_GET"));
    let handler = handler.unwrap_or_else(|| panic!("{:?}", profiled.functions));
    assert!(handler.file.ends_with("serve.py") && handler.line > 0, "{handler:?}");
    assert!(handler.total.candidate_us > 0.0 && handler.total.candidate_us <= profiled.cpu.candidate_us);
    let file: Value =
        serde_json::from_slice(&fs::read(bench.0.path().join("wsgibench/explain.json")).unwrap()).unwrap();
    assert_eq!(
        file["cases"][0]["functions"][0]["function"],
        profiled.functions[0].function.as_str()
    );
    assert!(fs::read_to_string(&folded).unwrap().contains("do_GET"));
    // Nothing of the profiled launches is left but their result.
    let runs = fs::read_dir(bench.0.path().join("wsgibench/explain/runs"))
        .unwrap()
        .count();
    assert_eq!(runs, 0);
}

pub(crate) fn usage() {
    let bench = Bench::new();
    for (arguments, told) in [
        (&["--explain=on-regression"][..], "--explain=on-regression needs --gate"),
        (&["--explain=sometimes"], "invalid value 'sometimes'"),
        (&["--export", "pprof=x.gz"], "add --explain"),
        (&["--explain", "--self-check"], "cannot be used with"),
    ] {
        let ended = bench.run(&[&["--bench", "--scenario", "ping"], arguments].concat());
        assert_eq!(ended.status, Some(2), "{arguments:?}: {}", ended.err);
        assert!(ended.err.contains(told), "{arguments:?}: {}", ended.err);
    }
}
