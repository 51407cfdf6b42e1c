//! Runs with faults, slow clients and conformance results.

use std::{collections::BTreeMap, time::Duration};

use wsgibench_harness::{
    conformance::{Finding, RuleOutcome},
    load::{Fault, Load, get},
    stats::Slope,
    store::{
        ConformanceRecord, ServerConformance,
        record::{
            BurstRecord, CaseOutcome, CaseRecord, FaultRecord, Recovery, RoundRecord, RunRecord, Sample, SlowRecord,
            ValidityLevel,
        },
    },
};

use super::{SCRIPT, Shape, case, finding, run, shape};

/// Effects of one fault in one launch.
#[derive(Clone, Copy)]
struct Felt {
    lost: u64,
    after: Option<f64>,
}

fn felt(lost: u64, after: Option<f64>) -> Felt {
    Felt { lost, after }
}

/// Returns a case of 16 connections with these effects of a fault at 3 s of 15 s.
fn case_with_fault(scenario: &str, server: &str, fault: &Fault, launches: &[Felt]) -> CaseRecord {
    let rate = 4_000.0;
    let count = u32::try_from(launches.len()).unwrap();
    let mut case = case(
        scenario,
        server,
        16,
        Shape {
            launches: count,
            rounds: 1,
            ..shape(rate)
        },
    );
    case.description = format!("The {scenario} of a server under load.");
    case.load = Load::closed(16)
        .duration(Duration::from_secs(15))
        .request(get("/").expect_status(200))
        .fault(fault.clone());
    for (launch, felt) in case.launches.iter_mut().zip(launches) {
        for round in &mut launch.rounds {
            degrade(round, &fault.action.name(), rate, *felt);
        }
    }
    case
}

fn degrade(round: &mut RoundRecord, action: &str, rate: f64, Felt { lost, after }: Felt) {
    let (at, length) = (3.0, 15.0);
    let down = at..at + after.unwrap_or(length);
    let (mut done, mut errors) = (0.0, 0);
    round.pulses = vec![Sample::default()];
    for tenth in 1..=150 {
        let now = f64::from(tenth) / 10.0;
        if down.contains(&(now - 0.05)) {
            errors = lost;
        } else {
            done += rate / 10.0;
        }
        round.pulses.push(Sample {
            at: now,
            done: done as u64,
            errors,
            retried: 0,
        });
    }
    round.load.counts.failed = lost;
    round.load.errors = vec![(wsgibench_harness::load::ErrorKind::ReadReset, lost)];
    round
        .metrics
        .retain(|name, _| name == "error_share" || name == "peak_memory");
    round.faults = vec![FaultRecord {
        action: action.into(),
        at_seconds: at + 0.004,
        took_seconds: 0.02,
        told: "process 17 was killed".into(),
        recovery: Recovery {
            usual_per_second: rate,
            lowest_per_second: if lost == 0 { 3_900.0 } else { 0.0 },
            requests_lost: lost,
            requests_sent_again: 0,
            recovered_after_seconds: after,
            watched_seconds: length - at,
        },
        ..FaultRecord::default()
    }];
}

/// Returns cases with faults that recovered, partly recovered, did not recover or failed, and one without faults.
pub(crate) fn faulty() -> RunRecord {
    let kill = Fault::kill_worker().after(Duration::from_secs(3));
    let reload = Fault::reload().after(Duration::from_secs(3));
    let raise = Fault::harmful_requests("/raise?why=<b>&times=1", 50).after(Duration::from_secs(3));
    let killed = |server: &str, launches: &[Felt]| case_with_fault("worker_killed", server, &kill, launches);
    let recovered = killed(
        "gunicorn_gthread",
        &[felt(9, Some(0.5)), felt(4, Some(0.2)), felt(16, Some(0.8))],
    );
    let partly = killed("uwsgi", &[felt(1, Some(0.8)), felt(2_048, None), felt(1, Some(0.8))]);
    let mut ended = killed("bjoern", &[felt(1_234, None)]);
    ended.launches[0].rounds[0].faults[0].server_ended = true;
    let mut undone = killed("granian", &[felt(0, Some(0.0)), felt(0, Some(0.0))]);
    for launch in &mut undone.launches {
        launch.rounds[0].faults[0].told = "not done: no worker process found".into();
    }
    let reloaded = case_with_fault("reload", "gunicorn_gthread", &reload, &[felt(0, Some(0.0))]);
    let mut cannot = case_with_fault("reload", "bjoern", &reload, &[]);
    cannot.outcome = CaseOutcome::Unsupported("it declares no signal to reload on".into());
    let mut raises = case_with_fault("app_raises", SCRIPT, &raise, &[felt(0, Some(0.1))]);
    raises.validity.add(finding(
        "steal",
        ValidityLevel::Suspect,
        "The hypervisor took 12 % of the time.",
    ));
    let fault = &mut raises.launches[0].rounds[0].faults[0];
    fault.told = "asked 50 times, e.g. <i>/raise</i>".into();
    fault.answers = BTreeMap::from([("500".into(), 48), ("no answer".into(), 2)]);
    fault.memory_kills = 2;
    let plain = case("ping", "gunicorn_gthread", 16, shape(4_100.0));
    run(vec![plain, recovered, partly, ended, undone, reloaded, cannot, raises])
}

/// Returns cases with capacity shares, a burst, slow clients and a long round.
pub(crate) fn enduring() -> RunRecord {
    let mut burst = case("burst", "gunicorn_gthread", 16, shape(900.0));
    for (launch, capacity) in burst
        .launches
        .iter_mut()
        .zip([4_100.0, 4_000.0, 4_300.0].into_iter().cycle())
    {
        for round in &mut launch.rounds {
            round.capacity_per_second = Some(capacity);
            round.burst = Some(BurstRecord {
                from_seconds: 4.0,
                until_seconds: 6.0,
                usual_p99_ns: 2_000_000,
                worst_p99_ns: 1_900_000_000,
                errors: 3,
                recovered_after_seconds: (launch.index != 1).then_some(5.0),
                watched_seconds: 9.0,
            });
        }
    }
    let mut slow = case("slow_readers", "gunicorn_gthread", 16, shape(900.0));
    for round in slow.launches.iter_mut().flat_map(|launch| &mut launch.rounds) {
        round.background_clients = vec![SlowRecord {
            name: "40 slow readers of /download".into(),
            there: 38,
            wanted: 40,
            finished: 1_201,
            sent_away: 2,
            not_let_in: 7,
        }];
    }
    let mut soak = case(
        "soak",
        "gunicorn_gthread",
        16,
        Shape {
            launches: 1,
            rounds: 2,
            ..shape(900.0)
        },
    );
    for (round, low) in soak.launches[0].rounds.iter_mut().zip([262_144.0, -262_144.0]) {
        round.memory_growth = Some(Slope {
            per_second: 1_048_576.0 / 60.0,
            low: low / 60.0,
            high: 2_097_152.0 / 60.0,
            seconds: 120.0,
        });
    }
    run(vec![burst, slow, soak])
}

/// Returns conformance results of some servers of [`faulty`] and of another one.
pub(crate) fn examined() -> ConformanceRecord {
    let mut record = ConformanceRecord::new("docker");
    record.started = "2026-11-20T09:30:00Z".into();
    let rules: Vec<String> = record.rules.iter().map(|rule| rule.id.clone()).collect();
    let mut server = |name: &str, departures: &[(&str, RuleOutcome, &str)]| {
        let findings = rules.iter().map(|rule| {
            let known = departures.iter().find(|(of, ..)| of == rule);
            let (verdict, why) = known.map_or((RuleOutcome::Pass, "as it should be"), |(_, verdict, why)| {
                (*verdict, *why)
            });
            Finding {
                rule: rule.clone(),
                verdict,
                why: why.into(),
            }
        });
        record.servers.push(ServerConformance {
            name: name.into(),
            untuned: false,
            command: vec!["serve".into()],
            versions: BTreeMap::from([("python".into(), "3.11.2".into()), ("server".into(), "26.0".into())]),
            unexamined: None,
            findings: findings.collect(),
        });
    };
    server(
        "gunicorn_gthread",
        &[
            ("expect-continue", RuleOutcome::Tolerated, "answers 100 twice"),
            (
                "wsgi-no-delay",
                RuleOutcome::Skipped,
                "the application has no routes under /conformance/",
            ),
        ],
    );
    server(
        "bjoern",
        &[
            ("chunked-body", RuleOutcome::Refused, "501 <Not Implemented>"),
            ("head", RuleOutcome::Fail, "sends 2 bytes of body: `OK`</td><script>"),
            ("expect-continue", RuleOutcome::Unknown, "now so, now so"),
        ],
    );
    server(SCRIPT, &[]);
    server("elsewhere", &[]);
    record.servers.push(ServerConformance {
        name: "uwsgi".into(),
        untuned: false,
        command: vec![],
        versions: BTreeMap::new(),
        unexamined: Some("not available here: no compiler".into()),
        findings: vec![],
    });
    record
}
