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
         [...document.querySelectorAll('#ping-throughput .tools button')].find((b) => b.title === 'bjoern').focus()",
    );
    assert_eq!(page.eval(selected), true);
    page.tab.press_key(" ").unwrap();
    assert_eq!(page.eval(selected), false);
    assert_eq!(
        page.eval("return document.activeElement.getAttribute('aria-pressed')"),
        "false"
    );
    page.eval("document.querySelector('#ping-throughput .scale').click()");
    assert_eq!(page.eval(selected), false, "a change of scale brings it back");
    let axis = page.eval("return wsgibench.chart('ping-throughput').getOption().yAxis[0].type");
    assert_eq!(axis, "value");
    page.eval(
        "[...document.querySelectorAll('#ping-throughput .tools button')].find((b) => b.title === 'bjoern').click()",
    );
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
    for width in [1280, 390] {
        let page = Report::open(&[&fixture::full(), &fixture::compared()], width);
        both_themes(&page, &format!("axe-{width}"), width);
    }
}
