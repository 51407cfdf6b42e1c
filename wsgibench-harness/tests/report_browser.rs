//! The report in a real browser: what it shows, what a person can do with it, and that it keeps to itself.
//!
//! Needs Chromium (`CHROME` names another than the one on the path). Without one the tests say so and pass; under
//! `WSGIBENCH_REQUIRE_BROWSER=1` they fail.
#![cfg(feature = "html")]

mod report_fixture;

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use headless_chrome::{
    Browser, LaunchOptions, Tab,
    protocol::cdp::{Emulation, Page, types::Event},
};
use report_fixture as fixture;
use serde_json::Value;
use wsgibench_harness::{
    report::{figures::Figures, html, units},
    stats::Metric,
    store::{BaselineRun, Store, record::RunRecord},
};

const AXE: &str = include_str!("assets/axe.min.js");

fn chromium() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("CHROME") {
        return Some(named.into());
    }
    let folders = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];
    std::env::split_paths(&folders)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|path| path.is_file())
}

/// A report open in a browser of its own.
struct Report {
    tab: Arc<Tab>,
    /// Requests other than for the file itself, and errors of the page.
    unwanted: Arc<Mutex<Vec<String>>>,
    path: PathBuf,
    _browser: Browser,
    _folder: tempfile::TempDir,
}

impl Report {
    /// `None` where there is no browser and none is required.
    fn open(runs: &[&RunRecord], width: u32) -> Option<Self> {
        Self::open_page(
            &html::Page {
                runs,
                ..html::Page::default()
            },
            width,
        )
    }

    fn open_page(made_of: &html::Page, width: u32) -> Option<Self> {
        let Some(program) = chromium() else {
            assert!(
                std::env::var_os("WSGIBENCH_REQUIRE_BROWSER").is_none_or(|v| v != "1"),
                "WSGIBENCH_REQUIRE_BROWSER=1, and there is no chromium on the path: apt-get install chromium"
            );
            eprintln!("skipped: no chromium on the path (apt-get install chromium)");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index.html");
        html::write(made_of, &path).unwrap();
        let options = LaunchOptions::default_builder()
            .path(Some(program))
            // A container has no namespaces to build the sandbox of; only our own file is opened.
            .sandbox(false)
            .window_size(Some((width, 900)))
            .idle_browser_timeout(Duration::from_secs(120))
            .args(vec![OsStr::new("--hide-scrollbars"), OsStr::new("--disable-gpu")])
            .build()
            .unwrap();
        let browser = Browser::new(options).expect("chromium starts");
        let tab = browser.new_tab().unwrap();
        let unwanted = Arc::new(Mutex::new(Vec::new()));
        tab.call_method(headless_chrome::protocol::cdp::Network::Enable {
            max_total_buffer_size: None,
            max_resource_buffer_size: None,
            max_post_data_size: None,
            report_direct_socket_traffic: None,
            enable_durable_messages: None,
        })
        .unwrap();
        tab.call_method(Emulation::SetDeviceMetricsOverride {
            width,
            height: 900,
            device_scale_factor: 1.0,
            mobile: width < 600,
            scale: None,
            screen_width: None,
            screen_height: None,
            position_x: None,
            position_y: None,
            dont_set_visible_size: None,
            screen_orientation: None,
            viewport: None,
            display_feature: None,
            device_posture: None,
        })
        .unwrap();
        tab.enable_log().unwrap();
        tab.enable_runtime().unwrap();
        let seen = Arc::clone(&unwanted);
        tab.add_event_listener(Arc::new(move |event: &Event| {
            let text = match event {
                Event::NetworkRequestWillBeSent(e) => {
                    let url = &e.params.request.url;
                    if url.starts_with("file:") || url.starts_with("data:") || url.starts_with("about:") {
                        return;
                    }
                    format!("request: {url}")
                }
                Event::LogEntryAdded(e) => format!("log: {}", e.params.entry.text),
                Event::RuntimeExceptionThrown(e) => format!("exception: {:?}", e.params.exception_details),
                _ => return,
            };
            seen.lock().unwrap().push(text);
        }))
        .unwrap();
        let page = Self {
            tab,
            unwanted,
            path,
            _browser: browser,
            _folder: folder,
        };
        page.go();
        Some(page)
    }

    fn go(&self) {
        self.tab
            .navigate_to(&format!("file://{}", self.path.display()))
            .unwrap()
            .wait_until_navigated()
            .unwrap();
    }

    /// The value of an expression, as JSON; a promise is awaited.
    fn eval(&self, script: &str) -> Value {
        let wrapped = format!("(async () => JSON.stringify(await (async () => {{ {script} }})() ?? null))()");
        let answer = self
            .tab
            .evaluate(&wrapped, true)
            .unwrap_or_else(|e| panic!("{script}: {e}"));
        let text = answer
            .value
            .as_ref()
            .and_then(Value::as_str)
            .unwrap_or("null")
            .to_owned();
        serde_json::from_str(&text).unwrap()
    }

    fn quiet(&self) {
        let unwanted = self.unwanted.lock().unwrap();
        assert!(unwanted.is_empty(), "{unwanted:#?}");
    }

    /// The page itself never scrolls sideways; wide tables do, in their own boxes.
    fn fits(&self, what: &str) {
        // On failure: whatever makes the page fit when it is taken away.
        let wider = self.eval(
            "const page = document.documentElement, wide = () => page.scrollWidth > page.clientWidth; \
             return !wide() ? [] : [page.scrollWidth, ...[...document.querySelectorAll('body *')].filter((e) => { \
               const was = e.style.display; e.style.display = 'none'; const guilty = !wide(); e.style.display = was; return guilty; \
             }).map((e) => `${e.tagName}.${e.className} ${e.textContent.slice(0, 60)}`)]",
        );
        assert_eq!(wider, serde_json::json!([]), "{what}: the page scrolls sideways");
    }

    fn shot(&self, name: &str) {
        let Some(folder) = std::env::var_os("WSGIBENCH_SHOTS") else {
            return;
        };
        let size = self.eval("return [document.documentElement.clientWidth, document.documentElement.scrollHeight]");
        let whole = Page::Viewport {
            x: 0.0,
            y: 0.0,
            width: size[0].as_f64().unwrap(),
            height: size[1].as_f64().unwrap().min(9_000.0),
            scale: 1.0,
        };
        let png = self
            .tab
            .call_method(Page::CaptureScreenshot {
                format: Some(Page::CaptureScreenshotFormatOption::Png),
                quality: None,
                clip: Some(whole),
                from_surface: Some(true),
                capture_beyond_viewport: Some(true),
                optimize_for_speed: None,
            })
            .unwrap();
        let png = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, png.data).unwrap();
        std::fs::write(Path::new(&folder).join(format!("{name}.png")), png).unwrap();
    }
}

/// Draws every chart, so that what follows sees the page as a reader who has scrolled through it.
const DRAW_ALL: &str = "document.querySelectorAll('details.param').forEach((d) => { d.open = true; }); \
     document.querySelectorAll('.canvas').forEach((c) => wsgibench.chart(c.dataset.chart));";

#[test]
fn the_figures_shown_are_those_of_the_record() {
    let run = fixture::compared();
    let Some(page) = Report::open(&[&run], 1280) else {
        return;
    };
    let shown = page.eval(
        "return Object.fromEntries([...document.querySelectorAll('table.ranking tr[data-case]')].map((row) => \
         [row.dataset.case, [row.querySelector('[data-figure=by]').textContent, row.querySelector('[data-figure=cpu]').textContent]]))",
    );
    // The same record as a program would read it from disk.
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
        // What the chart draws is the same number, to its six figures.
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

#[test]
fn hovering_tells_the_value_and_its_interval() {
    let run = fixture::full();
    let Some(page) = Report::open(&[&run], 1280) else {
        return;
    };
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

#[test]
fn a_series_goes_and_comes_by_keyboard_and_stays_gone_when_redrawn() {
    let Some(page) = Report::open(&[&fixture::full()], 1280) else {
        return;
    };
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

#[test]
fn the_table_under_a_chart_has_its_figures() {
    let run = fixture::full();
    let Some(page) = Report::open(&[&run], 1280) else {
        return;
    };
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

#[test]
fn the_theme_switches_and_both_are_accessible() {
    for width in [1280, 390] {
        let Some(page) = Report::open(&[&fixture::full(), &fixture::compared()], width) else {
            return;
        };
        both_themes(&page, &format!("axe-{width}"), width);
    }
}

/// Switches the theme twice, with everything open, and has each looked at by a known checker.
fn both_themes(page: &Report, name: &str, width: u32) {
    for dark in [false, true] {
        let is = page.eval("return document.getElementById('theme').getAttribute('aria-pressed')");
        let wanted = dark.to_string();
        if is != wanted.as_str() {
            page.eval("document.getElementById('theme').click()");
        }
        let now = page.eval("return [document.getElementById('theme').getAttribute('aria-pressed'), getComputedStyle(document.body).backgroundColor]");
        assert_eq!(now[0], dark.to_string());
        assert_eq!(now[1] == "rgb(15, 19, 24)", dark, "{now}");
        page.eval(DRAW_ALL);
        page.eval("document.querySelectorAll('details').forEach((d) => { d.open = true; }); await new Promise((r) => setTimeout(r, 300));");
        page.fits(&format!("width {width}"));
        page.tab.evaluate(AXE, false).unwrap();
        let violations = page.eval(
            "const r = await axe.run(document, {resultTypes: ['violations']}); \
             return r.violations.map((v) => [v.id, v.help, v.nodes.slice(0, 3).map((n) => n.html.slice(0, 200) + ' ' + n.failureSummary)])",
        );
        assert_eq!(
            violations,
            serde_json::json!([]),
            "width {width}, dark {dark}: {violations:#}"
        );
        page.shot(&format!("{name}-{}", if dark { "dark" } else { "light" }));
    }
    page.quiet();
}

#[test]
fn markup_in_names_and_logs_stays_text() {
    let mut run = fixture::full();
    run.cases[0].description = "</script><script>window.owned = 1</script>".into();
    run.notices[0].text = "<img src=http://127.0.0.1:9/x onerror='window.owned = 1'>".into();
    run.servers[0].spec.command = vec!["\"><script>window.owned = 1</script>".into()];
    let Some(page) = Report::open(&[&run], 1280) else {
        return;
    };
    page.eval(DRAW_ALL);
    assert_eq!(page.eval("return window.owned"), Value::Null);
    assert_eq!(page.eval("return document.images.length"), 0);
    assert_eq!(page.eval("return document.querySelectorAll('script').length"), 3);
    let text = page.eval("return document.body.innerText");
    assert!(text.as_str().unwrap().contains(fixture::SCRIPT));
    page.quiet();
}

#[test]
fn whatever_a_run_left_the_page_opens_without_an_error() {
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
        let Some(page) = Report::open(&[&run], 390) else { return };
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
            assert!(
                text.contains("Rounds without their histogram: ping/bjoern/c16"),
                "{name}"
            );
            assert!(text.contains("Rounds without figures by the second"), "{name}");
        }
        if name == "one" {
            let text = page.eval("return document.body.innerText");
            assert!(text.as_str().unwrap().contains("one launch: none"));
        }
        if name == "nothing" {
            let text = page.eval("return document.body.innerText");
            assert!(
                text.as_str()
                    .unwrap()
                    .contains("No measurement of this run can be believed")
            );
        }
        page.quiet();
        page.shot(name);
    }
}

/// What the browser says of the opening: first paint and end of loading, ms; and the size of the file, bytes.
fn opening(page: &Report) -> (f64, f64, u64) {
    let timing = page.eval(
        "await new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r))); \
         const n = performance.getEntriesByType('navigation')[0]; \
         const p = performance.getEntriesByName('first-contentful-paint')[0]; \
         return [p ? p.startTime : performance.now(), n.loadEventEnd]",
    );
    let bytes = std::fs::metadata(&page.path).unwrap().len();
    (timing[0].as_f64().unwrap(), timing[1].as_f64().unwrap(), bytes)
}

#[test]
fn reports_open_small_and_large() {
    for (cases, most) in [(10, 5 << 20), (1_000, 12 << 20)] {
        let run = fixture::many(cases);
        let Some(page) = Report::open(&[&run], 1280) else {
            return;
        };
        // No assertion on time: it is the machine's. `--nocapture` shows it.
        let (painted, loaded, bytes) = opening(&page);
        eprintln!("{cases} cases: {bytes} bytes, first paint after {painted:.0} ms, loaded after {loaded:.0} ms");
        assert!(bytes < most, "{cases} cases: {bytes} bytes");
        let rows = page.eval("return document.querySelectorAll('table.cases tr[data-case]').length");
        assert_eq!(rows, cases);
        page.quiet();
    }
}

#[test]
fn a_thousand_servers_in_one_chart_open() {
    let one = fixture::Shape {
        launches: 1,
        rounds: 1,
        ..fixture::shape(900.0)
    };
    let cases = (0..1_000)
        .map(|i| fixture::case("ping", &format!("server_{i}"), 64, one))
        .collect();
    let Some(page) = Report::open(&[&fixture::run(cases)], 390) else {
        return;
    };
    page.eval("wsgibench.chart('ping-throughput')");
    page.fits("a thousand servers");
    page.quiet();
}

/// A run that was really measured: the one that `WSGIBENCH_REAL_RUN` names (a `run.json`), else one that was kept when this
/// form of the file was new. What it shows must stay the same in every later version.
fn real_run() -> (PathBuf, RunRecord) {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/assets/run-v1.json");
    let path = std::env::var_os("WSGIBENCH_REAL_RUN").map_or(kept, PathBuf::from);
    let nowhere = Store::new(Path::new("/nonexistent"));
    let run = nowhere.read(path.to_str().unwrap()).unwrap();
    (path, run)
}

/// The figure of a case as anyone would compute it from the file: the mean over launches of the median of their rounds.
fn from_the_file(case: &Value, metric: &str) -> f64 {
    let launches = case["launches"].as_array().unwrap();
    let of_launch = |launch: &Value| {
        let rounds = launch["rounds"].as_array().unwrap().iter();
        let sound = rounds.filter(|r| r["validity"]["level"] != "invalid");
        let mut values: Vec<f64> = sound.map(|r| r["metrics"][metric].as_f64().unwrap()).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        match values.len() {
            0 => None,
            n if n % 2 == 1 => Some(values[middle]),
            _ => Some(f64::midpoint(values[middle - 1], values[middle])),
        }
    };
    let of_launches: Vec<f64> = launches.iter().filter_map(of_launch).collect();
    #[expect(clippy::cast_precision_loss, reason = "a handful of launches")]
    let count = of_launches.len() as f64;
    of_launches.iter().sum::<f64>() / count
}

/// `123.4 µs` and `12,345` as numbers, times in µs.
fn number(text: &str) -> f64 {
    let mut words = text.split(' ');
    let value: f64 = words.next().unwrap().replace(',', "").parse().unwrap();
    let unit = match words.next() {
        Some("ns") => 1e-3,
        None | Some("µs") => 1.0,
        Some("ms") => 1e3,
        Some("s") => 1e6,
        other => panic!("{other:?} in {text}"),
    };
    value * unit
}

#[test]
fn a_real_run_shows_the_figures_of_its_file() {
    let (path, run) = real_run();
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let Some(page) = Report::open(&[&run], 1400) else {
        return;
    };
    let (painted, loaded, bytes) = opening(&page);
    eprintln!("a real run: {bytes} bytes, first paint after {painted:.0} ms, loaded after {loaded:.0} ms");
    assert!(bytes < 5 << 20, "{bytes}");
    let mut shown = 0;
    for case in file["cases"].as_array().unwrap() {
        let id = case["id"].as_str().unwrap();
        let row = page.eval(&format!(
            "const row = document.querySelector(`table.ranking tr[data-case=\"${{CSS.escape({id:?})}}\"]`); \
             return row && [row.querySelector('[data-figure=by]').textContent, row.querySelector('[data-figure=cpu]').textContent]"
        ));
        let Some(by) = row[0].as_str() else { continue };
        let closed = case["load"]["model"].to_string().contains("closed");
        let metric = if closed { "throughput" } else { "p99" };
        // What is shown is rounded to four figures.
        for (text, metric) in [(by, metric), (row[1].as_str().unwrap(), "cpu_per_request")] {
            let (shown, computed) = (number(text), from_the_file(case, metric));
            assert!(
                (shown / computed - 1.0).abs() < 6e-4,
                "{id} {metric}: {text} is not {computed}"
            );
        }
        shown += 1;
    }
    assert!(shown > 0, "no case of the run is ranked");
    let charts = page.eval(&format!(
        "{DRAW_ALL} return document.querySelectorAll('.canvas').length"
    ));
    assert!(charts.as_u64().unwrap() >= 8, "{charts}");
    // Everything that was said during the run, and how each server was started.
    let text = page.eval(
        "document.querySelectorAll('details').forEach((d) => { d.open = true; }); return document.body.innerText",
    );
    let text = text.as_str().unwrap();
    for notice in &run.notices {
        let first = notice.text.lines().next().unwrap();
        assert!(text.contains(first.trim()), "the notice is missing: {first}");
    }
    for server in &run.servers {
        for argument in &server.spec.command {
            assert!(
                text.contains(argument.as_str()),
                "{}: {argument} is missing",
                server.spec.name
            );
        }
        if let Some(digest) = &server.image_digest {
            assert!(text.contains(digest.as_str()), "{digest} is missing");
        }
    }
    page.quiet();
    page.shot("real-wide-light");
}

#[test]
fn a_real_run_is_accessible_in_both_themes_wide_and_narrow() {
    let (_, run) = real_run();
    for width in [1400, 390] {
        let Some(page) = Report::open(&[&run], width) else {
            return;
        };
        both_themes(&page, &format!("real-{width}"), width);
    }
}

#[test]
fn a_baselines_history_is_told_and_drawn() {
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
    };
    let Some(page) = Report::open_page(&made_of, 1280) else {
        return;
    };
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
