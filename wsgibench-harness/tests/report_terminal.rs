//! The terminal output as shown to users.

mod report_fixture;

use std::{
    io::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

use report_fixture as fixture;
use wsgibench_harness::{
    measure::event::Event,
    report::{
        Listener as _,
        terminal::{Options, Terminal, WIDTH, case_text, run_text},
    },
    store::record::{Notice, RunRecord},
};

/// A writer whose content stays readable after it is dropped.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

fn page(run: &RunRecord) -> String {
    console::set_colors_enabled(false);
    let cases: String = run.cases.iter().map(case_text).collect();
    cases + &run_text(run)
}

fn assert_fits(page: &str) {
    for line in page.lines() {
        assert!(console::measure_text_width(line) <= WIDTH, "wider than {WIDTH}: {line}");
        assert!(!line.contains('\u{1b}'), "an escape sequence got through: {line:?}");
    }
}

#[test]
fn run_with_all_kinds_of_cases() {
    let page = page(&fixture::full());
    assert_fits(&page);
    insta::assert_snapshot!(page);
}

#[test]
fn waits_are_one_line_of_a_case() {
    let page = page(&fixture::waiting());
    assert_fits(&page);
    let cases = &page[..page.find("ranking").unwrap_or(page.len())];
    insta::assert_snapshot!(cases);
}

#[test]
fn scripted_case_shows_steps_and_failures() {
    let page = page(&fixture::scripted());
    assert_fits(&page);
    insta::assert_snapshot!(page);
}

#[test]
fn a_mix_shows_each_of_its_requests() {
    let mut run = fixture::mixed();
    run.cases.truncate(1);
    let few = page(&run);
    assert_fits(&few);
    insta::assert_snapshot!(few);
    for round in run.cases[0].launches.iter_mut().flat_map(|launch| &mut launch.rounds) {
        let request = round.load.requests[0].clone();
        round.load.requests = (0..20)
            .map(|n| {
                let mut request = request.clone();
                request.name = format!("GET /{n}");
                request
            })
            .collect();
    }
    let many = page(&run);
    assert_fits(&many);
    assert!(many.contains("GET /7") && !many.contains("GET /8"), "{many}");
    assert!(many.contains("12 more requests: see the report"), "{many}");
}

#[test]
fn malformed_responses_are_explained_by_the_first_of_them() {
    let mut case = fixture::case("ping", "a", 64, fixture::shape(1_000.0));
    let load = &mut case.launches[0].rounds[0].load;
    load.errors = vec![(wsgibench_harness::load::ErrorKind::Malformed, 3)];
    load.error_samples = vec![(
        wsgibench_harness::load::ErrorKind::Malformed,
        "the status is not a number of three digits; its first line is \"HTTP/1.1 abc\"".into(),
    )];
    load.counts.failed += 3;
    load.counts.offered += 3;
    let page = page(&fixture::run(vec![case]));
    assert_fits(&page);
    let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        page.contains(
            "the first malformed: the status is not a number of three digits; its first line is \"HTTP/1.1 abc\""
        ),
        "{page}"
    );
}

#[test]
fn comparison_shows_case_metric_change_and_interval() {
    console::set_colors_enabled(false);
    let page = run_text(&fixture::compared());
    assert_fits(&page);
    let comparison = page.split("Compared with").nth(1).unwrap();
    insta::assert_snapshot!(comparison);
}

#[test]
fn single_launches_have_neither_intervals_nor_distinct_ranks() {
    let one = fixture::Shape {
        launches: 1,
        rounds: 1,
        ..fixture::shape(1_000.0)
    };
    let page = page(&fixture::run(vec![
        fixture::case("ping", "a", 64, one),
        fixture::case("ping", "b", 64, fixture::Shape { rate: 9_000.0, ..one }),
    ]));
    assert!(page.contains("1 launch, 1 round: no interval"), "{page}");
    assert_eq!(page.matches("1–2").count(), 2, "{page}");
}

#[test]
fn invalid_cases_are_reported_and_not_ranked() {
    let mut run = fixture::full();
    run.cases.retain(|c| c.server == "meinheld" || c.server == "wsgiref");
    let page = page(&run);
    assert!(page.contains("No valid measurements"), "{page}");
    assert!(!page.contains("rank  "), "{page}");
    assert!(page.contains("not ranked: wsgiref invalid: 27,900 of 28,232"), "{page}");
}

#[test]
fn long_names_fit_the_page_width() {
    let long = "n".repeat(300);
    assert_fits(&page(&fixture::run(vec![fixture::case(
        "ping",
        &long,
        64,
        fixture::shape(1_000.0),
    )])));
}

#[test]
fn damaged_comparison_is_reported() {
    let mut run = fixture::full();
    run.comparison = Some(serde_json::json!({"outcomes": 3}));
    assert!(run_text(&run).contains("the comparison in run 20261121T100000-4f2a cannot be read"));
}

/// The events of a small run, in order.
fn events() -> Vec<Event> {
    let run = fixture::run(vec![fixture::case(
        "ping",
        "bjoern",
        64,
        fixture::Shape {
            launches: 1,
            rounds: 1,
            ..fixture::shape(9_000.0)
        },
    )]);
    let case = run.cases[0].clone();
    let launch = case.launches[0].clone();
    let mut broken = launch.clone();
    broken.error = Some("it died: exit status 1".into());
    let id = case.id.clone();
    vec![
        Event::Planned {
            run: run.id.clone(),
            cases: 1,
            launches: 2,
            expected: Duration::from_secs(95),
        },
        Event::Noticed(Notice {
            about: String::new(),
            text: "the servers get 1 CPU".into(),
        }),
        Event::Preparing {
            what: "bjoern".into(),
            text: "building the image".into(),
        },
        Event::Launching {
            case: id.clone(),
            arm: "base".into(),
            number: 1,
            of: 2,
            left: Duration::from_secs(90),
        },
        Event::WarmingUp { case: id.clone() },
        Event::Live {
            case: id.clone(),
            elapsed: Duration::from_secs(1),
            of: Duration::from_secs(2),
            requests_per_second: 9_000.0,
            p99_ns: 1_000_000,
            errors: 0,
            server_cores: 1.0,
        },
        Event::RoundDone {
            case: id.clone(),
            round: Box::new(launch.rounds[0].clone()),
        },
        Event::LaunchDone {
            case: id.clone(),
            launch: Box::new(launch),
        },
        Event::LaunchDone {
            case: id,
            launch: Box::new(broken),
        },
        Event::CaseDone { case: Box::new(case) },
        Event::Finished { run: Box::new(run) },
    ]
}

fn told(options: Options) -> (String, String) {
    told_of(options, events())
}

fn told_of(options: Options, events: Vec<Event>) -> (String, String) {
    console::set_colors_enabled(false);
    console::set_colors_enabled_stderr(false);
    let (out, err) = (Shared::default(), Shared::default());
    let mut terminal = Terminal::to(options, Box::new(out.clone()), Box::new(err.clone()));
    for event in events {
        terminal.on(&event);
    }
    (out.text(), err.text())
}

const PLAIN: Options = Options {
    results: true,
    quiet: false,
    verbose: false,
    interactive: false,
};

#[test]
fn log_output_has_plain_lines() {
    let (out, err) = told(PLAIN);
    assert!(out.starts_with("ping/bjoern/c64\n"), "{out}");
    insta::assert_snapshot!(err);
}

#[test]
fn verbose_output_shows_each_round() {
    let (_, err) = told(Options { verbose: true, ..PLAIN });
    insta::assert_snapshot!(err);
}

#[test]
fn quiet_prints_only_relevant_notices() {
    let (out, err) = told(Options { quiet: true, ..PLAIN });
    assert_eq!(err, "note: the servers get 1 CPU\n");
    assert!(out.contains("thrpt:"), "{out}");
}

#[test]
fn other_formats_leave_standard_output_alone() {
    let (out, err) = told(Options {
        results: false,
        ..PLAIN
    });
    assert_eq!(out, "");
    assert!(err.contains("[1/2] ping/bjoern/c64 (base), 1m 30s left"), "{err}");
}

#[test]
fn comparison_and_report_path_are_printed_once() {
    let run = fixture::compared();
    let verdict = run.comparison.clone().unwrap();
    let events = || {
        vec![
            Event::Compared {
                outcomes: serde_json::from_value(verdict["outcomes"].clone()).unwrap(),
                verdict: Box::new(verdict.clone()),
            },
            Event::Finished {
                run: Box::new(run.clone()),
            },
            Event::Reported {
                path: "target/wsgibench/report/index.html".into(),
            },
        ]
    };
    for results in [true, false] {
        let (out, err) = told_of(Options { results, ..PLAIN }, events());
        let both = format!("{out}{err}");
        assert_eq!(both.matches("Compared with").count(), usize::from(results), "{both}");
        assert_eq!(both.matches("index.html").count(), 1, "{both}");
    }
}

#[test]
fn profile_with_statistics_interval_shows_a_table_per_round() {
    console::set_colors_enabled(false);
    let mut case = fixture::case(
        "kubeup",
        "gevent",
        60,
        fixture::Shape {
            launches: 1,
            rounds: 1,
            ..fixture::shape(9_000.0)
        },
    );
    let round = &mut case.launches[0].rounds[0];
    round.load.seconds = 25.0;
    round.load.series = (0..25_u32)
        .map(|at| {
            serde_json::from_value(serde_json::json!({
                "at": at,
                "done": if at < 20 { 9_000 } else { 0 },
                "errors": u64::from(at == 3),
                "p50_ns": 900_000,
                "p99_ns": 3_000_000,
                "mean_ns": if at < 10 { 1_000_000 } else { 2_000_000 },
                "active": at,
            }))
            .unwrap()
        })
        .collect();
    round.server_series = (0..24_u32)
        .map(|at| wsgibench_harness::store::record::ServerSecond {
            at: f64::from(at),
            cpu_cores: 0.5,
            memory_bytes: 48 << 20,
        })
        .collect();
    let mut run = fixture::run(vec![case]);
    assert!(!run_text(&run).contains("every 10 s"));
    run.profile.statistics_interval = Some(Duration::from_secs(10));
    let page = run_text(&run);
    assert_fits(&page);
    insta::assert_snapshot!(page.split_once("kubeup/gevent/c60, every").unwrap().1);
}

#[test]
fn functions_of_profiled_cases() {
    let page = run_text(&fixture::explained());
    console::set_colors_enabled(false);
    let page = console::strip_ansi_codes(&page).into_owned();
    assert_fits(&page);
    let functions = page.find("shop/gunicorn_gthread/c64: ").expect("the profiled case");
    insta::assert_snapshot!(&page[functions..]);
}
