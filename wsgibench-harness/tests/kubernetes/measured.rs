//! Measurements.

use std::time::Duration;

use wsgibench_harness::store::record::{CaseOutcome, RoundRecord, RunRecord, ValidityLevel};

use crate::bench::Bench;

fn rounds(run: &RunRecord) -> Vec<(&str, &RoundRecord)> {
    run.cases
        .iter()
        .inspect(|case| assert_eq!(case.outcome, CaseOutcome::Measured, "{}", case.id))
        .flat_map(|case| {
            case.launches
                .iter()
                .flat_map(|launch| launch.rounds.iter().map(|round| (case.id.as_str(), round)))
        })
        .collect()
}

fn checks(round: &RoundRecord) -> Vec<&str> {
    round
        .validity
        .findings
        .iter()
        .map(|finding| finding.check.as_str())
        .collect()
}

pub(crate) fn every_load_model_of_one_and_two_pods() {
    let bench = Bench::new("models");
    for pods in ["1", "2"] {
        let count: u64 = pods.parse().unwrap();
        let ended = bench.run(&[
            "--load-pods",
            pods,
            "--seed",
            "5",
            "closed/threads",
            "constant",
            "poisson",
            "arriving",
        ]);
        assert_eq!(ended.status, Some(0));
        let run = bench.record();
        assert_eq!(run.environment.sandbox, "kubernetes");
        let rounds = rounds(&run);
        assert_eq!(rounds.len(), 4);
        for (case, round) in rounds {
            let load = &round.load;
            assert!(
                load.counts.adds_up() && load.counts.done > 0 && load.counts.failed == 0,
                "{case}: {:?}",
                load.counts
            );
            let timed = load.counts.done + load.counts.censored + load.counts.unsent;
            assert_eq!(load.response_time.histogram.len(), timed, "{case}");
            let record = round.pods.as_ref().expect("the pods are recorded");
            assert_eq!(record.pods.len() as u64, count, "{case}");
            assert_eq!(
                record.pods.iter().map(|pod| pod.done).sum::<u64>(),
                load.counts.done,
                "{case}"
            );
            assert_eq!(u64::from(load.workers), count);
            assert!(
                record.pods.iter().all(|pod| pod.node != record.server_node),
                "{case}: load beside the server"
            );
            assert_eq!(record.usage_source.as_deref(), Some("cgroup"), "{case}");
            assert!(round.server_cpu_seconds.is_some_and(|cpu| cpu > 0.0), "{case}");
            assert!(round.memory_peak_bytes.is_some_and(|bytes| bytes > 1 << 20), "{case}");
        }
        let offered = |id: &str| {
            let case = run.cases.iter().find(|case| case.scenario == id).unwrap();
            case.launches[0].rounds[0].load.counts.offered
        };
        // One process's schedule: the seed fixes the arrivals of Poisson, and all parts together have exactly the others'.
        assert_eq!(offered("constant"), 400);
        let users = run.cases.iter().find(|case| case.scenario == "arriving").unwrap();
        assert_eq!(
            users.launches[0].rounds[0].load.users.map(|users| users.arrived),
            Some(80)
        );
        assert_eq!(users.launches[0].rounds[0].load.counts.done, 400);
        let poisson = offered("poisson");
        assert!((320..480).contains(&poisson), "{poisson}");
    }
    bench.assert_empty_within(Duration::from_secs(10));
}

pub(crate) fn scripts_run_in_pods() {
    let bench = Bench::new("scripts");
    let ended = bench.run(&["--load-pods", "2", "scripted"]);
    assert_eq!(ended.status, Some(0));
    let run = bench.record();
    let (_, round) = rounds(&run)[0];
    assert_eq!(round.load.connections.wanted, 8, "the users of both pods");
    assert!(round.load.counts.done > 100 && round.load.steps[0].latency.histogram.len() > 100);
    assert!(round.pods.as_ref().unwrap().pods.iter().all(|pod| pod.done > 0));
}

/// Runs one case of two pods with an environment variable in the load pods.
fn planted(variable: &str) -> RunRecord {
    let bench = Bench::new("planted");
    let output = bench
        .command(&["--load-pods", "2", "closed/threads"])
        .env("WSGIBENCH_TEST_LOAD_POD_ENV", variable)
        .output()
        .unwrap();
    crate::bench::ended(&[variable], &output);
    bench.record()
}

pub(crate) fn planted_clock_offset_is_corrected() {
    let run = planted("1:WSGIBENCH_TEST_CLOCK_OFFSET_MS=50");
    let (_, round) = rounds(&run)[0];
    let pods = round.pods.as_ref().unwrap();
    assert!(pods.start_skew_ns + pods.start_skew_bound_ns < 10_000_000, "{pods:?}");
    assert!(!checks(round).contains(&"start_skew"));
}

pub(crate) fn planted_delay_makes_a_round_invalid() {
    let run = planted("1:WSGIBENCH_TEST_START_DELAY_MS=50");
    let (_, round) = rounds(&run)[0];
    let pods = round.pods.as_ref().unwrap();
    // The other pod may itself start 10 ms late, the largest valid skew.
    assert!(pods.start_skew_ns >= 40_000_000, "{pods:?}");
    assert_eq!(round.validity.level, ValidityLevel::Invalid);
    assert!(checks(round).contains(&"start_skew"));
}

pub(crate) fn killed_pod_makes_a_round_invalid_by_name() {
    let bench = Bench::new("killed");
    let arguments = [
        "--load-pods",
        "2",
        "--launches",
        "2",
        "--measurement-time",
        "8",
        "closed/threads",
    ];
    let mut child = bench.start_until(&arguments, "server", 1);
    std::thread::sleep(Duration::from_secs(4));
    let victim = bench.running("load").pop().expect("a load pod runs");
    bench.kubectl(&["delete", &victim, "--grace-period=0", "--force", "--wait=false"]);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let run = bench.record();
    let rounds = rounds(&run);
    assert_eq!(rounds.len(), 2, "the run goes on with the next launch");
    let (_, lost) = rounds[0];
    let name = victim.trim_start_matches("pod/");
    assert_eq!(lost.validity.level, ValidityLevel::Invalid);
    assert_eq!(lost.pods.as_ref().unwrap().lost, [name]);
    assert!(lost.validity.findings.iter().any(|finding| finding.text.contains(name)));
    assert!(rounds[1].1.pods.as_ref().unwrap().lost.is_empty());
}
