//! Answers for clear, single-launch, doubtful, empty and compared runs.

use super::*;
use crate::{
    report::{fixture, ranking::rankings},
    store::record::CaseOutcome,
};

fn answers(run: &RunRecord) -> Answers {
    let figures: Vec<Figures> = run.cases.iter().map(Figures::of).collect();
    let comparison = Comparison::of(run).map(Result::unwrap);
    of_run(run, &figures, &rankings(run, &figures), comparison.as_ref())
}

#[test]
fn clear_leader_is_named_with_its_interval_and_a_valid_run_becomes_a_baseline() {
    let found = answers(&fixture::mixed());
    assert_eq!(found.best, "granian serves the most requests");
    assert!(
        found.figure.starts_with("shop with 32 connections: 9,"),
        "{}",
        found.figure
    );
    assert!(
        found.figure.contains("requests/s, 95 % interval 8,"),
        "{}",
        found.figure
    );
    assert_eq!(
        found.confidence,
        "granian is ahead of all 3 others. Behind, 2 servers share ranks. Intervals: 95 % over 6 launches."
    );
    assert_eq!((found.validity.level, found.validity.reasons.len()), ("valid", 0));
    assert_eq!(found.next.command, "cargo bench -- --save-baseline main");
}

#[test]
fn single_launch_establishes_no_difference() {
    let mut run = fixture::mixed();
    for case in &mut run.cases {
        case.launches.truncate(1);
    }
    run.profile.name = "ci".into();
    let found = answers(&run);
    assert_eq!(found.best, "granian is ahead, in a single launch");
    assert!(found.confidence.contains("no difference is established"));
    assert_eq!(found.next.command, "cargo bench -- --profile ci --launches 6");
    let mut run = fixture::mixed();
    run.cases[3].launches.truncate(1);
    let found = answers(&run);
    assert!(
        found
            .confidence
            .ends_with("over up to 6 launches; a single launch has none."),
        "{}",
        found.confidence
    );
}

#[test]
fn validity_reasons_begin_with_those_of_the_leader() {
    let mut run = fixture::full();
    let found = answers(&run);
    assert_eq!(found.best, "bjoern leads all 3 loads");
    assert_eq!(found.validity.level, "suspect");
    assert_eq!(
        found.validity.summary,
        "16 of 20 cases are valid; 1 suspect, 1 invalid, 2 not measured."
    );
    assert!(found.validity.reasons[0].starts_with("ping/uwsgi/c64 is suspect: The load engine was 83 % busy"));
    let leader = run.cases.iter_mut().find(|case| case.id == "ping/bjoern/c256").unwrap();
    leader
        .validity
        .add(fixture::finding("steal", ValidityLevel::Suspect, &"stolen ".repeat(90)));
    let found = answers(&run);
    assert!(found.validity.reasons[0].starts_with("ping/bjoern/c256 is suspect: stolen"));
    assert!(
        found
            .validity
            .reasons
            .iter()
            .all(|reason| reason.chars().count() <= REASON + 1)
    );
    assert_eq!(
        found.next.why,
        "Fix the reasons under Validity, then measure the 4 cases again:"
    );
    assert_eq!(found.next.command, "cargo bench");
    run.interrupted = true;
    assert_eq!(answers(&run).next.command, "cargo bench -- --resume");
}

#[test]
fn run_without_figures_has_no_best_server() {
    let mut run = fixture::full();
    run.cases.retain(|case| case.server == "wsgiref");
    let found = answers(&run);
    assert_eq!(
        (found.best.as_str(), found.validity.level),
        ("No valid measurements", "invalid")
    );
    run.cases[0].outcome = CaseOutcome::NotAvailable("no compiler".into());
    assert_eq!(answers(&run).next.command, "wsgibench doctor");
    run.cases.clear();
    assert_eq!(answers(&run).best, "The run has no cases");
}

#[test]
fn best_of_a_comparison_is_its_verdict() {
    let mut run = fixture::compared();
    let found = answers(&run);
    assert_eq!(found.best, "Regression against origin/main (1234abc)");
    assert_eq!(
        found.figure,
        "ping/gunicorn_gthread/c64: server CPU per request +8.30 %, 90 % interval +7.30 % to +9.50 %."
    );
    assert_eq!(
        found.next.command,
        "cargo bench -- --against origin/main --exact ping/gunicorn_gthread/c64"
    );
    let file = run.comparison.as_mut().unwrap();
    file["verdict"] = "pass".into();
    assert_eq!(answers(&run).best, "Pass: no regression against origin/main (1234abc)");
    let file = run.comparison.as_mut().unwrap();
    file["verdict"] = "advisory".into();
    file["against"] = "gunicorn_gthread".into();
    let found = answers(&run);
    assert_eq!(found.best, "1 worse, 1 better than gunicorn_gthread");
    assert!(
        found
            .next
            .command
            .starts_with("cargo bench -- --versus gunicorn_gthread --exact ")
    );
}

#[test]
fn lists_and_names_are_shortened() {
    assert_eq!(list(&["a"]), "a");
    assert_eq!(list(&["a", "b"]), "a and b");
    assert_eq!(list(&["a", "b", "c"]), "a, b and c");
    assert_eq!(list(&["a", "b", "c", "d", "e"]), "a, b, c and 2 more");
    assert_eq!(short(&"n".repeat(300)).chars().count(), NAME);
}
