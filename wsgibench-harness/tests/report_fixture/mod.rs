//! Synthetic run records that cover all shapes a renderer must handle.
#![allow(dead_code, unused_imports, reason = "each test binary uses its own part")]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "made-up figures, all small and positive"
)]

mod explained;
mod faults;
mod waiting;

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;
use wsgibench_harness::{
    counts::CountRecord,
    declare::{Profile, ServerSpec, Source, Variant},
    load::{ErrorKind, FailedCheck, Latency, Load, RequestResult, RoundResult, Step, get, post, script::WHOLE_SCRIPT},
    store::record::{
        CaseOutcome, CaseRecord, Ceiling, CompanionUsage, Environment, Finding, LaunchRecord, Notice, RoundRecord,
        RunRecord, SCHEMA_VERSION, ServerRecord, ServerSecond, Validity, ValidityLevel,
    },
};

pub(crate) use explained::explained;
pub(crate) use faults::{enduring, examined, faulty};
pub(crate) use waiting::waiting;

/// A server whose name contains markup.
pub(crate) const SCRIPT: &str = "<script>alert(1)</script>";

/// Parameters of a fixture case.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    /// Requests per second of the first launch.
    pub(crate) rate: f64,
    /// Launches.
    pub(crate) launches: u32,
    /// Rounds per launch.
    pub(crate) rounds: u32,
    /// Failed requests per round.
    pub(crate) failed: u64,
    /// Timed-out requests per round.
    pub(crate) timed_out: u64,
}

/// A shape without errors.
pub(crate) fn shape(rate: f64) -> Shape {
    Shape {
        rate,
        launches: 6,
        rounds: 2,
        failed: 0,
        timed_out: 0,
    }
}

/// Returns a deterministic pseudo-random number between -1 and 1.
fn wobble(a: u64, b: u64) -> f64 {
    let mut x = (a.wrapping_mul(0x9e37_79b9_7f4a_7c15)) ^ (b.wrapping_add(1)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^= x >> 31;
    x = x.wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^= x >> 29;
    (x % 20_001) as f64 / 10_000.0 - 1.0
}

fn latency(mean_ns: f64, count: u64, censored: u64) -> Latency {
    let mut latency = Latency::new();
    // Use quantiles of an exponential distribution, so that the shape is smooth with few samples.
    let samples = count.min(400);
    for k in 0..samples {
        let q = (k as f64 + 0.5) / samples as f64;
        let ns = mean_ns * (0.5 - 0.5 * (1.0 - q).ln());
        latency.record(Duration::from_nanos(ns as u64));
    }
    for _ in 0..censored {
        latency.record_censored(Duration::from_secs(30));
    }
    latency
}

pub(crate) fn round(index: u32, rate: f64, connections: u64, shape: Shape, seed: u64) -> RoundRecord {
    let seconds = 2.5;
    let rate = rate * (1.0 + 0.01 * wobble(seed, u64::from(index)));
    let done = (rate * seconds) as u64;
    let mean_ns = connections as f64 / rate * 1e9;
    let response = latency(mean_ns, done, shape.timed_out);
    let empty = serde_json::to_value(Latency::new()).unwrap();
    let series: Vec<_> = (0..3)
        .map(|s| {
            json!({"at": f64::from(s), "done": done / 3, "errors": shape.failed / 3, "p50_ns": (mean_ns * 0.85) as u64,
                   "p99_ns": (mean_ns * 2.8) as u64, "mean_ns": mean_ns as u64, "active": connections})
        })
        .collect();
    let mut errors = Vec::new();
    if shape.failed > 0 {
        errors.push(json!(["read_reset", shape.failed]));
    }
    let load: RoundResult = serde_json::from_value(json!({
        "seconds": seconds,
        "counts": {"offered": done + shape.failed + shape.timed_out + connections, "done": done, "failed": shape.failed,
                   "censored": connections + shape.timed_out, "unsent": 0, "timed_out": shape.timed_out, "retried": 0},
        "errors": errors, "failed_checks": [],
        "response_time": response, "service_time": response,
        "connect_time": empty, "client_lag": empty, "queue_wait": empty,
        "bytes_sent": done * 40, "bytes_received": done * 150,
        "connections": {"wanted": connections, "established": connections, "opened": 0, "served": connections, "jain": 0.98},
        "offered_rate": null, "series": series,
        "engine_cpu_seconds": 1.1, "engine_busy_share": 0.44, "run_queue_delay_seconds": 0.001, "steps": [],
    }))
    .unwrap();
    let cpu = seconds * 0.97;
    let bad = (shape.failed + shape.timed_out) as f64;
    let metrics = BTreeMap::from([
        ("throughput".to_owned(), done as f64 / seconds),
        ("time_per_request".to_owned(), seconds * 1e6 / done.max(1) as f64),
        ("cpu_per_request".to_owned(), cpu * 1e6 / done.max(1) as f64),
        ("p50".to_owned(), load.response_time.quantile(0.5).ns as f64 / 1e3),
        ("p99".to_owned(), load.response_time.quantile(0.99).ns as f64 / 1e3),
        ("peak_memory".to_owned(), 50.0 * 1_048_576.0),
        ("error_share".to_owned(), bad / (done as f64 + bad).max(1.0)),
    ]);
    RoundRecord {
        index,
        load,
        server_cpu_user_seconds: Some(cpu * 0.7),
        server_cpu_system_seconds: Some(cpu * 0.3),
        server_cpu_seconds: Some(cpu),
        throttled_seconds: Some(0.0),
        memory_mean_bytes: Some(48 << 20),
        memory_peak_bytes: Some(50 << 20),
        server_series: (0..3)
            .map(|s| ServerSecond {
                at: f64::from(s),
                cpu_cores: 0.97,
                memory_bytes: 48 << 20,
            })
            .collect(),
        memory_growth: None,
        companions: Vec::new(),
        metrics,
        validity: Validity::default(),
        capacity_per_second: None,
        burst: None,
        background_clients: vec![],
        faults: vec![],
        pulses: vec![],
        waits: None,
        counts: None,
        pods: None,
    }
}

pub(crate) fn case(scenario: &str, server: &str, connections: usize, shape: Shape) -> CaseRecord {
    let id = format!("{scenario}/{server}/c{connections}");
    let seed = id
        .bytes()
        .fold(7_u64, |a, b| a.wrapping_mul(31).wrapping_add(u64::from(b)));
    let launches = (0..shape.launches)
        .map(|index| {
            let rate = shape.rate * (1.0 + 0.03 * wobble(seed, 1_000 + u64::from(index)));
            LaunchRecord {
                index,
                block: index,
                arm: "candidate".into(),
                started: "2026-11-21T10:00:00Z".parse().unwrap(),
                start_up_seconds: Some(0.31),
                address: "172.18.0.2:8000".into(),
                memory_at_rest_bytes: Some(40 << 20),
                rounds: (0..shape.rounds)
                    .map(|r| round(r, rate, connections as u64, shape, seed ^ u64::from(index)))
                    .collect(),
                reference: vec![190_000.0, 189_000.0],
                error: None,
                log: None,
            }
        })
        .collect();
    CaseRecord {
        id,
        scenario: scenario.into(),
        server: server.into(),
        param: format!("c{connections}"),
        values: vec![("connections".into(), connections.to_string())],
        description: "Ping-pong, as both studies have it.".into(),
        load: Load::closed(connections).request(get("/").expect_status(200).expect_body("OK")),
        scripted: false,
        outcome: CaseOutcome::Measured,
        launches,
        validity: Validity::default(),
    }
}

pub(crate) fn server(name: &str) -> ServerRecord {
    let mut spec = ServerSpec::new(name, Source::Folder("images/server".into()));
    spec.description = format!("{name}, as a careful operator would run it.");
    spec.app = Some("app".into());
    spec.command = ["serve", "--bind", "{host}:{port}", "app:application"]
        .map(Into::into)
        .to_vec();
    spec.env = vec![("PYTHONHASHSEED".into(), "0".into())];
    ServerRecord {
        spec,
        image: format!(
            "wsgibench/{}:0f3a",
            name.chars().filter(char::is_ascii_alphanumeric).collect::<String>()
        ),
        image_digest: Some("sha256:4c1f0e".into()),
        image_bytes: Some(210 << 20),
        versions: BTreeMap::from([("python".into(), "3.11.2".into()), ("server".into(), "27.0.1".into())]),
        companions: BTreeMap::new(),
    }
}

/// Returns a run of these cases, with a server for each name in them.
pub(crate) fn run(cases: Vec<CaseRecord>) -> RunRecord {
    let mut names: Vec<&str> = Vec::new();
    for case in &cases {
        if !names.contains(&case.server.as_str()) {
            names.push(&case.server);
        }
    }
    let servers = names.into_iter().map(server).collect();
    RunRecord {
        schema_version: SCHEMA_VERSION,
        harness_version: "0.1.0".into(),
        id: "20261121T100000-4f2a".into(),
        started: "2026-11-21T10:00:00Z".parse().unwrap(),
        finished: Some("2026-11-21T10:08:20Z".parse().unwrap()),
        interrupted: false,
        seed: 42,
        profile: Profile::default(),
        arguments: vec!["--bench".into()],
        environment: Environment {
            sandbox: "docker".into(),
            sandbox_reason: "an engine answers and a base image is at hand".into(),
            engine: Some("Docker 20.10".into()),
            kernel: "6.1.0".into(),
            os: "Debian GNU/Linux 12".into(),
            cpu_model: "Example CPU".into(),
            cpu_count: 2,
            server_cpus: vec![0],
            load_cpus: vec![1],
            governor: None,
            memory_bytes: 24 << 30,
            cgroup: "v1".into(),
            path: "bridge".into(),
            commit: Some("0123abc-dirty".into()),
            extra: BTreeMap::new(),
        },
        notices: vec![Notice {
            about: String::new(),
            text: "3 CPUs were asked for and this machine has 2: the servers get 1".into(),
        }],
        servers,
        cases,
        ceiling: None,
        script_ceiling: None,
        explanation: None,
        tuning: None,
        counted: None,
        thresholds: None,
        comparison: None,
    }
}

/// Returns a run with ties, suspect, invalid, failed and unavailable cases, notes, errors and markup.
pub(crate) fn full() -> RunRecord {
    static FULL: std::sync::OnceLock<RunRecord> = std::sync::OnceLock::new();
    FULL.get_or_init(make_full).clone()
}

fn make_full() -> RunRecord {
    let mut cases = Vec::new();
    for connections in [16, 64, 256] {
        let load = 1.0 + (connections as f64).ln() / 20.0;
        cases.push(case("ping", "bjoern", connections, shape(62_000.0 * load)));
        cases.push(case("ping", "gunicorn_gthread", connections, shape(6_400.0 * load)));
        cases.push(case("ping", "waitress", connections, shape(6_350.0 * load)));
        let degraded = Shape {
            failed: 30,
            timed_out: if connections == 256 { 3 } else { 0 },
            ..shape(3_900.0)
        };
        cases.push(case("ping", "cherrypy", connections, degraded));
        cases.push(case("ping", SCRIPT, connections, shape(1_200.0 * load)));
    }
    let mut suspect = case("ping", "uwsgi", 64, shape(30_000.0));
    suspect.validity.add(finding(
        "engine_busy",
        ValidityLevel::Suspect,
        "The load engine was 83 % busy; give it more CPUs.",
    ));
    let mut invalid = case("ping", "wsgiref", 64, shape(470.0));
    invalid.validity.add(finding(
        "ports",
        ValidityLevel::Invalid,
        "27,900 of 28,232 local ports were used; the figure is the client's.",
    ));
    let mut failed = case(
        "ping",
        "meinheld",
        64,
        Shape {
            launches: 0,
            ..shape(1.0)
        },
    );
    failed.outcome =
        CaseOutcome::Failed("the image does not build: gcc: \u{1b}[31merror\u{1b}[0m: greenlet.h <missing>".into());
    let mut absent = case(
        "ping",
        "mod_wsgi",
        64,
        Shape {
            launches: 0,
            ..shape(1.0)
        },
    );
    absent.outcome = CaseOutcome::NotAvailable("apxs is not installed".into());
    let untuned = case("ping", "gunicorn_default", 64, shape(2_900.0));
    cases.extend([suspect, invalid, failed, absent, untuned]);
    let mut run = run(cases);
    for server in &mut run.servers {
        match server.spec.name.as_str() {
            "gunicorn_default" => server.spec.variant = Variant::Default,
            "bjoern" => server
                .spec
                .notes
                .push("One process: it cannot use a second core.".into()),
            _ => {}
        }
    }
    run
}

pub(crate) fn finding(check: &str, level: ValidityLevel, text: &str) -> Finding {
    Finding {
        check: check.into(),
        level,
        value: 0.83,
        threshold: 0.7,
        text: text.into(),
    }
}

/// Returns a run of one scripted case: steps with figures, a failed check and a script that panicked.
pub(crate) fn scripted() -> RunRecord {
    let mut case = case("sign_in", "gunicorn_gthread", 16, shape(2_400.0));
    case.param = "u16".into();
    case.id = "sign_in/gunicorn_gthread/u16".into();
    case.description = "A visitor who signs in and uploads.".into();
    case.load = Load::closed(16).for_script();
    case.scripted = true;
    for round in case.launches.iter_mut().flat_map(|launch| &mut launch.rounds) {
        let step = |name: &str, ms: f64, count: u64, failed: u64| -> Step {
            let latency = latency(ms * 1e6, count, 0);
            serde_json::from_value(json!({"name": name, "latency": latency, "failed": failed})).unwrap()
        };
        round.companions = vec![CompanionUsage {
            name: "store".into(),
            cpu_seconds: 0.3,
            memory_bytes: 30 << 20,
        }];
        round.load.steps = vec![
            step(WHOLE_SCRIPT, 31.0, 300, 1),
            step("sign in", 2.4, 300, 0),
            step("upload <64 KiB>", 4.9, 300, 3),
            step("never used", 1.0, 0, 0),
        ];
        let check = |name: &str, count: u64, sample: &str| -> FailedCheck {
            serde_json::from_value(json!({"name": name, "count": count, "sample": sample})).unwrap()
        };
        round.load.failed_checks = vec![
            check("status 200", 3, "500 Internal Server Error: <h1>Oops</h1>"),
            check("the script panicked", 1, "index out of bounds"),
        ];
        round.load.counts.failed += 4;
        round.load.counts.offered += 4;
        round.load.errors = vec![(ErrorKind::Status, 3), (ErrorKind::Script, 1)];
    }
    let mut run = run(vec![case]);
    run.script_ceiling = Some(Ceiling {
        requests_per_second: 98_000.0,
        engine_cpu_us_per_request: 9.8,
    });
    run
}

/// Returns a run of one scenario whose requests are a mix, on four servers, two of which cannot be told apart.
pub(crate) fn mixed() -> RunRecord {
    let rates = [
        ("granian", 9_000.0),
        ("gunicorn_gthread", 6_400.0),
        ("waitress", 6_350.0),
        ("uwsgi", 2_100.0),
    ];
    let cases = rates.map(|(server, rate)| {
        let mut case = case("shop", server, 32, shape(rate));
        case.description = "Visitors of a shop: most of them browse, a few buy.".into();
        case.load = Load::closed(32)
            .request(get("/").weight(6))
            .request(get("/books/{id}").weight(3))
            .request(post("/orders").body("{}"));
        for (index, round) in case.launches.iter_mut().flat_map(|l| &mut l.rounds).enumerate() {
            let load = &mut round.load;
            let mean = 32.0 / rate * 1e9 * (1.0 + index as f64 / 200.0);
            let all = load.counts.done;
            let request = |name: &str, done: u64, times: f64| -> RequestResult {
                let latency = latency(mean * times, done, 0);
                serde_json::from_value(json!({"name": name, "done": done, "failed": 0, "latency": latency})).unwrap()
            };
            let (pages, books) = (all * 6 / 10, all * 3 / 10);
            load.requests = vec![
                request("GET /", pages, 0.7),
                request("GET /books/{id}", books, 1.1),
                request("POST /orders", all - pages - books, 2.5),
            ];
        }
        case
    });
    run(cases.into())
}

/// Returns the run with a comparison, as written by `--against`.
pub(crate) fn compared() -> RunRecord {
    let mut run = full();
    let outcome = |case: &str, metric: &str, verdict: &str, change: f64, gated: bool| {
        json!({"case": case, "metric": metric, "gated": gated, "verdict": verdict, "base": 142.0,
            "candidate": 142.0 * (1.0 + change), "change": change,
            "interval": {"low": change - 0.01, "high": change + 0.012, "confidence": 0.9, "method": "student_t"},
            "p": 0.0004, "adjusted_p": 0.002, "margin": {"relative": 0.02}, "mde": 0.014, "spread": 0.011,
            "blocks": 10, "unusable_blocks": 0, "undecided": false, "notes": []})
    };
    run.comparison = Some(json!({
        "version": 1, "run": run.id, "against": "origin/main (1234abc)", "gate": true, "verdict": "regression",
        "exit_status": 3, "ended": "a regression is certain", "missing": [], "unmatched": [],
        "notes": ["0 of 10 blocks were repeated"],
        "outcomes": [
            outcome("ping/gunicorn_gthread/c64", "cpu_per_request", "regression", 0.083, true),
            outcome("ping/gunicorn_gthread/c64", "throughput", "inconclusive", -0.051, false),
            outcome("ping/bjoern/c64", "cpu_per_request", "equivalent", 0.001, true),
            outcome("ping/bjoern/c64", "p99", "improvement", -0.2, false),
        ],
    }));
    run
}

/// Returns `count` cases of many servers, with one launch of one round each.
pub(crate) fn many(count: usize) -> RunRecord {
    let one = Shape {
        launches: 2,
        rounds: 1,
        ..shape(0.0)
    };
    let cases = (0..count)
        .map(|i| {
            let connections = [16, 64, 256, 1024][i % 4];
            let rate = 1_000.0 + 37.0 * (i / 4) as f64;
            case(
                &format!("scenario_{}", i / 40),
                &format!("server_{}", i / 4 % 10),
                connections,
                Shape { rate, ..one },
            )
        })
        .collect();
    run(cases)
}

/// A counted run: one server whose counts agree and one whose launches scatter.
pub(crate) fn counted() -> RunRecord {
    let mut run = run(["bjoern", "granian"]
        .map(|server| case("ping", server, 64, shape(100.0)))
        .into());
    for (case, (instructions, scatter)) in run.cases.iter_mut().zip([(15_140.0, 1e-4), (45_000.0, 0.03)]) {
        for (index, launch) in case.launches.iter_mut().enumerate() {
            launch.rounds.truncate(1);
            let count = instructions * (1.0 + scatter * wobble(index as u64, 7));
            launch.rounds[0].metrics = BTreeMap::from([
                ("instructions_per_request".to_owned(), count),
                ("syscalls_per_request".to_owned(), 6.0),
            ]);
            launch.rounds[0].counts = Some(Box::new(CountRecord {
                requests: [30, 300],
                instructions: count,
                system_calls: 10.5,
                timing_dependent_calls: 4.5,
                bytes_sent: 41.0,
                bytes_received: 90.0,
                background_instructions_per_second: 8_500.0,
                processes: 1,
                system_calls_by_name: [("clock_gettime", 4.0), ("epoll_wait", 2.0), ("futex", 0.5)]
                    .map(|(name, calls)| (name.to_owned(), calls))
                    .into(),
                ..CountRecord::default()
            }));
        }
    }
    run
}
