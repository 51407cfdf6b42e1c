//! Every export format, parsed back by a reader of that format.

mod report_fixture;

use std::{collections::BTreeMap, fs};

use report_fixture as fixture;
use serde_json::Value;
use wsgibench_harness::{
    report::{
        criterion,
        export::{self, Format},
        figures::Figures,
    },
    store::record::RunRecord,
};

fn text(format: Format, run: &RunRecord) -> String {
    String::from_utf8(export::render(format, run).unwrap()).unwrap()
}

#[test]
fn metrics_of_a_server_with_parameters_are_drawn_over_a_parameter() {
    use wsgibench_harness::report::charts;
    let settings = [(1, 1), (1, 4), (1, 16), (2, 1), (2, 4), (2, 16)];
    let name = |(workers, threads): (u32, u32)| format!("app@workers={workers}-threads={threads}");
    let mut cases = Vec::new();
    for setting in settings {
        let rate = 900.0 * f64::from(setting.0) + 100.0 * f64::from(setting.1);
        cases.push(fixture::case("wait", &name(setting), 64, fixture::shape(rate)));
    }
    cases.push(fixture::case("wait", "other", 64, fixture::shape(500.0)));
    let mut run = fixture::run(cases);
    for (server, (workers, threads)) in run.servers.iter_mut().zip(settings) {
        let values = [["workers", &workers.to_string()], ["threads", &threads.to_string()]];
        let setting = serde_json::json!({"function": "app", "values": values, "default": threads == 4});
        server.spec.setting = serde_json::from_value(setting).unwrap();
    }
    let figures: Vec<Figures> = run.cases.iter().map(Figures::of).collect();
    let charts = charts::of_scenario(&run, &figures, "wait");
    let chart = charts
        .iter()
        .find(|chart| chart.title == "Throughput by threads of app")
        .unwrap();
    let lines: Vec<(&str, Vec<f64>)> = chart
        .series
        .iter()
        .map(|line| (line.name.as_str(), line.points.iter().map(|point| point.x).collect()))
        .collect();
    assert_eq!(
        lines,
        [
            ("app workers=1", vec![1.0, 4.0, 16.0]),
            ("app workers=2", vec![1.0, 4.0, 16.0])
        ]
    );
    assert_eq!(chart.series.iter().map(|line| line.color).collect::<Vec<_>>(), [7, 8]);
    let first = &chart.series[0].points[0];
    assert!(
        (first.y / 1_000.0 - 1.0).abs() < 0.05 && first.low.unwrap() < first.y,
        "{first:?}"
    );
    let mut ids: Vec<&str> = charts.iter().map(|chart| chart.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), charts.len());
    for title in ["99th percentile of latency", "Server CPU per request", "Peak memory"] {
        let title = format!("{title} by threads of app");
        assert!(charts.iter().any(|chart| chart.title == title), "{title}");
    }
}

/// Returns a run with a met, a broken and an undecided threshold, and one of a failed case.
fn with_thresholds() -> RunRecord {
    use wsgibench_harness::measure::thresholds;
    let mut run = fixture::full();
    let mut limit = |id: &str, of: &dyn Fn(f64) -> String| {
        let case = run.cases.iter_mut().find(|case| case.id == id).unwrap();
        let rounds = case.launches.iter().flat_map(|launch| &launch.rounds);
        let mut p99: Vec<f64> = rounds.map(|round| round.metrics["p99"]).collect();
        p99.sort_by(f64::total_cmp);
        let centre = p99.get(p99.len() / 2).copied().unwrap_or_default();
        case.load.thresholds.push(of(centre).parse().unwrap());
    };
    limit("ping/bjoern/c64", &|p99| format!("p99<{}us", p99 * 2.0));
    limit("ping/waitress/c64", &|p99| format!("p99<{}us", p99 / 2.0));
    limit("ping/cherrypy/c64", &|p99| format!("p99<{p99}us"));
    limit("ping/meinheld/c64", &|_| "p99<9ms".into());
    run.thresholds = thresholds::of_run(&run);
    run
}

#[test]
fn every_report_shows_the_judged_thresholds() {
    use wsgibench_harness::report::{terminal, thresholds};
    let run = with_thresholds();
    let report = run.thresholds.as_ref().unwrap();
    let verdict = |case: &str| {
        let outcome = report
            .outcomes
            .iter()
            .find(|outcome| outcome.case == format!("ping/{case}/c64"));
        outcome.unwrap().verdict.id()
    };
    assert_eq!(
        ["bjoern", "waitress", "cherrypy", "meinheld"].map(verdict),
        ["met", "broken", "undecided", "undecided"]
    );
    let rows = thresholds::rows(&run);
    let row = |case: &str| rows.iter().find(|row| row.case == format!("ping/{case}/c64")).unwrap();
    assert!(row("meinheld").note.contains("the image does not build"), "{rows:?}");
    assert!(row("bjoern").interval.contains(" at 98."), "{rows:?}");

    let markdown = text(Format::Markdown, &run);
    assert!(
        markdown.contains("### Thresholds") && markdown.contains("| **broken** |"),
        "{markdown}"
    );
    assert!(markdown.contains("confidence of 95 %"), "{markdown}");

    let shown = terminal::run_text(&run);
    let shown = console::strip_ansi_codes(&shown).into_owned();
    let section = shown.split("\nThresholds\n").nth(1).expect("a section");
    for told in [
        "  met ",
        "  broken ",
        "  undecided",
        "more launches narrow it",
        "confidence of 95 %",
    ] {
        assert!(section.contains(told), "{told}: {section}");
    }
    assert!(!terminal::run_text(&fixture::full()).contains("Thresholds"));
}

#[cfg(feature = "junit")]
#[test]
fn junit_fails_a_broken_threshold() {
    let junit = text(Format::Junit, &with_thresholds());
    let failure = junit.split("type=\"broken_threshold\"").nth(1).expect("a failure");
    assert!(!failure.contains("type=\"broken_threshold\""), "{junit}");
    assert!(
        junit.contains("threshold p99&lt;") && junit.contains("is broken"),
        "{junit}"
    );
}

#[cfg(feature = "html")]
#[test]
fn page_lists_the_judged_thresholds() {
    use wsgibench_harness::report::html::{Page, render};
    let run = with_thresholds();
    let page = Page {
        runs: &[&run],
        ..Page::default()
    };
    let html = render(&page).unwrap();
    let section = html.split("id=\"thresholds\"").nth(1).expect("a section");
    for verdict in ["met", "broken", "undecided"] {
        assert!(section.contains(&format!("data-threshold=\"{verdict}\"")), "{verdict}");
    }
}

#[test]
fn csv_has_one_row_per_round() {
    let run = fixture::full();
    let bytes = export::render(Format::Csv, &run).unwrap();
    let mut reader = csv::Reader::from_reader(bytes.as_slice());
    let header = reader.headers().unwrap().clone();
    let column = |name: &str| header.iter().position(|h| h == name).unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let rounds: Vec<_> = run
        .cases
        .iter()
        .flat_map(|c| {
            c.launches
                .iter()
                .flat_map(move |l| l.rounds.iter().map(move |r| (c, r)))
        })
        .collect();
    assert_eq!(rows.len(), rounds.len());
    for (row, (case, round)) in rows.iter().zip(rounds) {
        assert_eq!(&row[column("case")], case.id);
        let throughput: f64 = row[column("throughput_per_s")].parse().unwrap();
        assert!((throughput - round.metrics["throughput"]).abs() < 1e-9);
    }
    insta::assert_snapshot!(
        String::from_utf8(bytes)
            .unwrap()
            .lines()
            .take(3)
            .collect::<Vec<_>>()
            .join("\n")
    );
}

/// A run without server figures: its servers were already running, on another machine.
fn unmeasured() -> RunRecord {
    let mut run = fixture::run(vec![fixture::case("ping", "remote", 64, fixture::shape(100.0))]);
    for launch in run.cases.iter_mut().flat_map(|case| &mut case.launches) {
        launch.start_up_seconds = None;
        launch.memory_at_rest_bytes = None;
        for round in &mut launch.rounds {
            round.server_cpu_user_seconds = None;
            round.server_cpu_system_seconds = None;
            round.server_cpu_seconds = None;
            round.throttled_seconds = None;
            round.memory_mean_bytes = None;
            round.memory_peak_bytes = None;
            round.server_series.clear();
            round.metrics.remove("cpu_per_request");
            round.metrics.remove("peak_memory");
        }
    }
    run
}

/// Fields and columns of figures that a run without server figures lacks.
const SERVER_FIGURES: [&str; 8] = [
    "start_up_seconds",
    "memory_at_rest_bytes",
    "server_cpu_user_seconds",
    "server_cpu_system_seconds",
    "server_cpu_seconds",
    "throttled_seconds",
    "memory_mean_bytes",
    "memory_peak_bytes",
];

#[test]
fn figures_that_were_not_measured_are_absent_from_every_export() {
    let run = unmeasured();
    let bytes = export::render(Format::Csv, &run).unwrap();
    let mut reader = csv::Reader::from_reader(bytes.as_slice());
    let header = reader.headers().unwrap().clone();
    for row in reader.records().map(Result::unwrap) {
        for name in SERVER_FIGURES {
            let name = name.replace("seconds", "s");
            let column = header.iter().position(|h| h == name).expect("a column of that name");
            assert_eq!(&row[column], "", "{name}");
        }
    }
    let json = text(Format::Json, &run);
    for name in SERVER_FIGURES {
        assert!(!json.contains(name), "{name} is in run.json");
    }
    for format in [Format::Bencher, Format::Github] {
        let text = text(format, &run).to_lowercase();
        assert!(!text.contains("memory") && !text.contains("cpu"), "{format:?}: {text}");
    }
    let markdown = text(Format::Markdown, &run);
    assert!(markdown.contains("ping") && !markdown.contains("0 B"), "{markdown}");
    assert!(!markdown.contains("0 B") && !markdown.contains("0 ns"), "{markdown}");
    #[cfg(feature = "junit")]
    {
        let xml = text(Format::Junit, &run);
        assert!(
            xml.contains("thrpt:") && !xml.contains("memory") && !xml.contains("cpu:"),
            "{xml}"
        );
    }
}

#[cfg(feature = "spreadsheet")]
#[test]
fn a_workbook_has_no_cell_for_a_figure_that_was_not_measured() {
    use wsgibench_harness::stats::Metric;
    let measured = |run: &RunRecord| {
        let of = |case| Figures::of(case).metrics.into_keys().collect::<Vec<_>>();
        run.cases.iter().flat_map(of).collect::<Vec<_>>()
    };
    assert!(!measured(&unmeasured()).contains(&Metric::PeakMemory));
    // The cells themselves are those of the CSV file; a workbook with fewer of them is smaller.
    let full = fixture::run(vec![fixture::case("ping", "remote", 64, fixture::shape(100.0))]);
    let size = |run: &RunRecord| export::render(Format::Xlsx, run).unwrap().len();
    assert!(size(&unmeasured()) < size(&full));
}

#[test]
fn zeros_of_earlier_versions_are_read_as_absent() {
    let mut old = serde_json::to_value(unmeasured()).unwrap();
    for launch in old["cases"][0]["launches"].as_array_mut().unwrap() {
        for name in &SERVER_FIGURES[..2] {
            launch[*name] = 0.into();
        }
        for round in launch["rounds"].as_array_mut().unwrap() {
            for name in &SERVER_FIGURES[2..] {
                round[*name] = 0.into();
            }
        }
    }
    let run: RunRecord = serde_json::from_value(old).unwrap();
    assert_eq!(text(Format::Csv, &run), text(Format::Csv, &unmeasured()));
}

#[test]
fn csv_has_each_request_of_a_mix() {
    let run = fixture::mixed();
    let bytes = export::render(Format::Csv, &run).unwrap();
    let mut reader = csv::Reader::from_reader(bytes.as_slice());
    let header = reader.headers().unwrap().clone();
    let row = reader.records().next().unwrap().unwrap();
    let cell = |name: &str| &row[header.iter().position(|h| h == name).unwrap()];
    assert_eq!(cell("requests"), "GET /; GET /books/{id}; POST /orders");
    let sum: u64 = cell("requests_done")
        .split("; ")
        .map(|n| n.parse::<u64>().unwrap())
        .sum();
    assert_eq!(sum.to_string(), cell("done"));
    let p99 = run.cases[0].launches[0].rounds[0].load.requests[2]
        .latency
        .quantile(0.99)
        .ns;
    let last: f64 = cell("requests_p99_us").split("; ").nth(2).unwrap().parse().unwrap();
    #[expect(clippy::cast_precision_loss, reason = "milliseconds")]
    let wanted = p99 as f64 / 1e3;
    assert!((last - wanted).abs() < 1e-6, "{last} {wanted}");
}

#[test]
fn formulas_in_names_are_text() {
    let mut case = fixture::case("ping", "=cmd()", 64, fixture::shape(100.0));
    case.id = "=cmd()".into();
    let csv = text(Format::Csv, &fixture::run(vec![case]));
    assert!(csv.contains(",'=cmd(),"), "{}", csv.lines().nth(1).unwrap());
}

#[cfg(feature = "spreadsheet")]
#[test]
fn workbook_is_a_zip_with_three_sheets() {
    let bytes = export::render(Format::Xlsx, &fixture::compared()).unwrap();
    assert!(bytes.starts_with(b"PK"));
    let names = String::from_utf8_lossy(&bytes);
    for sheet in [
        "xl/worksheets/sheet1.xml",
        "xl/worksheets/sheet2.xml",
        "xl/worksheets/sheet3.xml",
    ] {
        assert!(names.contains(sheet), "{sheet} is missing");
    }
    assert_eq!(
        bytes,
        export::render(Format::Xlsx, &fixture::compared()).unwrap(),
        "not reproducible"
    );
}

#[cfg(feature = "junit")]
#[test]
fn junit_reports_a_regression_as_a_failure_with_figures() {
    let xml = text(Format::Junit, &fixture::compared());
    assert!(
        xml.contains(r#"<failure message="ping/gunicorn_gthread/c64: server CPU per request +8.30 %"#),
        "{xml}"
    );
    assert!(xml.contains(r#"<error message="the image does not build"#), "{xml}");
    assert!(!xml.contains("<script>"), "{xml}");
    // Advisory changes are not failures, and missing measurements are not successes.
    assert_eq!(xml.matches("<failure").count(), 1);
    assert_eq!(xml.matches("<skipped").count(), 1);
    let mut small = fixture::compared();
    small
        .cases
        .retain(|c| ["meinheld", "mod_wsgi", "gunicorn_gthread"].contains(&c.server.as_str()) && c.param == "c64");
    insta::assert_snapshot!(text(Format::Junit, &small));
}

#[test]
fn markdown_escapes_untrusted_text() {
    let page = text(Format::Markdown, &fixture::compared());
    assert!(!page.contains("<script>"));
    insta::assert_snapshot!(page);
}

#[test]
fn markdown_shows_faults_and_endurance() {
    let mut run = fixture::faulty();
    run.cases.extend(fixture::enduring().cases);
    let page = text(Format::Markdown, &run);
    let told = &page[page
        .find("### worker\\_killed")
        .or_else(|| page.find("### worker"))
        .unwrap()..];
    insta::assert_snapshot!(&told[..told.find("### Cold start").unwrap()]);
}

#[test]
fn markdown_and_csv_show_waits() {
    let run = fixture::waiting();
    let page = text(Format::Markdown, &run);
    let told = &page[page.find("### Waits").unwrap()..];
    insta::assert_snapshot!(&told[..told.find("### Cold start").unwrap()]);
    let csv = text(Format::Csv, &run);
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let header = reader.headers().unwrap().clone();
    let first = reader.records().next().unwrap().unwrap();
    let of = |name: &str| &first[header.iter().position(|h| h == name).unwrap()];
    let names = [
        "workers",
        "workers_jain",
        "accept_queue_mean",
        "accept_queue_max",
        "accept_queue_overflows",
    ];
    let figures = names.map(of);
    assert_eq!((figures[0], figures[2], figures[3], figures[4]), ("2", "0", "0", "0"));
    assert!(figures[1].starts_with("0.862"), "{figures:?}");
}

#[test]
fn faults_not_injected_have_no_figures_in_csv() {
    let csv = text(Format::Csv, &fixture::faulty());
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let header = reader.headers().unwrap().clone();
    let column = |name: &str| header.iter().position(|h| h == name).unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let of = |server: &str, figure: &str| {
        let found = rows
            .iter()
            .find(|row| &row[column("server")] == server && &row[column("scenario")] == "worker_killed");
        found.unwrap()[column(figure)].to_owned()
    };
    assert_eq!(of("gunicorn_gthread", "requests_lost"), "9");
    assert_eq!(of("gunicorn_gthread", "recovered_after_s"), "0.5");
    assert_eq!(of("bjoern", "recovered_after_s"), "never");
    assert_eq!(of("granian", "requests_lost"), "not done");
    assert_eq!(of("granian", "recovered_after_s"), "not done");
}

#[cfg(feature = "spreadsheet")]
#[test]
fn workbook_has_a_sheet_of_faults_if_there_are_any() {
    let sheets = |run: &RunRecord| {
        let bytes = export::render(Format::Xlsx, run).unwrap();
        let names = String::from_utf8_lossy(&bytes).into_owned();
        (1..9)
            .filter(|n| names.contains(&format!("xl/worksheets/sheet{n}.xml")))
            .count()
    };
    assert_eq!(sheets(&fixture::full()), 3);
    assert_eq!(sheets(&fixture::faulty()), 4);
}

#[test]
fn cases_with_faults_have_no_time_per_request() {
    for format in [Format::Bencher, Format::BencherLines, Format::Github] {
        let figures = text(format, &fixture::faulty());
        assert!(figures.contains("ping/gunicorn_gthread/c16"), "{format}: {figures}");
        assert!(!figures.contains("worker_killed"), "{format}: {figures}");
    }
}

#[test]
fn markdown_fits_a_comment_for_large_runs() {
    let mut run = fixture::many(200);
    for case in &mut run.cases {
        case.server.push_str(&"long".repeat(75));
    }
    let page = text(Format::Markdown, &run);
    assert!(page.len() < 65_536, "{}", page.len());
    assert!(page.contains("are omitted for length"));
}

#[test]
fn bencher_has_exactly_the_valid_cases() {
    let run = fixture::full();
    let json: BTreeMap<String, Value> = serde_json::from_str(&text(Format::Bencher, &run)).unwrap();
    for case in &run.cases {
        let figures = Figures::of(case);
        assert_eq!(json.contains_key(&case.id), figures.ranked(), "{}", case.id);
        if figures.ranked() {
            let value = json[&case.id]["latency"]["value"].as_f64().unwrap();
            assert!((value - figures.time.unwrap().mean.point).abs() < 1e-6);
        }
    }
    insta::assert_json_snapshot!(json["ping/bjoern/c64"]);
}

#[test]
fn bencher_lines_match_libtest_output() {
    let lines = text(Format::BencherLines, &fixture::full());
    let form = regex::Regex::new(r"^test \S.* \.\.\. bench: +[\d,]+ ns/iter \(\+/- [\d,]+\)$").unwrap();
    for line in lines.lines() {
        assert!(form.is_match(line), "{line}");
    }
    insta::assert_snapshot!(lines);
}

#[test]
fn github_action_benchmark_is_a_list_of_figures() {
    let json: Vec<Value> = serde_json::from_str(&text(Format::Github, &fixture::full())).unwrap();
    assert!(
        json.iter()
            .all(|f| f["name"].is_string() && f["unit"].is_string() && f["value"].is_number())
    );
    insta::assert_json_snapshot!(json[..6]);
}

#[test]
fn json_round_trips_the_run() {
    let run = fixture::compared();
    let read: RunRecord = serde_json::from_str(&text(Format::Json, &run)).unwrap();
    assert_eq!(
        serde_json::to_value(&read).unwrap(),
        serde_json::to_value(&run).unwrap()
    );
}

#[test]
fn files_are_complete_and_folders_are_created() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/run.csv");
    export::write(Format::Csv, &fixture::full(), &path).unwrap();
    assert!(path.is_file());
    let blocked = path.join("below-a-file.csv");
    let error = export::write(Format::Csv, &fixture::full(), &blocked)
        .unwrap_err()
        .to_string();
    assert!(error.contains("below-a-file.csv"), "{error}");
}

#[cfg(feature = "pictures")]
#[test]
fn every_chart_becomes_a_picture() {
    use wsgibench_harness::report::export::pictures;
    let mut run = fixture::full();
    run.cases
        .retain(|c| c.param == "c64" || c.server == "bjoern" || c.server == "cherrypy");
    let folder = tempfile::tempdir().unwrap();
    let charts = pictures::charts(&run);
    assert!(charts.len() >= 8, "{}", charts.len());
    export::write(Format::Svg, &run, folder.path()).unwrap();
    for chart in &charts {
        let svg = fs::read_to_string(folder.path().join(format!("{}.svg", chart.id))).unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        assert!(!svg.contains("<script"), "{}", chart.id);
    }
    let png = pictures::png(&pictures::svg(&charts[0]).unwrap()).unwrap();
    assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
}

#[cfg(feature = "pictures")]
#[test]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the index of a category"
)]
fn dot_plots_have_names_at_the_points_and_no_picture_has_rotated_text() {
    use wsgibench_harness::report::{charts::Kind, export::pictures};
    let mut seen = 0;
    for run in [fixture::mixed(), fixture::full()] {
        for chart in pictures::charts(&run) {
            let svg = pictures::svg(&chart).unwrap();
            assert!(!svg.contains("rotate("), "{}", chart.id);
            if chart.kind != Kind::Intervals {
                continue;
            }
            seen += 1;
            for (row, name) in chart.categories.iter().enumerate() {
                let name = name.replace('<', "&lt;").replace('>', "&gt;");
                // Once, with its value: there is no legend.
                assert_eq!(
                    svg.matches(&format!("{name}  ")).count(),
                    1,
                    "{}: {name}: {svg}",
                    chart.id
                );
                let point = chart
                    .series
                    .iter()
                    .flat_map(|s| &s.points)
                    .find(|p| p.x as usize == row)
                    .unwrap();
                assert!(
                    svg.contains(&format!("{name}  {}", chart.y.quantity.text(point.y))),
                    "{}: {name}",
                    chart.id
                );
            }
        }
    }
    assert!(seen >= 8, "{seen}");
}

#[cfg(feature = "pictures")]
#[test]
fn picture_of_a_fault_marks_its_time() {
    use wsgibench_harness::report::export::pictures;
    let charts = pictures::charts(&fixture::faulty());
    let chart = charts.iter().find(|chart| chart.id.ends_with("-answers")).unwrap();
    let svg = pictures::svg(chart).unwrap();
    assert!(svg.contains("worker killed"), "{svg}");
    let of_rate = |id: &str| id.starts_with("worker") && id.ends_with("throughput");
    assert!(
        !charts.iter().any(|chart| of_rate(&chart.id)),
        "a rate of a server under faults"
    );
}

#[cfg(feature = "pictures")]
#[test]
fn runs_without_valid_figures_have_no_pictures() {
    use wsgibench_harness::report::export::pictures;
    let mut run = fixture::full();
    run.cases.retain(|c| c.server == "wsgiref" || c.server == "meinheld");
    assert!(pictures::charts(&run).is_empty());
}

#[test]
fn criterion_files_have_one_sample_per_launch() {
    let target = tempfile::tempdir().unwrap();
    let run = fixture::full();
    criterion::write(&run, target.path(), Some("one")).unwrap();
    let folder = target.path().join("criterion/ping/bjoern/c64");
    for baseline in ["new", "one"] {
        let read = |name: &str| -> Value {
            serde_json::from_slice(&fs::read(folder.join(baseline).join(name)).unwrap()).unwrap()
        };
        let sample = read("sample.json");
        assert_eq!(sample["times"].as_array().unwrap().len(), 6);
        assert_eq!(sample["iters"].as_array().unwrap().len(), 6);
        let estimates = read("estimates.json");
        let case = run.cases.iter().find(|c| c.id == "ping/bjoern/c64").unwrap();
        let mean = Figures::of(case).time.unwrap().mean.point;
        assert!((estimates["mean"]["point_estimate"].as_f64().unwrap() - mean).abs() < 1e-6);
        assert_eq!(read("benchmark.json")["full_id"], "ping/bjoern/c64");
        assert_eq!(read("tukey.json").as_array().unwrap().len(), 4);
    }
    assert!(!folder.join("base").exists(), "a named baseline leaves `base` alone");
    // A name that resembles a path stays inside the folder.
    assert!(
        target
            .path()
            .join("criterion/ping/_script_alert(1)__script_/c64/new")
            .is_dir()
    );
}

#[test]
fn counted_metrics_have_criterion_files_of_their_own() {
    let target = tempfile::tempdir().unwrap();
    criterion::write(&fixture::full(), target.path(), None).unwrap();
    criterion::write(&fixture::counted(), target.path(), None).unwrap();
    let group = |metric: &str| target.path().join(format!("criterion/ping {metric}"));
    let folder = group("instructions_per_request").join("bjoern/c64/base");
    let read = |name: &str| -> Value { serde_json::from_slice(&fs::read(folder.join(name)).unwrap()).unwrap() };
    assert_eq!(
        read("benchmark.json")["full_id"],
        "ping instructions_per_request/bjoern/c64"
    );
    let mean = read("estimates.json")["mean"]["point_estimate"].as_f64().unwrap();
    assert!((mean / 15_140.0 - 1.0).abs() < 1e-3, "{mean}");
    let calls = fs::read_to_string(group("syscalls_per_request").join("bjoern/c64/new/sample.json")).unwrap();
    assert!(calls.contains("6.0"), "{calls}");
    assert!(!group("statements_per_request").exists());
    // Instructions that cannot be counted have no files; those of the timed run are left as they are.
    assert!(!group("instructions_per_request").join("granian").exists());
    assert!(
        target
            .path()
            .join("criterion/ping/bjoern/c64/new/estimates.json")
            .is_file()
    );
}

#[test]
fn criterion_files_of_unmeasured_cases_are_removed() {
    let target = tempfile::tempdir().unwrap();
    let mut run = fixture::run(vec![fixture::case("ping", "a", 64, fixture::shape(100.0))]);
    criterion::write(&run, target.path(), None).unwrap();
    let folder = target.path().join("criterion/ping/a/c64");
    assert!(folder.join("base/estimates.json").is_file());
    run.cases[0].launches.clear();
    criterion::write(&run, target.path(), None).unwrap();
    assert!(!folder.join("new").exists() && !folder.join("base").exists());
}

#[test]
fn profiles_are_written_for_other_tools() {
    let run = fixture::explained();
    let folded = text(Format::Folded, &run);
    let stacks: Vec<&str> = folded.lines().collect();
    assert!(stacks.len() > 12, "{folded}");
    for line in &stacks {
        let (stack, time) = line.rsplit_once(' ').unwrap();
        assert!(
            time.parse::<u64>().unwrap() > 0 && stack.split(';').count() >= 4,
            "{line}"
        );
    }
    let whole: u64 = stacks
        .iter()
        .filter(|line| line.starts_with("shop/gunicorn_gthread/c64;candidate;running;"))
        .map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap())
        .sum();
    let profile = &run.explanation.as_ref().unwrap().cases[0];
    #[expect(clippy::cast_precision_loss, reason = "nanoseconds of a request")]
    let microseconds = whole as f64 / 1e3;
    assert!((microseconds - profile.cpu.candidate_us).abs() < 0.1, "{microseconds}");
    let speedscope: Value = serde_json::from_str(&text(Format::Speedscope, &run)).unwrap();
    let profiles = speedscope["profiles"].as_array().unwrap();
    assert_eq!(profiles.len(), 6);
    let frames = speedscope["shared"]["frames"].as_array().unwrap().len();
    for profile in profiles {
        let samples = profile["samples"].as_array().unwrap();
        assert_eq!(samples.len(), profile["weights"].as_array().unwrap().len());
        let indexes = samples.iter().flat_map(|sample| sample.as_array().unwrap());
        assert!(
            indexes
                .into_iter()
                .all(|index| usize::try_from(index.as_u64().unwrap()).unwrap() < frames)
        );
    }
    assert!(export::render(Format::Pprof, &run).unwrap().starts_with(&[0x1f, 0x8b]));
    let error = export::render(Format::Folded, &fixture::full())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("has no profiles") && error.contains("--explain"),
        "{error}"
    );
}

#[test]
fn markdown_and_junit_name_the_slower_function() {
    let run = fixture::explained();
    let markdown = text(Format::Markdown, &run);
    let begin = markdown.find("### Functions of shop/gunicorn").unwrap();
    let end = begin + markdown[begin..].find("### shop").unwrap();
    assert!(!markdown.contains("<script>"));
    insta::assert_snapshot!(&markdown[begin..end]);
    #[cfg(feature = "junit")]
    {
        let junit = text(Format::Junit, &run);
        assert!(junit.contains("`serialise` changed most, by +"), "{junit}");
        assert!(!junit.contains("<script>"));
    }
}
