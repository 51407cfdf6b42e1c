//! Command-line options of a whole bench: baselines, resuming, running servers, test runners.

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use wsgibench_harness::store::record::{CaseOutcome, ValidityLevel};

use crate::bench::{Bench, case, failure, quick};

pub(crate) fn baseline() {
    let bench = Bench::new();
    let run = |scenario: &str, baseline: &str| {
        let which = ["--scenario", scenario, baseline, "main"];
        bench.run(&[&quick("fine")[..], &which[..]].concat())
    };
    assert_eq!(run("at_once", "--save-baseline").status, Some(0));
    let strict = run("coming", "--baseline");
    let before = strict.err.find("baseline `main` has no figures of coming/");
    assert!(before.is_some_and(|at| strict.err[at..].contains("--baseline-lenient main")));
    // Results disturbed by a busy machine would not have been compared either.
    let record = bench.record();
    let believed = case(&record, "coming").validity.level < ValidityLevel::Invalid;
    assert_eq!(strict.status, Some(if believed { 2 } else { 0 }));
    assert_eq!(run("coming", "--baseline-lenient").status, Some(0));
}

pub(crate) fn resume() {
    let bench = Bench::new();
    let arguments = |launches: &'static str| {
        let times = [
            "--warm-up-time",
            "100ms",
            "--measurement-time",
            "700ms",
            "--rounds",
            "1",
        ];
        [
            &["--bench", "--scenario", "ping", "--launches", launches][..],
            &times[..],
        ]
        .concat()
    };
    let none = bench.run(&[&arguments("3")[..], &["--resume"]].concat());
    assert_eq!(none.status, Some(2));
    assert!(none.err.contains("no interrupted run"), "{}", none.err);

    let mut running = bench.command("process", &arguments("3")).spawn().unwrap();
    eventually("a round is measured", || {
        bench.journal().is_some_and(|text| text.contains("\"entry\":\"round\""))
    });
    interrupt(running.id());
    assert_eq!(running.wait().unwrap().code(), Some(130));
    let before = bench.record();
    let done = case(&before, "ping")
        .launches
        .iter()
        .filter(|l| !l.rounds.is_empty())
        .count();
    assert!(before.interrupted && (1..3).contains(&done), "{done} launches");

    for (other, told) in [
        (arguments("4"), "its effort differs: profile default, 3 launches"),
        ([&arguments("3")[..], &["--seed", "1"]].concat(), "its seed was"),
        (
            [&arguments("3")[..], &["--scenario", "at_once"]].concat(),
            "is not part of it",
        ),
    ] {
        let refused = bench.run(&[&other[..], &["--resume"]].concat());
        assert_eq!(refused.status, Some(2));
        assert!(refused.err.contains(told), "{told}: {}", refused.err);
    }
    let unknown = bench.run(&[&arguments("3")[..], &["--resume=20200101T000000-0000"]].concat());
    assert!(
        unknown.status == Some(2) && unknown.err.contains("not found"),
        "{}",
        unknown.err
    );

    let ended = bench.run(&[&arguments("3")[..], &["--resume"]].concat());
    assert_eq!(ended.status, Some(0));
    let after = bench.record();
    assert_eq!(
        (after.id.as_str(), after.seed, after.interrupted),
        (before.id.as_str(), before.seed, false)
    );
    let launches = &case(&after, "ping").launches;
    let blocks: Vec<u32> = launches.iter().map(|launch| launch.block).collect();
    assert_eq!(blocks, [0, 1, 2]);
    assert!(launches.iter().all(|launch| launch.rounds.len() == 1));
    assert_eq!(launches[0].started, case(&before, "ping").launches[0].started);
    assert!(
        after
            .notices
            .iter()
            .any(|notice| notice.text.contains("resumed an interrupted run"))
    );
    assert_eq!(after.servers.len(), 1);
    let again = bench.run(&[&arguments("3")[..], &["--resume"]].concat());
    assert!(again.err.contains("no interrupted run"), "{}", again.err);
}

pub(crate) fn interrupt(pid: u32) {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
        .unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
}

pub(crate) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..1_200 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("it did not come about: {what}");
}

struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn server_url() {
    let bench = Bench::new();
    let port = std::net::TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let serve = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/whole_bench/app/serve.py");
    let child = Command::new("python3")
        .args([serve, &port.to_string()])
        .stdout(Stdio::null())
        .spawn();
    let mut served = Served(child.unwrap());
    let url = format!("http://127.0.0.1:{port}/");
    // With an address only, and with a declared server's name for scenarios restricted to that server.
    let as_declared = format!("threads={url}");
    let csv = bench.0.path().join("rounds.csv");
    let export = format!("csv={}", csv.display());
    let page = bench.0.path().join("wsgibench/report/index.html");
    let arguments = [&quick("fine")[..], &["--server-url", &as_declared, "--export", &export]].concat();
    let ended = bench.run_in("process", &arguments);
    assert_eq!(ended.status, Some(0));
    let run = bench.record();
    assert_eq!(run.cases.len(), 3);
    // Reports omit the start of an external server, and a sandbox that ran no server.
    let texts = [
        ended.out,
        ended.err,
        std::fs::read_to_string(page).unwrap(),
        serde_json::to_string(&run).unwrap(),
    ];
    for text in &texts {
        for of_a_start in [
            "no isolation",
            "memory_at_rest",
            "start_up_seconds",
            "memory at rest",
            "first response",
        ] {
            assert!(!text.contains(of_a_start), "{of_a_start}: {text}");
        }
    }
    let csv = std::fs::read_to_string(csv).unwrap();
    let mut lines = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let row = lines.next().unwrap();
    for name in ["start_up_s", "memory_at_rest_bytes"] {
        let from_the_end = header.iter().rev().position(|column| *column == name).unwrap();
        assert_eq!(row[row.len() - 1 - from_the_end], "", "{csv}");
    }
    let launch = &case(&run, "at_once").launches[0];
    assert_eq!(launch.address, format!("127.0.0.1:{port}"));
    let round = &launch.rounds[0];
    assert!(round.load.counts.done > 0 && round.load.counts.failed == 0);
    assert!(round.server_cpu_seconds.is_some(), "its processes are this machine's");
    assert!(round.validity.level >= ValidityLevel::Suspect);
    assert!(
        round
            .validity
            .findings
            .iter()
            .any(|finding| finding.check == "runs_already")
    );
    assert!(served.0.try_wait().unwrap().is_none(), "it is left as it was");

    let unnamed = bench.quick_with("anywhere", &["--server-url", &url]);
    assert_eq!(unnamed.status, Some(0));
    let run = bench.record();
    assert_eq!(run.cases.len(), 1);
    assert_eq!(run.cases[0].id, "anywhere/url/u1");
    let refused = bench.quick_with("fine", &["--server-url", "http://127.0.0.1:1/x"]);
    assert!(
        refused.status == Some(2) && refused.err.contains("a path is not supported"),
        "{}",
        refused.err
    );
    drop(served);
    let gone = bench.quick_with("anywhere", &["--server-url", &url]);
    assert_eq!(gone.status, Some(1));
    assert!(failure(&bench.record(), "anywhere").contains("within"), "{}", gone.out);
}

pub(crate) fn broken_row() {
    let bench = Bench::new();
    for (row, told) in [("two words", "percent-encode"), ("x\r\nSet-Cookie: a=b", "line break")] {
        let mut command = bench.command("process", &quick("rows"));
        let output = command.env(crate::declared::ROW, row).output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{err}");
        for text in ["with_rows", "row 2 of column \"q\"", told, "declared.rs"] {
            assert!(err.contains(text), "{text}: {err}");
        }
    }
    assert!(!bench.0.path().join("wsgibench/runs").exists(), "a run was begun");
}

pub(crate) fn descriptor_limit() {
    let bench = Bench::new();
    let command = bench.command("process", &quick("rows"));
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\""])
        .arg(command.get_program())
        .args(command.get_args())
        .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .env(crate::declared::ROW, "fine");
    let output = limited.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let run = bench.record();
    let why = failure(&run, "with_rows");
    assert!(why.contains("the hard limit of this process is 64"), "{why}");
    assert!(case(&run, "with_rows").launches.is_empty());
    let logs = std::fs::read_dir(bench.0.path().join(format!("wsgibench/runs/{}/logs", run.id)));
    assert_eq!(logs.unwrap().count(), 0, "a server was started");
}

/// The calls of nextest: both listings, then one case by its full id.
pub(crate) fn test_runner() {
    let bench = Bench::new();
    let listed = bench.run(&["--list", "--format", "terse"]);
    assert_eq!(listed.status, Some(0));
    assert!(
        listed.out.lines().all(|line| line.ends_with(": benchmark")),
        "{}",
        listed.out
    );
    assert!(listed.out.contains("at_once/threads/u3: benchmark\n"));
    let (some, every) = (bench.run(&["--list", "--tag", "fine"]), bench.run(&["--list", "."]));
    assert!(some.out.contains("`--list .` shows all") && !every.out.contains("shows all"));
    let ignored = bench.run(&["--list", "--format", "terse", "--ignored"]);
    assert_eq!(
        (ignored.status, ignored.out.as_str()),
        (Some(0), "later/threads/u1: benchmark\n")
    );
    let none = bench.run(&["--list", "--format", "terse", "--ignored", "--tag", "fine"]);
    assert_eq!((none.status, none.out.as_str()), (Some(0), ""));
    let one = bench.run(&["--exact", "at_once/threads/u3", "--nocapture"]);
    assert_eq!(one.status, Some(0));
    assert_eq!(bench.record().cases.len(), 1);
    let wrong = bench.run(&["--exact", "panics/threads/u2", "--nocapture"]);
    assert_eq!(wrong.status, Some(1));
}

pub(crate) fn test_mode() {
    let bench = Bench::new();
    // As `cargo test` starts a bench: without `--bench`.
    let ended = bench.run(&["--tag", "fine"]);
    assert_eq!(ended.status, Some(0));
    let run = bench.record();
    assert!(run.ceiling.is_none() && run.cases.len() == 3);
    for case in &run.cases {
        assert_eq!(case.outcome, CaseOutcome::Measured, "{}", case.id);
        assert_eq!(case.launches.len(), 1);
    }
}
