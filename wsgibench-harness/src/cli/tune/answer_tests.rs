use serde_json::{Value, json};

use super::*;
use crate::{
    cli::samples,
    declare::{Setting, Work},
    load::{Load, get},
    stats::{Direction, Threshold, elimination::Rules},
    store::{record::CaseOutcome, samples as records, tuning::Goal},
};

/// A planted setting: threads, throughput and memory, MiB.
type Planted = (usize, f64, f64);

const SETTINGS: [Planted; 4] = [
    (1, 100.0, 30.0),
    (4, 400.0, 32.0),
    (16, 1_600.0, 40.0),
    (64, 1_600.0, 80.0),
];

fn id(threads: usize) -> String {
    format!("sleep/app@threads={threads}/c64")
}

fn plan(planted: &[Planted], threshold: &str, present: usize) -> Plan {
    let load = Load::closed(64).request(get("/"));
    let load = if threshold.is_empty() {
        load
    } else {
        load.threshold(threshold.parse::<Threshold>().unwrap())
    };
    let ids: Vec<String> = planted.iter().map(|(threads, ..)| id(*threads)).collect();
    let works: Vec<(&str, Work)> = ids.iter().map(|id| (id.as_str(), Work::Load(load.clone()))).collect();
    let mut plan = samples::plan(&works);
    for (job, (threads, ..)) in plan.order.jobs.iter_mut().zip(planted) {
        let mut spec = (*job.spec).clone();
        spec.command = [
            "gunicorn",
            "--threads",
            &threads.to_string(),
            "--bind",
            "{host}:{port}",
            "shop app",
        ]
        .map(str::to_owned)
        .to_vec();
        spec.env = vec![("A".into(), "same".into()), ("THREADS".into(), threads.to_string())];
        let setting =
            json!({"function": "app", "values": [["threads", threads.to_string()]], "default": *threads == present});
        spec.setting = Some(Box::new(serde_json::from_value::<Setting>(setting).unwrap()));
        job.case.server = format!("app@threads={threads}");
        job.case.scenario = "sleep".into();
        job.case.param = "c64".into();
        job.spec = spec.into();
    }
    plan
}

/// Returns the run of so many blocks. Launches differ by up to 1 %.
fn run(plan: &Plan, planted: &[Planted], blocks: u32) -> RunRecord {
    let cases: Vec<Value> = planted
        .iter()
        .enumerate()
        .map(|(index, (threads, throughput, memory))| {
            let launches: Vec<Value> = (0..blocks)
                .map(|block| {
                    let phase = (block as usize * 7 + index * 3) % 5;
                    let wobble = 0.005f64.mul_add(f64::from(u32::try_from(phase).unwrap()) - 2.0, 1.0);
                    let mut round = records::round();
                    round.load.seconds = 1.0;
                    round.server_cpu_seconds = Some(0.25);
                    for (name, value) in [
                        ("throughput", throughput * wobble),
                        ("cpu_per_request", 250_000.0 / throughput),
                        ("p99", 64e6 / throughput * wobble),
                        ("peak_memory", memory * 1_048_576.0),
                    ] {
                        round.metrics.insert(name.into(), value);
                    }
                    let mut launch = records::launch(block, CANDIDATE, 0.5, [1.0, 1.0]);
                    launch["rounds"] = json!([round]);
                    launch
                })
                .collect();
            let mut case = records::case(&format!("app@threads={threads}"), &CaseOutcome::Measured, &launches);
            case["id"] = json!(id(*threads));
            case["load"] = json!(plan.cases[index].work.load());
            case
        })
        .collect();
    records::run("20261128T210000-0001", &cases)
}

fn tuning(plan: &Plan, judge_present: bool) -> TunePlan {
    let is_default = |job: &Job| job.spec.setting.as_ref().is_some_and(|setting| setting.default);
    TunePlan {
        goal: Goal::Throughput,
        rules: Rules {
            direction: Direction::HigherIsBetter,
            margin: 0.05,
            most_blocks: 30,
            present: plan.order.jobs.iter().position(is_default),
            judge_present,
        },
        budget: Duration::from_secs(900),
    }
}

fn answer(planted: &[Planted], threshold: &str, present: usize, blocks: u32, gate: bool) -> (TuneRecord, i32) {
    let plan = plan(planted, threshold, present);
    answered(&plan, &run(&plan, planted, blocks), blocks, TuneEnd::Decided, gate)
}

fn answered(plan: &Plan, run: &RunRecord, blocks: u32, end: TuneEnd, gate: bool) -> (TuneRecord, i32) {
    let search = Search {
        end,
        blocks: blocks as usize,
        elapsed: Duration::from_secs(100),
    };
    let (answer, status) = of(run, plan, &tuning(plan, gate), &search, gate);
    (answer, status as i32)
}

fn statuses(answer: &TuneRecord) -> Vec<(&str, TuneStatus)> {
    answer
        .settings
        .iter()
        .map(|setting| (setting.values[0].1.as_str(), setting.status))
        .collect()
}

#[test]
fn the_cheapest_of_the_best_is_recommended_with_its_command_line() {
    let (answer, status) = answer(&SETTINGS, "", 4, 8, false);
    assert_eq!(
        statuses(&answer),
        [
            ("16", TuneStatus::Recommended),
            ("64", TuneStatus::Tied),
            ("4", TuneStatus::Dropped),
            ("1", TuneStatus::Dropped)
        ]
    );
    let recommended = answer.recommended.as_ref().unwrap();
    assert!(recommended.certain);
    assert_eq!(recommended.tied, [id(16), id(64)]);
    assert_eq!(
        recommended.command,
        "THREADS=16 gunicorn --threads 16 --bind 0.0.0.0:8000 'shop app'"
    );
    let present = answer.present.as_ref().unwrap();
    let loss = present.loss.unwrap();
    assert_eq!(
        (present.case.as_str(), present.verdict),
        (id(4).as_str(), PresentVerdict::Worse)
    );
    assert!(loss.low < 0.75 && 0.75 < loss.high && loss.low > 0.6, "{loss:?}");
    assert_eq!((answer.verdict.as_str(), status), ("advisory", 0));
    // 16 threads were tried with more, which were no better.
    assert_eq!(answer.limits.len(), 1, "{:?}", answer.limits);
    assert!(
        answer.limits[0].starts_with("waiting: it used 0.25"),
        "{:?}",
        answer.limits
    );
}

#[test]
fn the_largest_value_tried_is_told_if_it_is_the_best() {
    let (answer, _) = answer(&SETTINGS[..3], "", 4, 8, false);
    assert!(
        answer
            .limits
            .iter()
            .any(|limit| limit.contains("the largest threads tried, 16,")),
        "{:?}",
        answer.limits
    );
}

#[test]
fn a_gate_judges_the_setting_in_use() {
    let gated = |present, blocks| {
        let (answer, status) = answer(&SETTINGS, "", present, blocks, true);
        (answer.verdict, status)
    };
    assert_eq!(gated(4, 8), ("worse".to_owned(), 3));
    assert_eq!(gated(16, 8), ("pass".to_owned(), 0));
    assert_eq!(gated(64, 8), ("pass".to_owned(), 0));
    // Too few launches for a decision.
    assert_eq!(gated(4, 3), ("undecided".to_owned(), 4));
}

#[test]
fn a_setting_in_use_that_breaks_a_threshold_fails_the_gate() {
    // 160 ms, against 40 ms with more threads.
    let (answer, status) = answer(&SETTINGS, "p99<100ms", 4, 10, true);
    assert_eq!((answer.verdict.as_str(), status), ("worse", 3));
    assert_eq!(answer.recommended.unwrap().case, id(16));
    let breaks = |threads: &str| {
        let setting = answer
            .settings
            .iter()
            .find(|setting| setting.values[0].1 == threads)
            .unwrap();
        matches!(
            &setting.dropped,
            Some(Dropped {
                reason: DropReason::Breaks { .. },
                ..
            })
        )
    };
    assert!(breaks("1") && breaks("4") && !breaks("64"));
}

#[test]
fn a_search_that_no_setting_satisfies_recommends_none() {
    let (answer, status) = answer(&SETTINGS, "p99<10ms", 4, 10, false);
    assert_eq!(
        (answer.recommended, answer.verdict.as_str(), status),
        (None, "advisory", 0)
    );
    assert!(answer.settings.iter().all(|setting| setting.dropped.is_some()));
    assert_eq!(answer.settings[0].thresholds[0].threshold, "p99<10ms");
}

#[test]
fn failed_settings_are_dropped_and_only_a_whole_failure_is_one() {
    let plan = plan(&SETTINGS, "", 64);
    let mut record = run(&plan, &SETTINGS, 8);
    let died = "the server exited during the round (killed at its memory limit: raise Limits::memory) without output";
    record.cases[3].outcome = CaseOutcome::Failed(died.into());
    record.cases[3].launches.truncate(2);
    let (answer, status) = answered(&plan, &record, 8, TuneEnd::Decided, false);
    let lost = answer.settings.iter().find(|setting| setting.present).unwrap();
    let dropped = lost.dropped.as_ref().unwrap();
    assert_eq!((dropped.after, status), (2, 0));
    assert_eq!(dropped.reason, DropReason::Failed { text: died.into() });
    assert_eq!(answer.recommended.unwrap().case, id(16));
    // A gate has nothing to judge.
    let (answer, status) = answered(&plan, &record, 8, TuneEnd::Decided, true);
    assert_eq!((answer.verdict.as_str(), status), ("missing", 5));
    for case in &mut record.cases {
        case.outcome = CaseOutcome::Failed("it did not start".into());
        case.launches.clear();
    }
    let (answer, status) = answered(&plan, &record, 1, TuneEnd::NothingLeft, false);
    assert_eq!((answer.recommended, status), (None, 1));
}

#[test]
fn an_interrupted_search_keeps_the_best_so_far() {
    let plan = plan(&SETTINGS, "", 4);
    let record = run(&plan, &SETTINGS, 3);
    let (answer, status) = answered(&plan, &record, 3, TuneEnd::Interrupted, false);
    assert_eq!((answer.ended, status), (TuneEnd::Interrupted, 130));
    let recommended = answer.recommended.unwrap();
    assert!(!recommended.certain);
    assert!([id(16), id(64)].contains(&recommended.case));
    let nothing = run(&plan, &SETTINGS, 0);
    let (answer, status) = answered(&plan, &nothing, 0, TuneEnd::Interrupted, false);
    assert_eq!((answer.recommended, status), (None, 130));
}

#[test]
fn words_of_a_command_line_are_quoted_for_a_shell() {
    for (word, text) in [
        ("a-b_c", "a-b_c"),
        ("a b", "'a b'"),
        ("it's", r"'it'\''s'"),
        ("", "''"),
        ("$X", "'$X'"),
    ] {
        assert_eq!(quoted(word), text);
    }
}

#[test]
fn the_form_of_tune_json() {
    let planted = [(1, 100.0, 30.0), (16, 1_600.0, 40.0)];
    let plan = plan(&planted, "p99<100ms", 1);
    let (answer, _) = answered(&plan, &run(&plan, &planted, 6), 6, TuneEnd::Decided, true);
    // The last digits depend on the platform's logarithm.
    let mut json = serde_json::to_value(&answer).unwrap();
    round_numbers(&mut json);
    insta::assert_snapshot!(serde_json::to_string_pretty(&json).unwrap());
    let again: TuneRecord = serde_json::from_value(serde_json::to_value(&answer).unwrap()).unwrap();
    assert_eq!(again, answer);
}

/// Rounds all numbers to four significant figures.
fn round_numbers(value: &mut Value) {
    match value {
        Value::Array(all) => all.iter_mut().for_each(round_numbers),
        Value::Object(all) => all.values_mut().for_each(round_numbers),
        Value::Number(number) if number.is_f64() => {
            let exact = number.as_f64().unwrap_or_default();
            *value = json!(format!("{exact:.3e}").parse::<f64>().unwrap());
        }
        _ => {}
    }
}

#[test]
fn reports_show_the_answer() {
    console::set_colors_enabled(false);
    let plan = plan(&SETTINGS, "p99<100ms", 4);
    let mut record = run(&plan, &SETTINGS, 10);
    let (answer, _) = answered(&plan, &record, 10, TuneEnd::Decided, true);
    record.tuning = Some(Box::new(answer));
    let text = crate::report::terminal::run_text(&record);
    for line in text.lines() {
        assert!(
            console::measure_text_width(line) <= crate::report::terminal::WIDTH,
            "{line}"
        );
    }
    insta::assert_snapshot!(text);
    let markdown = crate::report::export::render(crate::report::export::Format::Markdown, &record).unwrap();
    insta::assert_snapshot!(String::from_utf8(markdown).unwrap());
    #[cfg(feature = "junit")]
    {
        let xml = crate::report::export::render(crate::report::export::Format::Junit, &record).unwrap();
        let xml = String::from_utf8(xml).unwrap();
        assert!(
            xml.contains("the present setting is as good as the best") && xml.contains(r#"type="worse""#),
            "{xml}"
        );
    }
    #[cfg(feature = "html")]
    {
        let page = crate::report::html::Page {
            runs: &[&record],
            ..crate::report::html::Page::default()
        };
        let html = crate::report::html::render(&page).unwrap();
        for part in [
            "threads=16 is recommended",
            r#"data-setting="recommended""#,
            r#"data-setting="dropped""#,
            "breaks p99&lt;100ms",
            "gunicorn --threads 16",
        ] {
            assert!(html.contains(part), "{part}");
        }
    }
}

#[test]
fn answers_without_a_certain_setting_say_why() {
    let sentences = |threshold: &str, blocks, end| {
        let plan = plan(&SETTINGS, threshold, 4);
        let (answer, _) = answered(&plan, &run(&plan, &SETTINGS, blocks), blocks, end, false);
        crate::report::tuning::answer(&answer).join(" ")
    };
    let nothing = sentences("p99<10ms", 10, TuneEnd::NothingLeft);
    assert!(nothing.starts_with("No setting meets the thresholds."), "{nothing}");
    // 40 ms is the nearest to 10 ms.
    for part in [
        "threads=16 came nearest: p99<10ms: 39.9",
        "The present setting, threads=4, breaks p99<10ms",
    ] {
        assert!(nothing.contains(part), "{nothing}");
    }
    let interrupted = sentences("", 3, TuneEnd::Interrupted);
    assert!(
        interrupted.contains("not certain") && interrupted.contains("--resume"),
        "{interrupted}"
    );
    let late = sentences("", 3, TuneEnd::Budget);
    assert!(late.contains("a larger --budget"), "{late}");
}
