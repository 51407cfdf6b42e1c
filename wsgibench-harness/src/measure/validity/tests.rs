use std::time::Duration;

use super::*;
use crate::load::ErrorKind;

fn good() -> RoundResult {
    let mut load = RoundResult::default();
    load.seconds = 1.0;
    load.counts.offered = 10_064;
    load.counts.done = 10_000;
    load.counts.censored = 64;
    load.connections.wanted = 64;
    load.connections.established = 64;
    load.connections.served = 64;
    load.connections.jain = 1.0;
    for _ in 0..10_000 {
        load.service_time.record(Duration::from_micros(6_400));
    }
    load
}

fn checks(load: &RoundResult, context: &RoundContext) -> (ValidityLevel, Vec<String>) {
    let validity = judge(load, context);
    (validity.level, validity.findings.into_iter().map(|f| f.check).collect())
}

#[test]
fn a_good_round_is_valid() {
    assert_eq!(
        checks(&good(), &RoundContext::default()),
        (ValidityLevel::Valid, vec![])
    );
}

#[test]
fn each_rule_has_a_separate_finding() {
    type Spoil = fn(&mut RoundResult, &mut RoundContext);
    let cases: [(&str, ValidityLevel, Spoil); 10] = [
        ("ceiling", Invalid, |_, a| {
            a.ceiling = Some(Ceiling {
                requests_per_second: 10_500.0,
                engine_cpu_us_per_request: 5.0,
            });
        }),
        ("engine_busy", Invalid, |l, _| l.engine_busy_share = 0.99),
        ("connections", Invalid, |l, _| l.connections.established = 10),
        ("served", Invalid, |l, _| l.connections.served = 10),
        ("fairness", Suspect, |l, _| l.connections.jain = 0.3),
        ("ports", Invalid, |_, a| a.time_wait = 27_000),
        ("errors", Invalid, |l, _| {
            l.counts.failed = 1_000;
            l.errors = vec![(ErrorKind::ReadReset, 1_000)];
        }),
        ("run_queue_delay", Invalid, |l, _| l.run_queue_delay_seconds = 0.5),
        ("neighbour", Invalid, |_, a| a.neighbour_share = 0.9),
        ("path", Suspect, |_, a| a.published_port = true),
    ];
    for (check, level, spoil) in cases {
        let (mut load, mut context) = (good(), RoundContext::default());
        spoil(&mut load, &mut context);
        assert_eq!(checks(&load, &context), (level, vec![check.to_owned()]), "{check}");
    }
}

#[test]
fn findings_name_busy_processes_and_an_exceeded_ceiling() {
    let text = |context: &RoundContext| judge(&good(), context).findings[0].text.clone();
    let busy = RoundContext {
        neighbour_share: 0.9,
        neighbours: vec!["cargo (7) 81 % of a CPU".to_owned()],
        ..RoundContext::default()
    };
    assert!(
        text(&busy).ends_with("(busiest: cargo (7) 81 % of a CPU)"),
        "{}",
        text(&busy)
    );
    let ceiling = |requests_per_second| RoundContext {
        ceiling: Some(Ceiling {
            requests_per_second,
            engine_cpu_us_per_request: 5.0,
        }),
        ..RoundContext::default()
    };
    assert!(
        text(&ceiling(9_000.0)).contains("faster now"),
        "{}",
        text(&ceiling(9_000.0))
    );
    assert!(!text(&ceiling(10_500.0)).contains("faster now"));
}

#[test]
fn ten_connections_served_and_the_rest_starved_breaks_littles_law() {
    // The study's CherryPy: 4,090/s x 2.44 ms are ten connections, independent of the number requested.
    let mut load = good();
    load.connections.wanted = 1_000;
    load.connections.established = 1_000;
    load.connections.served = 10;
    let (level, found) = checks(&load, &RoundContext::default());
    assert_eq!(level, Invalid);
    assert_eq!(found, ["served", "littles_law"]);
}

#[test]
fn pausing_users_may_have_fewer_connections_unless_connecting_failed() {
    let scripted = RoundContext {
        scripted: true,
        ..RoundContext::default()
    };
    // A server that closes after each response, and users who pause: few connections at a time, most of them idle.
    let mut load = good();
    load.connections.established = 3;
    load.service_time = crate::load::Latency::new();
    load.service_time.record(Duration::from_micros(200));
    assert_eq!(checks(&load, &scripted), (ValidityLevel::Valid, vec![]));
    load.errors = vec![(ErrorKind::ConnectTimeout, 1)];
    assert_eq!(checks(&load, &scripted), (Invalid, vec!["connections".to_owned()]));
}

#[test]
fn early_users_may_have_sent_more_requests() {
    let mut load = good();
    load.connections.jain = 0.7;
    let users = RoundContext {
        model: LoadModel::Users,
        ..RoundContext::default()
    };
    assert_eq!(checks(&load, &users), (ValidityLevel::Valid, vec![]));
    let connections = RoundContext::default();
    assert_eq!(checks(&load, &connections), (Suspect, vec!["fairness".to_owned()]));
}

#[test]
fn littles_law_counts_whole_scripts() {
    let scripted = RoundContext {
        scripted: true,
        ..RoundContext::default()
    };
    let with_scripts = |time: Duration| {
        let mut load = good();
        let mut latency = crate::load::Latency::new();
        for _ in 0..6_400 {
            latency.record(time);
        }
        let mut step = crate::load::Step::new(WHOLE_SCRIPT);
        step.latency = latency;
        load.steps = vec![step];
        load
    };
    // 64 users, 6,400 scripts of 10 ms in a second.
    let sound = with_scripts(Duration::from_millis(10));
    assert_eq!(checks(&sound, &scripted), (ValidityLevel::Valid, vec![]));
    let starved = with_scripts(Duration::from_millis(2));
    assert_eq!(checks(&starved, &scripted), (Suspect, vec!["littles_law".to_owned()]));
}

#[test]
fn client_lag_is_attributed_to_the_load_generator() {
    let mut load = good();
    load.offered_rate = Some(10_000.0);
    for _ in 0..1_000 {
        load.client_lag.record(Duration::from_millis(20));
    }
    let context = RoundContext {
        model: LoadModel::Open,
        ..RoundContext::default()
    };
    assert_eq!(checks(&load, &context), (Invalid, vec!["client_lag".to_owned()]));
}

#[test]
fn one_invalid_round_makes_a_case_suspect_and_a_majority_invalid() {
    let fine = Validity::default();
    let mut bad = Validity::default();
    bad.add(Finding {
        check: "errors".to_owned(),
        level: Invalid,
        value: 1.0,
        threshold: 0.05,
        text: String::new(),
    });
    assert_eq!(of_case([&fine, &fine, &bad]).level, Suspect);
    assert_eq!(of_case([&fine, &bad, &bad]).level, Invalid);
    assert_eq!(of_case([&fine, &fine]).level, ValidityLevel::Valid);
}

#[test]
fn round_throttled_by_a_cpu_quota_of_the_harness_is_invalid() {
    let context = RoundContext {
        own_throttled: 0.02,
        ..RoundContext::default()
    };
    let validity = judge(&RoundResult::default(), &context);
    let finding = validity
        .findings
        .iter()
        .find(|finding| finding.check == "throttled")
        .unwrap();
    assert_eq!(finding.level, ValidityLevel::Invalid);
}
