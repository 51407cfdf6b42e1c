//! The page shows the figures of the record and makes them accessible.

use serde_json::Value;
use wsgibench_harness::{
    report::{figures::Figures, units},
    stats::Metric,
    store::record::RunRecord,
};

use crate::{
    browser::{DRAW_ALL, Report, both_themes},
    report_fixture as fixture,
};

pub(crate) fn the_figures_shown_are_those_of_the_record() {
    let run = fixture::compared();
    let page = Report::open(&[&run], 1280);
    let shown = page.eval(
        "return Object.fromEntries([...document.querySelectorAll('table.ranking tr[data-case]')].map((row) => \
         [row.dataset.case, [row.querySelector('[data-figure=by]').textContent, row.querySelector('[data-figure=cpu]').textContent]]))",
    );
    // The same record as read from disk.
    let read: RunRecord = serde_json::from_slice(&serde_json::to_vec(&run).unwrap()).unwrap();
    let mut ranked = 0;
    for case in &read.cases {
        let figures = Figures::of(case);
        if !figures.ranked() {
            assert_eq!(shown[&case.id], Value::Null, "{} must not be ranked", case.id);
            continue;
        }
        ranked += 1;
        let of = |metric: Metric| units::metric(metric, figures.metrics[&metric].mean.point);
        assert_eq!(shown[&case.id][0], of(Metric::Throughput), "{}", case.id);
        assert_eq!(shown[&case.id][1], of(Metric::CpuPerRequest), "{}", case.id);
        // Charts draw the same number to six figures.
        let drawn = page.eval(&format!(
            "const s = wsgibench.chart('ping-throughput').getOption().series.find((s) => s.type === 'line' && s.name === {}); \
             return s.data.find((d) => d.value[0] === {}).value[1]",
            serde_json::to_string(&case.server).unwrap(),
            case.values[0].1
        ));
        let mean = figures.metrics[&Metric::Throughput].mean.point;
        assert!(
            (drawn.as_f64().unwrap() / mean - 1.0).abs() < 1e-5,
            "{}: {drawn} {mean}",
            case.id
        );
    }
    assert!(ranked > 10);
    page.eval(DRAW_ALL);
    page.quiet();
    page.shot("wide-light");
}

pub(crate) fn hovering_tells_the_value_and_its_interval() {
    let run = fixture::full();
    let page = Report::open(&[&run], 1280);
    let at = page.eval(
        "const chart = wsgibench.chart('ping-throughput'); \
         document.querySelector('#ping-throughput').scrollIntoView({behavior: 'instant', block: 'center'}); \
         await new Promise((r) => setTimeout(r, 300)); \
         const box = document.querySelector('[data-chart=ping-throughput]').getBoundingClientRect(); \
         const s = chart.getOption().series.findIndex((s) => s.type === 'line' && s.name === 'uwsgi'); \
         const [x, y] = chart.convertToPixel({seriesIndex: s}, chart.getOption().series[s].data[0].value.slice(0, 2)); \
         return [box.x + x, box.y + y]",
    );
    let point = headless_chrome::browser::tab::point::Point {
        x: at[0].as_f64().unwrap(),
        y: at[1].as_f64().unwrap(),
    };
    page.tab.move_mouse_to_point(point).unwrap();
    let tip =
        page.eval("await new Promise((r) => setTimeout(r, 600)); return document.querySelector('.tip')?.textContent");
    let tip = tip.as_str().expect("a tooltip is shown");
    let case = run.cases.iter().find(|c| c.server == "uwsgi").unwrap();
    let mean = Figures::of(case).metrics[&Metric::Throughput].mean.point;
    assert!(tip.contains("uwsgi") && tip.contains(&units::rate(mean)), "{tip}");
    assert!(tip.contains("95 % interval") && tip.contains("83 % busy"), "{tip}");
    page.quiet();
    page.shot("hover");
}

pub(crate) fn a_series_goes_and_comes_by_keyboard_and_stays_gone_when_redrawn() {
    let page = Report::open(&[&fixture::full()], 1280);
    let selected = "return wsgibench.chart('ping-throughput').getOption().legend[0].selected['bjoern'] ?? true";
    page.eval(
        "wsgibench.chart('ping-throughput'); \
         wsgibench.chart('ping-cpu'); \
         [...document.querySelectorAll('#legend button')].find((b) => b.title === 'bjoern').focus()",
    );
    assert_eq!(page.eval(selected), true);
    page.tab.press_key(" ").unwrap();
    assert_eq!(page.eval(selected), false);
    // One legend serves the whole page: the charts drawn before and those drawn from now on.
    for other in ["ping-cpu", "ping-p99"] {
        let selected = selected.replace("ping-throughput", other);
        assert_eq!(page.eval(&selected), false, "{other}");
    }
    assert_eq!(
        page.eval("return document.activeElement.getAttribute('aria-pressed')"),
        "false"
    );
    page.eval("document.querySelector('#ping-throughput .scale').click()");
    assert_eq!(page.eval(selected), false, "a change of scale brings it back");
    let axis = page.eval("return wsgibench.chart('ping-throughput').getOption().yAxis[0].type");
    assert_eq!(axis, "value");
    page.eval("[...document.querySelectorAll('#legend button')].find((b) => b.title === 'bjoern').click()");
    assert_eq!(page.eval(selected), true);
    page.quiet();
}

pub(crate) fn the_table_under_a_chart_has_its_figures() {
    let run = fixture::full();
    let page = Report::open(&[&run], 1280);
    let text = page.eval(
        "const d = document.querySelector('#ping-throughput details.data'); d.open = true; \
         await new Promise((r) => setTimeout(r, 200)); return d.querySelector('table').innerText",
    );
    let text = text.as_str().unwrap();
    for case in &run.cases {
        let figures = Figures::of(case);
        if figures.ranked() {
            let mean = figures.metrics[&Metric::Throughput].mean.point;
            assert!(
                text.contains(&format!("{} req/s", units::rate(mean))),
                "{}: {text}",
                case.id
            );
        }
    }
    page.quiet();
}

pub(crate) fn the_theme_switches_and_both_are_accessible() {
    for (width, page) in Report::open_at(&[&fixture::full(), &fixture::compared()], [1280, 390]) {
        both_themes(&page, &format!("axe-{width}"), width);
    }
}

pub(crate) fn the_first_screen_has_the_answers() {
    let valid = fixture::mixed();
    let tied = {
        let mut run = fixture::mixed();
        run.cases
            .retain(|case| case.server == "gunicorn_gthread" || case.server == "waitress");
        run
    };
    let several = fixture::full();
    let compared = fixture::compared();
    for (run, best, confidence, validity, next) in [
        (
            &valid,
            "granian serves the most requests",
            "granian is ahead of all 3 others",
            "All 4 cases passed every check",
            "cargo bench -- --save-baseline main",
        ),
        (
            &tied,
            "waitress and gunicorn_gthread lead together",
            "waitress and gunicorn_gthread cannot be told apart",
            "All 2 cases passed every check",
            "cargo bench -- --launches 12 --scenario shop --server waitress --server gunicorn_gthread",
        ),
        (
            &several,
            "bjoern leads all 3 loads",
            "First place is clear in 3 of 3 loads",
            "wsgiref/c64 is invalid: 27,900 of 28,232 local ports were used",
            "cargo bench -- --exact ping/uwsgi/c64 ping/wsgiref/c64 ping/meinheld/c64",
        ),
        (
            &compared,
            "Regression against origin/main (1234abc)",
            "3 of 4 comparisons are decided, over 10 blocks",
            "16 of 20 cases are valid",
            "cargo bench -- --against origin/main --exact ping/gunicorn_gthread/c64",
        ),
    ] {
        for (width, page) in Report::open_at(&[run], [1280, 390]) {
            let bottom = if width < 600 { 1_400 } else { 800 };
            for (answer, text) in [
                ("best", best),
                ("confidence", confidence),
                ("validity", validity),
                ("next", next),
            ] {
                let shown = page.eval(&format!(
                    "const e = document.querySelector('[data-answer={answer}]'), box = e.getBoundingClientRect(); \
                     const small = [e, ...e.querySelectorAll('*')].map((x) => parseFloat(getComputedStyle(x).fontSize)); \
                     return [e.innerText.replaceAll('\\u00a0', ' '), box.bottom, box.right, e.scrollWidth > e.clientWidth, Math.min(...small)]"
                ));
                assert!(shown[0].as_str().unwrap().contains(text), "{width}, {answer}: {shown}");
                assert!(
                    shown[1].as_f64().unwrap() <= f64::from(bottom),
                    "{width}, {answer}: {shown}"
                );
                assert!(
                    shown[2].as_f64().unwrap() <= f64::from(width),
                    "{width}, {answer}: {shown}"
                );
                assert_eq!(shown[3], false, "{width}, {answer} is cut: {shown}");
                assert!(
                    shown[4].as_f64().unwrap() >= 11.5,
                    "{width}, {answer} is too small: {shown}"
                );
            }
            // The command is copied as one line.
            let command = page.eval("return document.querySelector('[data-answer=next] pre').textContent");
            assert_eq!(command, next);
            let first = page.eval(
                "const t = document.querySelector('#ranking table'); return t.getBoundingClientRect().top < innerHeight",
            );
            assert!(
                width < 600 || first == true || run.comparison.is_some(),
                "no ranking on the first screen"
            );
            page.fits("the first screen");
            page.quiet();
            page.shot_of("#summary", &format!("first-{width}-{}", run.cases.len()));
        }
    }
}

pub(crate) fn names_stand_at_the_points_and_no_text_is_rotated() {
    for (run, plot) in [
        (fixture::mixed(), "shop-throughput"),
        (fixture::full(), "ping-launches"),
    ] {
        for (width, page) in Report::open_at(&[&run], [1280, 390]) {
            page.eval(DRAW_ALL);
            let rotated = page.eval(
                "return [...document.querySelectorAll('.canvas svg text')].filter((t) => { const m = t.getScreenCTM(); \
                 return Math.abs(m.b) > 1e-6 || Math.abs(m.c) > 1e-6; }).map((t) => t.textContent)",
            );
            assert_eq!(rotated, serde_json::json!([]));
            let keys = page.eval(
                "return [document.querySelectorAll('.chart button:not(.scale)').length, document.querySelectorAll('.legend-bar').length]",
            );
            assert_eq!(keys, serde_json::json!([0, 1]), "one legend, and none in a chart");
            // Each name is within its plot, next to the dots of its row, from the best to the worst.
            let rows = page.eval(&format!(
                "const canvas = document.querySelector('[data-chart={plot}]'), chart = wsgibench.chart('{plot}'); \
                 const names = chart.getOption().yAxis[0].data, box = canvas.getBoundingClientRect(); \
                 return names.map((name, row) => {{ \
                   const y = box.y + chart.convertToPixel({{yAxisIndex: 0}}, row); \
                   return [name, [...canvas.querySelectorAll('text')].some((t) => {{ \
                     const text = t.textContent.replace('…', ''), at = t.getBoundingClientRect(); \
                     return text.length > 2 && name.startsWith(text) && Math.abs((at.top + at.bottom) / 2 - y) < 6 \
                       && at.left >= box.left && at.right <= box.right + 1; }})]; }})"
            ));
            let rows = rows.as_array().unwrap();
            assert!(rows.len() >= 4, "{rows:?}");
            for row in rows {
                assert_eq!(row[1], true, "{plot}, {width}: {row}");
            }
            page.quiet();
        }
    }
}

pub(crate) fn each_request_of_a_mix_has_its_figures() {
    let run = fixture::mixed();
    let page = Report::open(&[&run], 1280);
    let rows = page.eval(
        "return [...document.querySelectorAll('#shop-requests tbody tr')].map((r) => [...r.cells].map((c) => c.textContent))",
    );
    let mut at = 0;
    for case in &run.cases {
        for request in &Figures::of(case).requests {
            let row = &rows[at];
            at += 1;
            assert_eq!(
                (row[0].as_str(), row[1].as_str()),
                (Some(case.id.as_str()), Some(request.result.name.as_str()))
            );
            assert_eq!(row[2], units::grouped(request.result.done));
            assert_eq!(row[4], units::time(request.p50.as_ref().unwrap().mean.point));
            assert_eq!(row[5], units::time(request.p99.as_ref().unwrap().mean.point));
        }
    }
    assert_eq!(at, 12);
    let drawn = page.eval(
        "return [...document.querySelectorAll('figcaption h3')].map((h) => h.textContent).filter((t) => t.startsWith('p99 of '))",
    );
    assert_eq!(
        drawn,
        serde_json::json!([
            "p99 of GET /, c32",
            "p99 of GET /books/{id}, c32",
            "p99 of POST /orders, c32"
        ])
    );
    page.quiet();
}
