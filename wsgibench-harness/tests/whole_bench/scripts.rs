//! Measurements of scripted users, their hooks and a companion.

use wsgibench_harness::{
    load::script::{USER_SETUP, WHOLE_SCRIPT},
    store::record::{CaseOutcome, ValidityLevel},
};

use crate::bench::{Bench, case, failure};

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
        assert!(round.server_cpu_seconds.is_some() && round.metrics["cpu_per_request"] > 0.0);
        // Other work on the machine may make it suspect; the script itself must not make it invalid.
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
        assert!(page.contains("steps of the script, errors and failed checks") && page.contains("200 OK: OK"));
        assert!(page.contains("scripted user ceiling"));
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
        ("hangs", "the script hangs: no request"),
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
    assert!(why.contains("blocks its thread") && why.contains("user.think"), "{why}");
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
    // All users signed in during the warm-up, and only once.
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
            ["set-up failed: `python -c", "failed with status 3: disk full"],
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
    // Companions are unavailable in the process sandbox.
    let ended = bench.quick("companion");
    assert_eq!(ended.status, Some(0));
    let outcome = case(&bench.record(), "from_store").outcome.clone();
    assert!(
        matches!(&outcome, CaseOutcome::NotAvailable(why) if why.contains("need the docker sandbox")),
        "{outcome:?}"
    );
}

#[cfg(feature = "docker")]
pub(crate) fn companion_in_docker() {
    let bench = Bench::new();
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
