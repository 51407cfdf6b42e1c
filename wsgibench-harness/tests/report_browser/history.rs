//! The history of a baseline.

use wsgibench_harness::{
    report::{figures::Figures, html, units},
    stats::Metric,
    store::BaselineRun,
};

use crate::{
    browser::{Report, both_themes},
    report_fixture as fixture,
};

pub(crate) fn a_baselines_history_is_told_and_drawn() {
    let run = fixture::full();
    let kept: Vec<BaselineRun> = (1..=3)
        .map(|day| {
            let mut kept = BaselineRun::of(&run, |run, id| {
                let case = run.cases.iter().find(|c| c.id == id).unwrap();
                let figures = Figures::of(case);
                let launches = figures.launches.iter();
                launches
                    .map(|(metric, values)| {
                        let values = values.iter().map(|(_, v)| v * (1.0 + f64::from(day) / 100.0)).collect();
                        (metric.id().to_owned(), values)
                    })
                    .collect()
            });
            kept.run = format!("2026110{day}T100000-0000");
            kept.started = format!("2026-11-0{day}T10:00:00Z");
            if day == 1 {
                kept.fingerprint.kernel = "5.10".into();
            }
            kept
        })
        .collect();
    let made_of = html::Page {
        runs: &[&run],
        baseline: Some(html::Baseline {
            name: "main",
            runs: &kept,
        }),
        missing: &["one <b>thing</b>".to_owned()],
        ..html::Page::default()
    };
    let page = Report::open_page(&made_of, 1280);
    let row = page.eval("return document.querySelector('[data-history=\"ping/bjoern/c64\"]').textContent");
    let case = run.cases.iter().find(|c| c.id == "ping/bjoern/c64").unwrap();
    let mean = Figures::of(case).metrics[&Metric::Throughput].mean.point;
    for day in 0..=3 {
        let text = units::rate(mean * (1.0 + f64::from(day) / 100.0));
        assert!(row.as_str().unwrap().contains(&text), "{text} is not in {row}");
    }
    let points = page.eval(
        "const o = wsgibench.chart('baseline-ping-c64-throughput').getOption(); \
         return o.series.find((s) => s.type === 'line' && s.name === 'bjoern').data.length",
    );
    assert_eq!(points, 4);
    let text = page.eval("return document.body.innerText");
    let text = text.as_str().unwrap();
    assert!(text.contains("kernel: 5.10 then") && text.contains("one <b>thing</b>"));
    both_themes(&page, "baseline", 1280);
}
