//! Tests of the embedded data and of the sections on faults, conformance and endurance.

use super::*;
use crate::{
    counts::attribution::{Attribution, FunctionChange},
    report::{comparison::Comparison, figures::Figures, fixture},
    store::record::{CaseOutcome, RunRecord},
};

#[test]
fn embedded_json_is_escaped_and_round_trips() {
    let text = "</script><!--\u{2028}& <b>";
    let json = serde_json::to_string(text).unwrap();
    let safe = for_script(&json);
    assert!(!safe.contains(['<', '>', '&', '\u{2028}']));
    assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), text);
}

#[test]
fn embedded_assets_cannot_end_their_element() {
    for script in [SCRIPT, CHARTS] {
        assert!(!script.contains("</script"));
    }
    assert!(!STYLE.contains("</style"));
}

fn of_faults(run: &RunRecord) -> Vec<faults::Group> {
    let figures: Vec<Figures> = run.cases.iter().map(Figures::of).collect();
    faults::of(run, &figures)
}

#[test]
fn faults_as_they_are_shown() {
    insta::assert_json_snapshot!(of_faults(&fixture::faulty()));
}

#[test]
fn faults_without_results_have_no_figures() {
    let mut run = fixture::faulty();
    run.cases
        .retain(|case| case.scenario == "reload" && case.server == "bjoern");
    for (outcome, word) in [
        (CaseOutcome::Unsupported("no signal".into()), "unsupported"),
        (CaseOutcome::NotAvailable("no compiler".into()), "not available here"),
        (CaseOutcome::Failed("no start".into()), "failed"),
        (CaseOutcome::Planned, "not run"),
    ] {
        run.cases[0].outcome = outcome;
        let shown = serde_json::to_value(of_faults(&run)).unwrap();
        let row = &shown[0]["rows"][0];
        assert_eq!(row["course"], word);
        for figure in ["lost", "recovered", "usual", "lowest"] {
            assert_eq!(row[figure], "–", "{word}: {figure}");
        }
        assert_eq!(shown[0]["launches"], serde_json::Value::Null);
        assert_eq!(shown[0]["timeline"], serde_json::json!([]));
    }
}

#[test]
fn unknown_fault_is_shown_by_name() {
    let mut run = fixture::faulty();
    run.cases.retain(|case| case.server == "uwsgi");
    for round in run.cases[0].launches.iter_mut().flat_map(|launch| &mut launch.rounds) {
        let mut second = round.faults[0].clone();
        second.action = "network cut".into();
        second.recovery.watched_seconds = 0.0;
        second.recovery.recovered_after_seconds = None;
        round.faults.push(second);
        round.pulses.clear();
    }
    let shown = serde_json::to_value(of_faults(&run)).unwrap();
    let row = &shown[0]["rows"][1];
    assert_eq!(
        (row["fault"].as_str(), row["course"].as_str()),
        (Some("network cut"), Some("not recovered"))
    );
    assert_eq!(row["recovered"], "not observed for long enough");
    // Records without counts in tenths fall back to seconds.
    let charts = shown[0]["timeline"].as_array().unwrap();
    let ids: Vec<&str> = charts.iter().map(|chart| chart["id"].as_str().unwrap()).collect();
    assert!(
        ids[0].starts_with("fault-worker-killed-") && ids[0].ends_with("-rate"),
        "{ids:?}"
    );
    assert_eq!(charts[0]["marks"][1]["text"], "network cut");
}

#[test]
fn conformance_as_it_is_shown() {
    let run = fixture::faulty();
    let mut record = fixture::examined();
    let wanted = ["chunked-body", "head", "expect-continue", "wsgi-no-delay"];
    record.rules.retain(|rule| wanted.contains(&rule.id.as_str()));
    for server in &mut record.servers {
        server
            .findings
            .retain(|finding| wanted.contains(&finding.rule.as_str()));
    }
    insta::assert_json_snapshot!(conformance::of(&record, &run).unwrap());
    record.servers.retain(|server| server.name == "elsewhere");
    assert!(
        conformance::of(&record, &run).is_none(),
        "nobody of this run was examined"
    );
}

#[test]
fn endurance_and_footprint_as_they_are_shown() {
    let run = fixture::enduring();
    insta::assert_json_snapshot!((endurance::of(&run), endurance::footprint(&run)));
    let nothing = fixture::run(Vec::new());
    assert_eq!(endurance::of(&nothing), []);
    assert_eq!(endurance::footprint(&nothing), None);
}

#[test]
fn waits_as_they_are_shown() {
    let run = fixture::waiting();
    insta::assert_json_snapshot!(waits::of(&run));
    let page = render(&Page {
        runs: &[&run],
        ..Page::default()
    })
    .unwrap();
    assert!(page.contains("&lt;not&gt; visible") && page.contains("Accept queue over time"));
    assert_eq!(waits::of(&fixture::run(Vec::new())), None);
}

#[test]
fn counts_and_attribution_as_they_are_shown() {
    let mut run = fixture::counted();
    let change = |function: &str, change: f64| FunctionChange {
        function: function.into(),
        file: "libpython3.11.so".into(),
        base: 500.0,
        candidate: 500.0 + change,
        change,
    };
    let attribution = Attribution {
        libraries: vec![change("", 75.0)],
        functions: vec![change("PyObject_Str", 60.0), change("PyLong_New", 15.0)],
    };
    let comparison = Comparison {
        attribution: [("ping/bjoern/c64".to_owned(), attribution)].into(),
        ..Comparison::default()
    };
    insta::assert_json_snapshot!(counts::of(&run, Some(&comparison)));
    let page = render(&Page {
        runs: &[&run],
        ..Page::default()
    })
    .unwrap();
    assert!(page.contains("id=\"counts\"") && page.contains("href=\"#counts\""));
    run.cases.clear();
    assert_eq!(counts::of(&run, None), []);
}

#[test]
fn empty_sections_are_omitted() {
    let run = fixture::full();
    let page = render(&Page {
        runs: &[&run],
        ..Page::default()
    })
    .unwrap();
    for section in ["counts", "faults", "endurance", "conformance"] {
        assert!(!page.contains(&format!("id=\"{section}\"")), "{section}");
        assert!(!page.contains(&format!("href=\"#{section}\"")), "{section}");
    }
    assert!(page.contains("id=\"footprint\""));
}
