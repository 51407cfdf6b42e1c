//! A server with parameters, and thresholds, from the attribute to the files of a run.

use wsgibench_harness::store::record::ValidityLevel;

use crate::bench::{Bench, quick};

pub(crate) fn measured() {
    let bench = Bench::new();
    let listed = bench.run(&["--list", "--format", "terse", "--server", "delayed"]);
    let ids = [
        "slow/delayed@delay_ms=1-kind=threads/c2",
        "slow/delayed@delay_ms=20-kind=threads/c2",
    ];
    assert_eq!(listed.out, format!("{}: benchmark\n{}: benchmark\n", ids[0], ids[1]));
    let ended = bench.run(&[&quick("variants")[..], &["--export", "markdown=-"]].concat());
    assert_eq!(ended.status, Some(0));
    assert!(ended.out.contains("delayed@delay_ms=20-kind=threads"), "{}", ended.out);
    let run = bench.record();
    assert_eq!(run.cases.iter().map(|case| case.id.as_str()).collect::<Vec<_>>(), ids);
    let p50 = |case: usize| run.cases[case].launches[0].rounds[0].metrics["p50"];
    // Each response of the second waits for 20 ms.
    assert!(p50(1) >= 20_000.0 && p50(0) < p50(1), "{} {}", p50(0), p50(1));
    let setting = run.servers[1].spec.setting.as_ref().unwrap();
    assert_eq!((setting.function.as_str(), setting.default), ("delayed", true));
    assert_eq!(setting.values[0], ("delay_ms".to_owned(), "20".to_owned()));
    let report = std::fs::read_to_string(bench.0.path().join("wsgibench/report/index.html")).unwrap();
    // Not its charts: on a busy machine the figures may be invalid.
    assert!(report.contains("delay_ms = 20, kind = threads"));
    let taken = bench.quick_with("variants", &["--server-url", "delayed=http://127.0.0.1:1"]);
    assert!(
        taken.status == Some(2) && taken.err.contains("`delayed_running=http://127.0.0.1:1`"),
        "{}",
        taken.err
    );
    let unknown = bench.quick_with("variants", &["--server", "delayd"]);
    assert!(
        unknown.status == Some(2) && unknown.err.contains("did you mean `delayed`?"),
        "{}",
        unknown.err
    );
}

pub(crate) fn thresholds() {
    let bench = Bench::new();
    let gate = |limits: &[&str], more: &[&str]| {
        let slow = [
            "--launches",
            "2",
            "--rounds",
            "1",
            "--bench",
            "--warm-up-time",
            "100ms",
            "--measurement-time",
            "500ms",
        ];
        let mut arguments = [&slow[..], &["--server", "delayed@delay_ms=20-kind=threads"], more].concat();
        for limit in limits {
            arguments.extend(["--threshold", limit]);
        }
        bench.run(&arguments)
    };
    let verdict = || -> serde_json::Value {
        let text = std::fs::read_to_string(bench.0.path().join("wsgibench/verdict.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    // On a busy machine a measurement may be invalid, which is no verdict: it is repeated.
    let decided = |limits: &[&str], more: &[&str]| {
        (0..5)
            .map(|_| gate(limits, more))
            .find(|_| bench.record().cases[0].validity.level < ValidityLevel::Invalid)
            .expect("one of five measurements is valid")
    };

    // Each response waits for 20 ms.
    let broken = decided(&["p50<10ms", "p99<1000s"], &["--gate"]);
    assert_eq!(broken.status, Some(3));
    assert_eq!(verdict()["verdict"], "broken");
    assert!(broken.out.contains("broken     p50<10ms"), "{}", broken.out);
    let outcomes = verdict()["thresholds"].clone();
    assert_eq!(outcomes["confidence"], 0.95);
    assert_eq!(outcomes["outcomes"].as_array().unwrap().len(), 2);
    assert_eq!(bench.record().thresholds.unwrap().outcomes[0].threshold, "p50<10ms");

    let met = decided(&["p50<1000s"], &["--gate=strict"]);
    assert_eq!(met.status, Some(0));
    let shown = gate(&["p50<10ms"], &[]);
    assert_eq!(
        (shown.status, verdict()["verdict"].as_str()),
        (Some(0), Some("advisory"))
    );

    for (limits, told) in [
        (&["p50<10"][..], "--threshold `p50<10`: a time needs a unit"),
        (&["p50<10ms", "p50<20ms"], "p50 has two thresholds"),
        (&["throughput<10"], "write `throughput>10`"),
    ] {
        let refused = gate(limits, &["--gate"]);
        assert_eq!(refused.status, Some(2));
        assert!(refused.err.contains(told), "{told}: {}", refused.err);
    }
    let none = gate(&[], &["--gate"]);
    assert!(
        none.status == Some(2) && none.err.contains("or a --threshold"),
        "{}",
        none.err
    );
}
