//! Runs of the bench, and what they left.

use std::{
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use wsgibench_harness::{
    load::script::{USER_SETUP, WHOLE_SCRIPT},
    store::record::{CaseOutcome, CaseRecord, RunRecord, ValidityLevel},
};

use crate::{ROLE, engine};

/// A target folder of its own for each test.
struct Bench(tempfile::TempDir);

struct Ended {
    status: Option<i32>,
    out: String,
    err: String,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("whole-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .unwrap();
        Self(folder)
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        self.run_in("process", arguments)
    }

    fn command(&self, sandbox: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(arguments)
            .env(ROLE, "1")
            .env("CARGO_TARGET_DIR", self.0.path())
            // Whatever the user has set, a mistake in a script is told without one.
            .env("RUST_BACKTRACE", "1")
            .env("WSGIBENCH_SANDBOX", sandbox);
        command
    }

    fn journal(&self) -> Option<String> {
        let mut folders = std::fs::read_dir(self.0.path().join("wsgibench/runs")).ok()?;
        std::fs::read_to_string(folders.next()?.ok()?.path().join("journal.jsonl")).ok()
    }

    fn run_in(&self, sandbox: &str, arguments: &[&str]) -> Ended {
        let Output { status, stdout, stderr } = self.command(sandbox, arguments).output().unwrap();
        let ended = Ended {
            status: status.code(),
            out: String::from_utf8_lossy(&stdout).into_owned(),
            err: String::from_utf8_lossy(&stderr).into_owned(),
        };
        println!("--- {arguments:?}: {:?}\n{}\n{}", ended.status, ended.out, ended.err);
        ended
    }

    /// One short launch of the scenarios with a tag.
    fn quick(&self, tag: &str) -> Ended {
        self.quick_in("process", tag)
    }

    fn quick_in(&self, sandbox: &str, tag: &str) -> Ended {
        self.run_in(sandbox, &quick(tag))
    }

    fn quick_with(&self, tag: &str, more: &[&str]) -> Ended {
        // Without a sandbox of its own: nothing is started.
        self.run_in("auto", &[&quick(tag)[..], more].concat())
    }

    fn record(&self) -> RunRecord {
        let runs = self.0.path().join("wsgibench/runs");
        let mut folders: Vec<PathBuf> = std::fs::read_dir(runs).unwrap().map(|e| e.unwrap().path()).collect();
        folders.sort();
        let text = std::fs::read_to_string(folders.last().unwrap().join("run.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

fn quick(tag: &str) -> Vec<&str> {
    let times = ["--warm-up-time", "200ms", "--measurement-time", "800ms"];
    let effort = [
        "--bench",
        "--launches",
        "1",
        "--rounds",
        "1",
        "--seed",
        "7",
        "--tag",
        tag,
    ];
    [&effort[..], &times[..]].concat()
}

fn case<'a>(run: &'a RunRecord, scenario: &str) -> &'a CaseRecord {
    run.cases.iter().find(|case| case.scenario == scenario).unwrap()
}

fn failure(run: &RunRecord, scenario: &str) -> String {
    match &case(run, scenario).outcome {
        CaseOutcome::Failed(why) => why.clone(),
        other => panic!("{scenario}: {other:?}"),
    }
}

pub(crate) fn every_load_model() {
    let bench = Bench::new();
    let ended = bench.quick("fine");
    assert_eq!(ended.status, Some(0));
    let run = bench.record();
    let (declared, scripted) = (run.ceiling.unwrap(), run.script_ceiling.unwrap());
    assert!(
        scripted.requests_per_second < declared.requests_per_second
            && scripted.engine_cpu_us_per_request > declared.engine_cpu_us_per_request,
        "{scripted:?} {declared:?}"
    );
    for scenario in ["at_once", "at_a_rate", "coming"] {
        let case = case(&run, scenario);
        assert!(case.scripted && case.load.requests.is_empty());
        assert_eq!(case.outcome, CaseOutcome::Measured);
        let round = &case.launches[0].rounds[0];
        let load = &round.load;
        assert!(
            load.counts.adds_up() && load.counts.done > 10,
            "{scenario}: {:?}",
            load.counts
        );
        assert_eq!(load.counts.failed, 0, "{scenario}: {:?}", load.failed_checks);
        let names: Vec<&str> = load.steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(names, [WHOLE_SCRIPT, "sign in", "me", "upload"], "{scenario}");
        assert!(load.steps.iter().all(|step| !step.latency.histogram.is_empty()));
        assert!(round.server_cpu_seconds > 0.0 && round.metrics["cpu_per_request"] > 0.0);
        // Other work on the machine may make it suspect; what a script does must not make it invalid.
        let invalid: Vec<_> = round
            .validity
            .findings
            .iter()
            .filter(|finding| finding.level == ValidityLevel::Invalid)
            .map(|finding| finding.check.as_str())
            .filter(|check| !matches!(*check, "run_queue_delay" | "neighbour" | "client_lag"))
            .collect();
        assert!(invalid.is_empty(), "{scenario}: {:?}", round.validity);
    }
    let coming = case(&run, "coming").launches[0].rounds[0].load.users.unwrap();
    assert_eq!((coming.arrived, coming.finished), (10, 10));
}

pub(crate) fn terminal_and_page() {
    let bench = Bench::new();
    let ended = bench.quick("later");
    assert_eq!(ended.status, Some(0));
    let run = bench.record();
    let round = &case(&run, "fails_now_and_then").launches[0].rounds[0].load;
    assert!(round.counts.failed > 0);
    assert_eq!(round.failed_checks[0].name, "body");
    assert_eq!(round.failed_checks[0].count, round.counts.failed);
    assert!(ended.out.contains("whole script") && ended.out.contains("failed `body`; the first was: 200 OK: OK"));
    if cfg!(feature = "html") {
        let page = std::fs::read_to_string(bench.0.path().join("wsgibench/report/index.html")).unwrap();
        assert!(page.contains("steps of the script and failed checks") && page.contains("200 OK: OK"));
        assert!(page.contains("ceiling of scripted users"));
    }
}

pub(crate) fn wrong_scripts() {
    let bench = Bench::new();
    let ended = bench.quick("wrong");
    assert_eq!(ended.status, Some(1));
    let run = bench.record();
    for (scenario, told) in [
        (
            "wrong_answer",
            "expected status 200, got 401 Unauthorized: who are you?",
        ),
        ("panics", "the script panicked: assertion"),
        ("panics", "(at wsgibench-harness/tests/whole_bench/declared.rs:"),
        ("hangs", "the script hangs: for"),
    ] {
        let why = failure(&run, scenario);
        assert!(
            why.contains("nothing was timed") && why.contains(told),
            "{scenario}: {why}"
        );
        assert!(
            case(&run, scenario)
                .launches
                .iter()
                .all(|launch| launch.rounds.is_empty())
        );
    }
    assert!(!ended.err.contains("panicked at") && !ended.err.contains("stack backtrace"));
}

pub(crate) fn held_thread() {
    let bench = Bench::new();
    let ended = bench.quick("holds");
    assert_eq!(ended.status, Some(1));
    let why = failure(&bench.record(), "holds");
    assert!(why.contains("holds its thread") && why.contains("user.think"), "{why}");
    assert!(ended.err.contains("the run ends here"));
}

pub(crate) fn hooks() {
    let bench = Bench::new();
    let ended = bench.quick("hooks");
    assert_eq!(ended.status, Some(0));
    let run = bench.record();
    for scenario in ["seeded", "signed_in"] {
        let round = &case(&run, scenario).launches[0].rounds[0].load;
        assert!(
            round.counts.done > 0 && round.counts.failed == 0,
            "{scenario}: {:?}",
            round.failed_checks
        );
    }
    let signed_in = &case(&run, "signed_in").launches[0].rounds[0].load;
    // All signed in during the warm-up, and nobody again.
    let setups = signed_in.steps.iter().find(|step| step.name == USER_SETUP);
    assert!(
        setups.is_none_or(|step| step.latency.histogram.is_empty() && step.failed == 0),
        "{setups:?}"
    );
}

pub(crate) fn bad_hooks() {
    let bench = Bench::new();
    let ended = bench.quick("bad_hooks");
    assert_eq!(ended.status, Some(1));
    let run = bench.record();
    for (scenario, told) in [
        (
            "setup_fails",
            ["set-up failed: `python -c", "ended with status 3: no room"],
        ),
        (
            "teardown_panics",
            [
                "tear-down failed: it panicked: no such table",
                "(at wsgibench-harness/tests/whole_bench/declared.rs:",
            ],
        ),
        (
            "user_setup_fails",
            ["expected status 200, got 403", "nothing was timed"],
        ),
    ] {
        let why = failure(&run, scenario);
        assert!(told.iter().all(|text| why.contains(text)), "{scenario}: {why}");
    }
    assert!(case(&run, "setup_fails").launches[0].rounds.is_empty());
    assert!(!ended.err.contains("panicked at"));
}

pub(crate) fn companion() {
    let bench = Bench::new();
    // In the process sandbox there are none.
    let ended = bench.quick("companion");
    assert_eq!(ended.status, Some(0));
    let outcome = case(&bench.record(), "from_store").outcome.clone();
    assert!(
        matches!(&outcome, CaseOutcome::NotAvailable(why) if why.contains("need the docker sandbox")),
        "{outcome:?}"
    );
    if !cfg!(feature = "docker") || !engine::answers() {
        return;
    }
    let ended = bench.quick_in("docker", "companion");
    assert_eq!(ended.status, Some(0));
    let run = bench.record();
    let round = &case(&run, "from_store").launches[0].rounds[0];
    assert!(round.load.counts.done > 0 && round.load.counts.failed == 0);
    let [store] = round.companions.as_slice() else {
        panic!("{:?}", round.companions)
    };
    assert_eq!(store.name, "store");
    let image = &run.servers[0].companions["store"];
    assert!(image.starts_with("wsgibench/"), "{image}");
    assert!(store.cpu_seconds > 0.0 && store.memory_bytes > 1 << 20, "{store:?}");
    assert!(ended.out.contains("store: "));
}

pub(crate) fn baseline() {
    let bench = Bench::new();
    let run = |scenario: &str, baseline: &str| {
        let which = ["--scenario", scenario, baseline, "main"];
        bench.run(&[&quick("fine")[..], &which[..]].concat())
    };
    assert_eq!(run("at_once", "--save-baseline").status, Some(0));
    let strict = run("coming", "--baseline");
    let before = strict.err.find("baseline `main` has no figure of coming/");
    assert!(before.is_some_and(|at| strict.err[at..].contains("--baseline-lenient main")));
    // A figure that a busy machine spoilt would not have been compared either.
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
    assert!(none.err.contains("no run was interrupted"), "{}", none.err);

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
        (arguments("4"), "its effort was another: profile default, 3 launches"),
        ([&arguments("3")[..], &["--seed", "1"]].concat(), "its seed was"),
        (
            [&arguments("3")[..], &["--scenario", "at_once"]].concat(),
            "is not a case of it",
        ),
    ] {
        let refused = bench.run(&[&other[..], &["--resume"]].concat());
        assert_eq!(refused.status, Some(2));
        assert!(refused.err.contains(told), "{told}: {}", refused.err);
    }
    let unknown = bench.run(&[&arguments("3")[..], &["--resume=20200101T000000-0000"]].concat());
    assert!(
        unknown.status == Some(2) && unknown.err.contains("there is no run"),
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
    assert!(after.notices.iter().any(|notice| notice.text.contains("goes on")));
    assert_eq!(after.servers.len(), 1);
    let again = bench.run(&[&arguments("3")[..], &["--resume"]].concat());
    assert!(again.err.contains("no run was interrupted"), "{}", again.err);
}

fn interrupt(pid: u32) {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
        .unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
}

fn eventually(what: &str, mut done: impl FnMut() -> bool) {
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
    // By an address alone, with a declared server's name for those scenarios that are for it.
    let as_declared = format!("threads={url}");
    let ended = bench.quick_with("fine", &["--server-url", &as_declared]);
    assert_eq!(ended.status, Some(0));
    let run = bench.record();
    assert_eq!(run.cases.len(), 3);
    let launch = &case(&run, "at_once").launches[0];
    assert_eq!(launch.address, format!("127.0.0.1:{port}"));
    let round = &launch.rounds[0];
    assert!(round.load.counts.done > 0 && round.load.counts.failed == 0);
    assert!(round.server_cpu_seconds > 0.0, "its processes are this machine's");
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
    for (wrong, told) in [
        ("https://127.0.0.1:1", "without TLS"),
        ("http://127.0.0.1:1/x", "a path has no place"),
    ] {
        let refused = bench.quick_with("fine", &["--server-url", wrong]);
        assert!(
            refused.status == Some(2) && refused.err.contains(told),
            "{}",
            refused.err
        );
    }
    drop(served);
    let gone = bench.quick_with("anywhere", &["--server-url", &url]);
    assert_eq!(gone.status, Some(1));
    assert!(failure(&bench.record(), "anywhere").contains("within"), "{}", gone.out);
}

/// What nextest does: both listings, then one case by its whole id.
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
