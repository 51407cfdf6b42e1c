//! A report open in Chromium, with checks that apply to every page.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::Duration,
};

use headless_chrome::{
    Browser, LaunchOptions, Tab,
    protocol::cdp::{Emulation, Page, types::Event},
};
use serde_json::Value;
use wsgibench_harness::{report::html, store::record::RunRecord};

pub(crate) const AXE: &str = include_str!("../assets/axe.min.js");

pub(crate) fn chromium() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("CHROME") {
        return Some(named.into());
    }
    let folders = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];
    std::env::split_paths(&folders)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|path| path.is_file())
}

/// Timeout of a call, and of loading a page. A late response ends the connection for all tests (in `headless_chrome`), so it is
/// longer than any call takes on a busy machine.
const CALL_TIMEOUT: Duration = Duration::from_secs(600);

/// The browser of all tests, started by the first of them.
static BROWSER: Mutex<Option<Browser>> = Mutex::new(None);

fn browser() -> Browser {
    let mut browser = BROWSER.lock().unwrap_or_else(PoisonError::into_inner);
    browser.get_or_insert_with(start).clone()
}

fn start() -> Browser {
    let program = chromium().expect("a test of the browser runs only where there is one");
    let options = LaunchOptions::default_builder()
        .path(Some(program))
        // Containers lack the namespaces for Chromium's sandbox; only generated files are opened.
        .sandbox(false)
        .idle_browser_timeout(CALL_TIMEOUT)
        .args(vec![OsStr::new("--hide-scrollbars"), OsStr::new("--disable-gpu")])
        .build()
        .unwrap();
    let browser = Browser::new(options).expect("chromium starts");
    browser.set_default_timeout(CALL_TIMEOUT);
    browser
}

/// Stops the browser; a static is not dropped.
pub(crate) fn stop() {
    drop(BROWSER.lock().unwrap_or_else(PoisonError::into_inner).take());
}

/// A report open in a window of its own, with its own storage: the page keeps its theme there.
pub(crate) struct Report {
    pub(crate) tab: Arc<Tab>,
    /// Requests other than for the file itself, and JavaScript errors.
    unwanted: Arc<Mutex<Vec<String>>>,
    /// Receives the end of each load.
    loaded: mpsc::Receiver<()>,
    file: Arc<ReportFile>,
}

/// A report on disk.
struct ReportFile {
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl ReportFile {
    fn write(made_of: &html::Page) -> Arc<Self> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index.html");
        html::write(made_of, &path).unwrap();
        Arc::new(Self { path, _folder: folder })
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        let _ = self.tab.close_target();
    }
}

impl Report {
    /// Opens the report of `runs` in a window of this width.
    pub(crate) fn open(runs: &[&RunRecord], width: u32) -> Self {
        Self::open_page(
            &html::Page {
                runs,
                ..html::Page::default()
            },
            width,
        )
    }

    /// Opens the report of `runs` in windows of these widths, one after the other.
    pub(crate) fn open_at(runs: &[&RunRecord], widths: [u32; 2]) -> impl Iterator<Item = (u32, Self)> + use<> {
        Self::open_page_at(
            &html::Page {
                runs,
                ..html::Page::default()
            },
            widths,
        )
    }

    pub(crate) fn open_page_at(made_of: &html::Page, widths: [u32; 2]) -> impl Iterator<Item = (u32, Self)> + use<> {
        let file = ReportFile::write(made_of);
        widths
            .into_iter()
            .map(move |width| (width, Self::load(Arc::clone(&file), width)))
    }

    pub(crate) fn open_page(made_of: &html::Page, width: u32) -> Self {
        Self::load(ReportFile::write(made_of), width)
    }

    fn load(file: Arc<ReportFile>, width: u32) -> Self {
        let browser = browser();
        let tab = browser.new_context().unwrap().new_tab().unwrap();
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
        // Keyboard focus as in the only window.
        tab.call_method(Emulation::SetFocusEmulationEnabled { enabled: true })
            .unwrap();
        tab.enable_log().unwrap();
        tab.enable_runtime().unwrap();
        let seen = Arc::clone(&unwanted);
        let (load_ended, loaded) = mpsc::channel();
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
                Event::PageLoadEventFired(_) => {
                    let _ = load_ended.send(());
                    return;
                }
                _ => return,
            };
            seen.lock().unwrap().push(text);
        }))
        .unwrap();
        let page = Self {
            tab,
            unwanted,
            loaded,
            file,
        };
        page.go();
        page
    }

    pub(crate) fn go(&self) {
        // The end of loading of the blank page before it.
        while self.loaded.try_recv().is_ok() {}
        self.tab
            .navigate_to(&format!("file://{}", self.file.path.display()))
            .unwrap();
        self.loaded.recv_timeout(CALL_TIMEOUT).expect("the page loads");
    }

    /// Evaluates an expression to JSON, awaiting promises.
    pub(crate) fn eval(&self, script: &str) -> Value {
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

    /// Returns the size of the file in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        std::fs::metadata(&self.file.path).unwrap().len()
    }

    pub(crate) fn quiet(&self) {
        let unwanted = self.unwanted.lock().unwrap();
        assert!(unwanted.is_empty(), "{unwanted:#?}");
    }

    /// Checks that only tables scroll horizontally, not the page.
    pub(crate) fn fits(&self, what: &str) {
        // On failure, lists the elements whose removal makes the page fit.
        let wider = self.eval(
            "const page = document.documentElement, wide = () => page.scrollWidth > page.clientWidth; \
             return !wide() ? [] : [page.scrollWidth, ...[...document.querySelectorAll('body *')].filter((e) => { \
               const was = e.style.display; e.style.display = 'none'; const guilty = !wide(); e.style.display = was; return guilty; \
             }).map((e) => `${e.tagName}.${e.className} ${e.textContent.slice(0, 60)}`)]",
        );
        assert_eq!(wider, serde_json::json!([]), "{what}: the page scrolls sideways");
    }

    /// Saves a screenshot of the page to the folder in `WSGIBENCH_SHOTS`, if set.
    pub(crate) fn shot(&self, name: &str) {
        self.shot_of("html", name);
    }

    /// Saves a screenshot of one element.
    pub(crate) fn shot_of(&self, selector: &str, name: &str) {
        let Some(folder) = std::env::var_os("WSGIBENCH_SHOTS") else {
            return;
        };
        let place = self.eval(&format!(
            "const box = document.querySelector('{selector}').getBoundingClientRect(); \
             return [box.x + scrollX, box.y + scrollY, box.width, box.height]"
        ));
        let clip = Page::Viewport {
            x: place[0].as_f64().unwrap(),
            y: place[1].as_f64().unwrap(),
            width: place[2].as_f64().unwrap(),
            height: place[3].as_f64().unwrap().min(9_000.0),
            scale: 1.0,
        };
        let png = self
            .tab
            .call_method(Page::CaptureScreenshot {
                format: Some(Page::CaptureScreenshotFormatOption::Png),
                quality: None,
                clip: Some(clip),
                from_surface: Some(true),
                capture_beyond_viewport: Some(true),
                optimize_for_speed: None,
            })
            .unwrap();
        let png = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, png.data).unwrap();
        std::fs::write(Path::new(&folder).join(format!("{name}.png")), png).unwrap();
    }
}

/// Draws every chart, as after scrolling through the page.
pub(crate) const DRAW_ALL: &str = "document.querySelectorAll('details.param').forEach((d) => { d.open = true; }); \
     document.querySelectorAll('.canvas').forEach((c) => wsgibench.chart(c.dataset.chart));";

/// Options of axe for the rules whose outcome depends on colours.
const COLOUR_RULES: &str = "{runOnly: {type: 'rule', values: ['color-contrast', 'link-in-text-block']}}";

/// Checks accessibility with all sections open: all rules in the light theme, and in the dark one, which changes nothing but colours,
/// those that depend on them.
pub(crate) fn both_themes(page: &Report, name: &str, width: u32) {
    page.eval(DRAW_ALL);
    page.eval("document.querySelectorAll('details').forEach((d) => { d.open = true; });");
    page.tab.evaluate(AXE, false).unwrap();
    for (dark, rules) in [(false, "{}"), (true, COLOUR_RULES)] {
        let pressed = "document.getElementById('theme').getAttribute('aria-pressed')";
        let wanted = dark.to_string();
        if page.eval(&format!("return {pressed}")) != wanted.as_str() {
            page.eval("document.getElementById('theme').click()");
        }
        let now = page.eval(&format!(
            "return [{pressed}, getComputedStyle(document.body).backgroundColor]"
        ));
        assert_eq!(now[0], wanted);
        assert_eq!(now[1] == "rgb(15, 19, 24)", dark, "{now}");
        page.eval("await new Promise((r) => setTimeout(r, 300));");
        page.fits(&format!("width {width}"));
        let found = page.eval(&format!(
            "const r = await axe.run(document, {{resultTypes: ['violations'], ...{rules}}}); \
             return [r.passes.some((p) => p.id === 'color-contrast'), \
               r.violations.map((v) => [v.id, v.help, v.nodes.slice(0, 3).map((n) => n.html.slice(0, 200) + ' ' + n.failureSummary)])]"
        ));
        assert_eq!(
            found,
            serde_json::json!([true, []]),
            "width {width}, dark {dark}: {found:#}"
        );
        page.shot(&format!("{name}-{}", if dark { "dark" } else { "light" }));
    }
    page.quiet();
}

/// Returns first paint and end of loading in ms, and the file size in bytes.
pub(crate) fn opening(page: &Report) -> (f64, f64, u64) {
    let timing = page.eval(
        "await new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r))); \
         const n = performance.getEntriesByType('navigation')[0]; \
         const p = performance.getEntriesByName('first-contentful-paint')[0]; \
         return [p ? p.startTime : performance.now(), n.loadEventEnd]",
    );
    (timing[0].as_f64().unwrap(), timing[1].as_f64().unwrap(), page.bytes())
}
