//! `--count` as a whole, in the process sandbox.

use std::fs;

use wsgibench_harness::{counts::CountRecord, store::record::RunRecord};

use crate::bench::{Bench, Ended, case, failure};

fn counts<'a>(run: &'a RunRecord, scenario: &str) -> Vec<&'a CountRecord> {
    let rounds = case(run, scenario).launches.iter().flat_map(|launch| &launch.rounds);
    rounds.filter_map(|round| round.counts.as_deref()).collect()
}

/// Counts the cases of a scenario, with more options.
fn count(bench: &Bench, scenario: &str, launches: &str, more: &[&str]) -> Ended {
    let options = [
        "--bench",
        "--count",
        "--launches",
        launches,
        "--scenario",
        scenario,
        "--noplot",
    ];
    bench.run(&[&options[..], more].concat())
}

pub(crate) fn blessed_and_checked() {
    let bench = Bench::new();
    let file = bench.0.path().join("counts.toml");
    let run = |option: &str| {
        let option = format!("--{option}-counts={}", file.display());
        count(&bench, "ping", "2", &[&option])
    };
    let none = run("check");
    assert_eq!(none.status, Some(2));
    assert!(none.err.contains("--bless-counts"), "{}", none.err);

    let blessed = run("bless");
    assert_eq!(blessed.status, Some(0));
    assert!(blessed.out.contains("instr:") && blessed.out.contains("per request"));
    let record = bench.record();
    let [first, second] = counts(&record, "ping")[..] else {
        panic!("two counted launches");
    };
    // The server answers with one `send` of the head and one of the body.
    assert!(first.instructions > 10_000.0, "{first:?}");
    assert!(first.system_calls_by_name.contains_key("sendto"), "{first:?}");
    assert!(second.system_calls_by_name.contains_key("sendto"), "{second:?}");
    assert!((first.instructions / second.instructions - 1.0).abs() < 0.01);
    let own: f64 = first.functions.iter().map(|function| function.instructions).sum();
    assert!((own / first.instructions - 1.0).abs() < 0.05, "{own}");
    let text = fs::read_to_string(&file).unwrap();
    assert!(
        text.contains("\"ping/threads/connections=2\"") || text.contains("\"ping/threads/c2\""),
        "{text}"
    );

    assert_eq!(run("check").status, Some(0));
    // As if the server had needed a tenth of that.
    let mean = format!("mean = {:.1}", f64::midpoint(first.instructions, second.instructions));
    let line = text.lines().find(|line| line.starts_with("\"ping/")).unwrap();
    let (before, rest) = line.split_once("instructions = { mean = ").unwrap();
    let (_, after) = rest.split_once(',').unwrap();
    let lower = format!(
        "{before}instructions = {{ mean = {:.1},{after}",
        first.instructions / 10.0
    );
    fs::write(&file, text.replace(line, &lower)).unwrap();
    let rise = run("check");
    assert_eq!(rise.status, Some(3), "{mean}");
    assert!(rise.err.contains("instructions per request rose by"), "{}", rise.err);

    fs::write(&file, text.replace(line, "")).unwrap();
    let unknown = run("check");
    assert_eq!(unknown.status, Some(2));
    assert!(unknown.err.contains("not in the file"), "{}", unknown.err);

    fs::write(&file, text.replace("valgrind = \"", "valgrind = \"0.")).unwrap();
    let elsewhere = run("check");
    assert_eq!(elsewhere.status, Some(2));
    assert!(elsewhere.err.contains("another environment"), "{}", elsewhere.err);
}

pub(crate) fn script() {
    let bench = Bench::new();
    let ended = count(&bench, "at_once", "1", &[]);
    assert_eq!(ended.status, Some(0));
    let record = bench.record();
    assert_eq!(counts(&record, "at_once").len(), 1);
    assert!(record.counted.is_some());
}

pub(crate) fn arrival_schedule() {
    let bench = Bench::new();
    let ended = count(&bench, "at_a_rate", "1", &[]);
    assert_eq!(ended.status, Some(0));
    let text = ended.err.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        text.contains("counted without their arrival schedules, one request after the other: at_a_rate/threads/"),
        "{text}"
    );
    assert_eq!(counts(&bench.record(), "at_a_rate").len(), 1);
}

pub(crate) fn server_that_ends() {
    let bench = Bench::new();
    let ended = count(&bench, "ends", "2", &[]);
    assert_eq!(ended.status, Some(1));
    let why = failure(&bench.record(), "ends");
    assert!(why.contains("exited during the round (exit status 3)"), "{why}");
}

pub(crate) fn baselines() {
    let bench = Bench::new();
    let run = |more: &[&str]| count(&bench, "ping", "2", more);
    assert_eq!(run(&["--save-baseline", "kept"]).status, Some(0));
    let folder = bench.0.path().join("wsgibench/baselines/kept");
    let file = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let saved = fs::read_to_string(&file).unwrap();
    let mut kept: serde_json::Value = serde_json::from_str(&saved).unwrap();
    assert!(kept["definitions"]["ping/threads/c2"].is_string(), "{saved}");

    kept["counted"]["valgrind"] = "0.1".into();
    fs::write(&file, kept.to_string()).unwrap();
    let elsewhere = run(&["--baseline", "kept", "--gate"]);
    assert_eq!(elsewhere.status, Some(2));
    let text = elsewhere.err.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        text.contains("baseline `kept` was counted in another environment"),
        "{text}"
    );
    assert!(text.contains("valgrind: 0.1, here"), "{text}");

    let mut kept: serde_json::Value = serde_json::from_str(&saved).unwrap();
    kept["definitions"]["ping/threads/c2"] = "another".into();
    fs::write(&file, kept.to_string()).unwrap();
    let redefined = run(&["--baseline", "kept", "--gate"]);
    assert_eq!(redefined.status, Some(2));
    assert!(redefined.err.contains("another load"), "{}", redefined.err);

    // The image is what is judged: its packages are listed.
    let mut kept: serde_json::Value = serde_json::from_str(&saved).unwrap();
    kept["packages"]["threads"]["python"] = "2.7.18".into();
    fs::write(&file, kept.to_string()).unwrap();
    run(&["--baseline", "kept", "--gate"]);
    let verdict = fs::read_to_string(bench.0.path().join("wsgibench/verdict.json")).unwrap();
    assert!(verdict.contains("image of threads: python 2.7.18, now "), "{verdict}");
}

pub(crate) fn without_valgrind() {
    let bench = Bench::new();
    let mut command = bench.command("process", &["--bench", "--count", "--scenario", "ping"]);
    let output = command.env("PATH", "/nonexistent").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("apt-get install valgrind"), "{text}");
}
