//! The page opens for any run and any texts, small or large.

use serde_json::Value;

use crate::{
    browser::{DRAW_ALL, Report, opening},
    report_fixture as fixture,
};

pub(crate) fn markup_in_names_and_logs_stays_text() {
    let mut run = fixture::full();
    run.cases[0].description = "</script><script>window.owned = 1</script>".into();
    run.notices[0].text = "<img src=http://127.0.0.1:9/x onerror='window.owned = 1'>".into();
    run.servers[0].spec.command = vec!["\"><script>window.owned = 1</script>".into()];
    let page = Report::open(&[&run], 1280);
    page.eval(DRAW_ALL);
    assert_eq!(page.eval("return window.owned"), Value::Null);
    assert_eq!(page.eval("return document.images.length"), 0);
    assert_eq!(page.eval("return document.querySelectorAll('script').length"), 3);
    let text = page.eval("return document.body.innerText");
    assert!(text.as_str().unwrap().contains(fixture::SCRIPT));
    page.quiet();
}

pub(crate) fn whatever_a_run_left_the_page_opens_without_an_error() {
    let nothing = {
        let mut run = fixture::full();
        run.cases.retain(|c| c.server == "wsgiref" || c.server == "meinheld");
        run
    };
    let one = fixture::run(vec![fixture::case(
        "ping",
        "a",
        64,
        fixture::Shape {
            launches: 1,
            rounds: 1,
            ..fixture::shape(100.0)
        },
    )]);
    let long = fixture::run(vec![
        fixture::case("ping", &"n".repeat(300), 64, fixture::shape(100.0)),
        fixture::case(&"s".repeat(300), &"n".repeat(300), 64, fixture::shape(100.0)),
    ]);
    let empty = fixture::run(Vec::new());
    let mut without = fixture::full();
    for round in without
        .cases
        .iter_mut()
        .flat_map(|c| &mut c.launches)
        .flat_map(|l| &mut l.rounds)
    {
        round.load.response_time = wsgibench_harness::load::Latency::new();
        round.load.series.clear();
    }
    for (name, run, charts) in [
        ("nothing", nothing, 0..=0),
        ("one", one, 6..=20),
        ("long", long, 6..=40),
        ("empty", empty, 0..=0),
        ("without-histograms", without, 6..=20),
    ] {
        let page = Report::open(&[&run], 390);
        page.eval(DRAW_ALL);
        let found = page
            .eval("return document.querySelectorAll('.canvas').length")
            .as_u64()
            .unwrap();
        assert!(charts.contains(&found), "{name}: {found} charts");
        let empty = page
            .eval("return [...document.querySelectorAll('.canvas')].filter((c) => !c.querySelector('path')).length");
        assert_eq!(empty, 0, "{name}: an empty chart");
        page.fits(name);
        if name == "without-histograms" {
            let text = page.eval("return document.body.innerText");
            let text = text.as_str().unwrap();
            assert!(text.contains("Rounds without histogram: ping/bjoern/c16"), "{name}");
            assert!(text.contains("Rounds without per-second figures"), "{name}");
        }
        if name == "one" {
            let text = page.eval("return document.body.innerText");
            assert!(text.as_str().unwrap().contains("one launch: none"));
        }
        if name == "nothing" {
            let text = page.eval("return document.body.innerText");
            assert!(text.as_str().unwrap().contains("This run has no valid measurements"));
        }
        page.quiet();
        page.shot(name);
    }
}

pub(crate) fn reports_open_small_and_large() {
    for (cases, most) in [(10, 5 << 20), (1_000, 12 << 20)] {
        let run = fixture::many(cases);
        let page = Report::open(&[&run], 1280);
        // Loading time depends on the machine, so it is only printed (`--nocapture`).
        let (painted, loaded, bytes) = opening(&page);
        eprintln!("{cases} cases: {bytes} bytes, first paint after {painted:.0} ms, loaded after {loaded:.0} ms");
        assert!(bytes < most, "{cases} cases: {bytes} bytes");
        let rows = page.eval("return document.querySelectorAll('table.cases tr[data-case]').length");
        assert_eq!(rows, cases);
        page.quiet();
    }
}

pub(crate) fn a_thousand_servers_in_one_chart_open() {
    let one = fixture::Shape {
        launches: 1,
        rounds: 1,
        ..fixture::shape(900.0)
    };
    let cases = (0..1_000)
        .map(|i| fixture::case("ping", &format!("server_{i}"), 64, one))
        .collect();
    let page = Report::open(&[&fixture::run(cases)], 390);
    page.eval("wsgibench.chart('ping-throughput')");
    page.fits("a thousand servers");
    page.quiet();
}
