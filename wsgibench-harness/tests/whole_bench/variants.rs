//! A server with parameters, from the attribute to the files of a run.

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
