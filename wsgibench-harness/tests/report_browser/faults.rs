//! Faults, endurance, conformance and footprint.

use serde_json::{Value, json};
use wsgibench_harness::{
    report::{
        endurance::{self, Growth},
        faults, footprint, html, range, units,
    },
    store::record::{CaseOutcome, RunRecord},
};

use crate::{
    browser::{DRAW_ALL, Report, both_themes},
    report_fixture as fixture,
};

fn open(run: &RunRecord) -> Report {
    open_at(run, [1280, 390]).next().unwrap().1
}

fn open_at(run: &RunRecord, widths: [u32; 2]) -> impl Iterator<Item = (u32, Report)> + use<> {
    let made_of = html::Page {
        runs: &[run],
        conformance: Some(&fixture::examined()),
        ..html::Page::default()
    };
    Report::open_page_at(&made_of, widths)
}

/// A run with faults and endurance results.
fn everything() -> RunRecord {
    let mut run = fixture::faulty();
    run.cases.extend(fixture::enduring().cases);
    run
}

pub(crate) fn faults_are_those_of_the_record_and_never_ranked() {
    let run = fixture::faulty();
    let page = open(&run);
    let shown = page.eval(
        "return Object.fromEntries([...document.querySelectorAll('table.faults tr[data-case]')].map((row) => [row.dataset.case, \
         Object.fromEntries([...row.querySelectorAll('[data-figure]')].map((cell) => [cell.dataset.figure, cell.textContent]))]))",
    );
    let ranked =
        page.eval("return [...document.querySelectorAll('table.ranking tr[data-case]')].map((r) => r.dataset.case)");
    assert_eq!(
        ranked,
        json!(["ping/gunicorn_gthread/c16"]),
        "only the case without a fault"
    );
    // The same record as read from disk.
    let read: RunRecord = serde_json::from_slice(&serde_json::to_vec(&run).unwrap()).unwrap();
    let mut seen = 0;
    for case in read.cases.iter().filter(|case| !case.load.faults.is_empty()) {
        let row = &shown[&case.id];
        let rounds: Vec<_> = case.launches.iter().flat_map(|l| &l.rounds).collect();
        let done: Vec<_> = rounds
            .iter()
            .flat_map(|round| &round.faults)
            .filter(|fault| !fault.told.starts_with("not done"))
            .collect();
        if done.is_empty() {
            let dashes = ["lost", "recovered", "usual"].map(|figure| row[figure].as_str().unwrap());
            assert_eq!(dashes, ["–"; 3], "{}: a zero for what was not done", case.id);
            let wanted = match &case.outcome {
                CaseOutcome::Unsupported(why) => format!("unsupported{why}"),
                _ => "not doneno worker process found (2 of 2 launches)".to_owned(),
            };
            assert_eq!(row["course"], wanted, "{}", case.id);
            continue;
        }
        seen += 1;
        let mut lost: Vec<u64> = done.iter().map(|fault| fault.recovery.requests_lost).collect();
        lost.sort_unstable();
        let middle = units::grouped(lost[lost.len() / 2]);
        assert!(row["lost"].as_str().unwrap().starts_with(&middle), "{}: {row}", case.id);
        let never = done
            .iter()
            .filter(|fault| fault.recovery.recovered_after_seconds.is_none());
        assert_eq!(
            row["recovered"].as_str().unwrap().contains("not within 12.0 s"),
            never.count() > 0,
            "{}: {row}",
            case.id
        );
        let figures = &faults::of_case(case)[0];
        assert_eq!(row["recovered"], figures.recovered_text(), "{}", case.id);
        assert_eq!(row["usual"], figures.usual.unwrap().text(units::rate), "{}", case.id);
    }
    assert_eq!(seen, 5);
    assert_eq!(shown["worker_killed/bjoern/c16"]["course"], "the server exited");
    assert_eq!(shown["worker_killed/uwsgi/c16"]["course"], "recovered in 2 of 3");
    page.eval(DRAW_ALL);
    page.quiet();
}

pub(crate) fn the_timeline_dips_where_the_fault_is_marked() {
    let run = fixture::faulty();
    let page = open(&run);
    let drawn = page.eval(
        "const id = [...document.querySelectorAll('[data-chart]')].map((c) => c.dataset.chart).find((id) => \
           id.startsWith('fault-worker') && id.endsWith('-answers')); \
         const o = wsgibench.chart(id).getOption(); \
         const marks = o.series.flatMap((s) => (s.markLine ? s.markLine.data.map((d) => d.xAxis) : [])); \
         const line = o.series.find((s) => s.type === 'line' && s.name === 'gunicorn_gthread').data.map((d) => d.value); \
         const texts = [...document.querySelectorAll(`#${CSS.escape(id)} svg text`)].map((t) => t.textContent); \
         return {marks, line, texts, about: document.querySelector(`#${CSS.escape(id)} figcaption`).textContent}",
    );
    assert_eq!(drawn["marks"], json!([3.004]));
    let at = |seconds: f64| {
        let points = drawn["line"].as_array().unwrap().iter();
        let value = |p: &Value, axis: usize| p[axis].as_f64().unwrap();
        points
            .filter(|p| (value(p, 0) - seconds).abs() < 1e-9)
            .map(|p| value(p, 1))
            .next()
            .unwrap()
    };
    // Down for 0.5, 0.2 and 0.8 s after 3.0: three, two, one and none of the launches.
    for (seconds, share) in [(2.9, 1.0), (3.0, 0.0), (3.3, 1.0 / 3.0), (3.6, 2.0 / 3.0), (3.9, 1.0)] {
        assert!(
            (at(seconds) - 4_000.0 * share).abs() < 50.0,
            "{seconds} s: {}",
            at(seconds)
        );
    }
    assert!(
        drawn["texts"].as_array().unwrap().contains(&json!("worker killed")),
        "{}",
        drawn["texts"]
    );
    assert!(
        drawn["about"]
            .as_str()
            .unwrap()
            .contains("Marked: worker killed at 3.0 s."),
        "{}",
        drawn["about"]
    );
    page.quiet();
}

pub(crate) fn a_deviation_leads_by_keyboard_to_its_reason() {
    let run = fixture::faulty();
    let page = open(&run);
    let record = fixture::examined();
    let servers = page.eval(
        "return [...document.querySelectorAll('table.conformance thead th')].slice(1).map((th) => th.textContent)",
    );
    assert_eq!(
        servers,
        json!(["gunicorn_gthread", "uwsgi", "bjoern", fixture::SCRIPT]),
        "those of the run, in its order"
    );
    let shown = page.eval(
        "return Object.fromEntries([...document.querySelectorAll('table.conformance tr[data-rule]')].map((row) => \
         [row.dataset.rule, [...row.querySelectorAll('td')].map((td) => td.textContent.trim())]))",
    );
    assert_eq!(shown.as_object().unwrap().len(), record.rules.len());
    for rule in &record.rules {
        for (column, name) in servers.as_array().unwrap().iter().enumerate() {
            let server = record
                .servers
                .iter()
                .find(|server| server.name == name.as_str().unwrap())
                .unwrap();
            let cell = shown[&rule.id][column].as_str().unwrap();
            match server.finding(&rule.id) {
                // A symbol and a word, readable without colour.
                Some(finding) => assert!(cell.ends_with(finding.verdict.name()) && cell.len() > 5, "{cell}"),
                None => assert_eq!(cell, "–"),
            }
        }
    }
    page.eval("document.querySelector('tr[data-rule=head] td.bad a').focus()");
    page.tab.press_key("Enter").unwrap();
    let at = page.eval(
        "const sight = () => { const box = document.activeElement.getBoundingClientRect(); return box.top >= 0 && box.bottom <= innerHeight; }; \
         for (let i = 0; i < 30 && !(document.activeElement.matches('dt') && sight()); i++) await new Promise((r) => setTimeout(r, 100)); \
         const e = document.activeElement; return [e.textContent.trim(), e.nextElementSibling?.textContent, sight()]",
    );
    assert!(
        at[0].as_str().unwrap().contains("fail") && at[0].as_str().unwrap().contains("head"),
        "{at}"
    );
    assert!(
        at[1]
            .as_str()
            .unwrap()
            .contains("sends 2 bytes of body: `OK`</td><script>"),
        "{at}"
    );
    assert_eq!(at[2], true, "it is in sight: {at}");
    let barred = page.eval("return document.querySelector('tr[data-server=bjoern]').textContent");
    let barred = barred.as_str().unwrap();
    assert!(
        barred.contains("chunked requests") && barred.contains("HEAD"),
        "{barred}"
    );
    assert!(
        barred.contains("examined with server 26.0, in this run 27.0.1"),
        "{barred}"
    );
    page.quiet();
}

pub(crate) fn endurance_and_footprint_are_those_of_the_record() {
    let run = fixture::enduring();
    let page = open(&run);
    let cells = |table: &str| {
        page.eval(&format!(
            "return [...document.querySelectorAll('#{table} tbody tr')].map((row) => [...row.cells].map((c) => c.textContent))"
        ))
    };
    let case = |scenario: &str| run.cases.iter().find(|case| case.scenario == scenario).unwrap();
    let capacity = endurance::capacity(case("burst")).unwrap();
    let rows = cells("capacity");
    assert_eq!(rows[0][1], units::rate(capacity.per_second.median));
    assert_eq!(rows[0][2], "4,000 to 4,300");
    let rows = cells("bursts");
    let burst = endurance::burst(case("burst")).unwrap();
    assert_eq!(rows[0][1], "5.0 s in 10 of 12 rounds, else not within 9.0 s");
    assert_eq!(rows[0][3], units::time(burst.worst_ns.median));
    assert_eq!(rows[0][4], range::count(3.0));
    assert_eq!(
        cells("slow-clients")[0],
        json!([
            "slow_readers/gunicorn_gthread/c16",
            "40 slow readers of /download",
            "38",
            "40",
            "1,201",
            "2",
            "7"
        ])
    );
    let rows = cells("memory-growth");
    assert_eq!(
        (rows[0][1].as_str(), rows[1][1].as_str()),
        (Some("memory grows"), Some("no significant memory growth"))
    );
    let slope = case("soak").launches[0].rounds[1].memory_growth.unwrap();
    assert_eq!(rows[1][2], Growth::a_minute(slope.per_second));
    assert_eq!(
        rows[1][3],
        format!("{} to {}", Growth::a_minute(slope.low), Growth::a_minute(slope.high))
    );
    let footprint = footprint::of_run(&run);
    assert_eq!(cells("footprints")[0], json!(footprint[0].cells()));
    assert!(footprint[0].at_rest.is_some());
    page.quiet();
}

pub(crate) fn faults_are_accessible_in_both_themes_wide_and_narrow() {
    for (width, page) in open_at(&everything(), [1400, 390]) {
        page.eval("document.querySelectorAll('#faults .canvas').forEach((c) => wsgibench.chart(c.dataset.chart))");
        for section in ["faults", "endurance", "conformance", "footprint"] {
            page.shot_of(&format!("#{section}"), &format!("{section}-{width}"));
        }
        both_themes(&page, &format!("faults-{width}"), width);
        assert_eq!(page.eval("return window.owned ?? null"), Value::Null);
        assert_eq!(page.eval("return document.querySelectorAll('script').length"), 3);
        page.quiet();
    }
}
