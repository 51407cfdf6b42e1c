//! The section of profiled functions and its flame graphs.

use crate::{
    browser::{Report, both_themes},
    report_fixture as fixture,
};

const FLAME: &str = "const flame = document.querySelectorAll('.flame')[0]; \
                     flame.scrollIntoView({behavior: 'instant'}); \
                     const until = async (test) => { for (let i = 0; i < 100 && !test(); i++) await new Promise((r) => setTimeout(r, 50)); }; \
                     await until(() => flame.querySelector('svg')); \
                     const labels = () => [...flame.querySelectorAll('.frame')].map((f) => f.getAttribute('aria-label')); \
                     const press = (key) => document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}));";

fn eval(page: &Report, script: &str) -> serde_json::Value {
    page.eval(&format!("{FLAME} {script}"))
}

pub(crate) fn the_table_ranks_the_slower_function_first() {
    let run = fixture::explained();
    let page = Report::open(&[&run], 1280);
    let first = page.eval(
        "const row = document.querySelector('.explained table.functions tbody tr'); \
         return [row.className, ...[...row.cells].slice(0, 3).map((c) => c.textContent)]",
    );
    assert_eq!(first, serde_json::json!(["slower", "1", "serialise", "./views.py:21"]));
    let summary = page.eval("return document.querySelector('.explained p').textContent");
    assert!(
        summary.as_str().unwrap().contains("`serialise` changed most, by +"),
        "{summary}"
    );
    page.quiet();
}

pub(crate) fn flame_graphs_show_both_arms_and_their_difference() {
    let run = fixture::explained();
    let page = Report::open(&[&run], 1280);
    let difference = eval(&page, "return labels()");
    let labels: Vec<&str> = difference
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|l| l.as_str())
        .collect();
    let slower = labels.iter().find(|label| label.starts_with("serialise ")).unwrap();
    assert!(
        slower.contains("base 26.") && slower.contains("candidate 32.") && slower.contains('+'),
        "{slower}"
    );
    // What is slower is orange and marked, what is the same is grey.
    let fills = eval(
        &page,
        "const of = (name) => [...flame.querySelectorAll('.frame')].find((f) => f.getAttribute('aria-label').startsWith(name)); \
         return ['serialise ', 'JSONEncoder.encode '].map((name) => [of(name).querySelector('rect').getAttribute('fill'), of(name).querySelector('text').textContent])",
    );
    assert!(fills[0][1].as_str().unwrap().starts_with("+ serialise"), "{fills}");
    assert_eq!(fills[1][0], "#d9dde3", "{fills}");
    // Names are text and never markup.
    assert!(
        labels.iter().any(|label| label.starts_with(fixture::SCRIPT)),
        "{labels:?}"
    );
    assert_eq!(page.eval("return document.querySelectorAll('.flame script').length"), 0);
    let base = eval(
        &page,
        "flame.querySelector('[data-view=base]').click(); return labels().find((l) => l.startsWith('serialise '))",
    );
    assert!(base.as_str().unwrap().contains("itself 4."), "{base}");
    let waiting = eval(
        &page,
        "flame.querySelector('[data-state=waiting]').click(); return labels().find((l) => l.startsWith('[epoll_wait]'))",
    );
    assert!(waiting.as_str().unwrap().contains("310.00"), "{waiting}");
    eval(
        &page,
        "flame.querySelector('[data-state=running]').click(); flame.querySelector('[data-view=difference]').click()",
    );
    page.shot_of(".explained", "flame-light");
    page.eval("document.getElementById('theme').click()");
    page.shot_of(".explained", "flame-dark");
    eval(&page, "flame.querySelector('[data-view=candidate]').click()");
    page.shot_of(".flame", "flame-candidate-dark");
    page.quiet();
}

pub(crate) fn flame_graphs_zoom_and_search_by_keyboard() {
    let run = fixture::explained();
    let page = Report::open(&[&run], 1280);
    let zoomed = eval(
        &page,
        "flame.querySelector('.frame').focus(); press('ArrowDown'); press('ArrowDown'); press('ArrowDown'); \
         const name = document.activeElement.getAttribute('aria-label'); press('Enter'); \
         const width = document.activeElement.querySelector('rect').getAttribute('width'); \
         const reset = flame.querySelector('[data-reset]').hidden; press('Escape'); \
         return [name, Number(width), flame.querySelector('.graph').clientWidth, reset, flame.querySelector('[data-reset]').hidden]",
    );
    assert!(zoomed[0].as_str().unwrap().starts_with("serialise "), "{zoomed}");
    assert!(
        (zoomed[1].as_f64().unwrap() - zoomed[2].as_f64().unwrap()).abs() < 2.0,
        "{zoomed}"
    );
    assert_eq!(
        (&zoomed[3], &zoomed[4]),
        (&serde_json::json!(false), &serde_json::json!(true))
    );
    let found = eval(
        &page,
        "const search = flame.querySelector('input'); search.value = 'JSON'; search.dispatchEvent(new Event('input')); \
         return [flame.querySelectorAll('.frame.hit').length, flame.querySelector('.status').textContent]",
    );
    assert_eq!(found[0], 1);
    assert!(found[1].as_str().unwrap().contains('%'), "{found}");
    page.quiet();
}

pub(crate) fn functions_are_accessible_in_both_themes_wide_and_narrow() {
    let run = fixture::explained();
    for (width, page) in Report::open_at(&[&run], [1280, 390]) {
        page.eval("document.getElementById('functions').scrollIntoView({behavior: 'instant'}); await new Promise((r) => setTimeout(r, 500));");
        both_themes(&page, &format!("functions-{width}"), width);
    }
}
