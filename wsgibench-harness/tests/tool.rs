//! The `wsgibench` command as called by users: output, written files and exit status.

mod report_fixture;

use std::{fs, path::Path};

use assert_cmd::Command;
use report_fixture::{case, run, shape};
use wsgibench_harness::store::{Entry, Store, record::RunRecord};

fn wsgibench(target: &Path) -> Command {
    let mut command = Command::cargo_bin("wsgibench").expect("cargo builds it for this test");
    command
        .current_dir(target)
        .env_remove("CARGO_TARGET_DIR")
        .env("NO_COLOR", "1");
    command.arg("--target-dir").arg(target);
    command
}

fn output(command: &mut Command) -> (i32, String, String) {
    let output = command.output().expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code().expect("no signal"),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// Stores a run of one case with this rate.
fn store(target: &Path, id: &str, rate: f64) {
    let mut record: RunRecord = run(vec![case("ping", "gunicorn", 64, shape(rate))]);
    id.clone_into(&mut record.id);
    let mut writer = Store::new(target).begin(record).expect("the run is stored");
    writer
        .note(Entry::Notice(wsgibench_harness::store::record::Notice {
            about: String::new(),
            text: "said".into(),
        }))
        .expect("the notice is stored");
    writer.finish(false).expect("the run is finished");
}

#[test]
fn help_teaches_and_wrong_usage_is_status_2() {
    let folder = tempfile::tempdir().unwrap();
    let (status, text, _) = output(wsgibench(folder.path()).arg("--help"));
    assert_eq!(status, 0);
    for word in ["new", "doctor", "compare", "clean", "Examples:", "Exit status:"] {
        assert!(text.contains(word), "{word} is not in\n{text}");
    }
    let (status, _, error) = output(wsgibench(folder.path()).arg("measure"));
    assert!(status == 2 && error.contains("unrecognized subcommand"), "{error}");
    let (status, _, error) = output(wsgibench(folder.path()).args(["compare", "a", "b"]));
    assert!(status == 2 && error.contains("run `a` not found"), "{error}");
    store(folder.path(), "r1", 1_000.0);
    let (status, _, error) = output(wsgibench(folder.path()).args(["compare", "r1", "latest"]));
    assert!(status == 2 && error.contains("two different runs"), "{error}");
    let (status, _, error) = output(wsgibench(folder.path()).args(["compare", "r1", "r1", "--metric", "cpu_per_req"]));
    assert!(
        status == 2 && error.contains("did you mean `cpu_per_request`?"),
        "{error}"
    );
}

#[test]
fn new_writes_a_project_and_refuses_a_non_empty_folder() {
    let folder = tempfile::tempdir().unwrap();
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (status, text, error) = output(wsgibench(folder.path()).args(["new", "demo", "--path"]).arg(&checkout));
    assert!(status == 0 && text.contains("cargo bench -- --quick"), "{text}{error}");
    let manifest = fs::read_to_string(folder.path().join("demo/Cargo.toml")).unwrap();
    assert!(
        manifest.contains("name = \"demo\"") && manifest.contains("wsgibench-harness\""),
        "{manifest}"
    );
    assert!(folder.path().join("demo/.github/workflows/bench.yml").is_file());

    let (status, _, error) = output(wsgibench(folder.path()).args(["new", "demo"]));
    assert!(status == 1 && error.contains("is not empty"), "{error}");
    let (status, _, error) = output(wsgibench(folder.path()).args(["new", "2fast"]));
    assert!(status == 2 && error.contains("use e.g. `my-2fast`"), "{error}");
    let (status, _, error) = output(wsgibench(folder.path()).args(["new", "other", "--path", "demo"]));
    assert!(
        status == 2 && error.contains("is not a checkout of wsgibench"),
        "{error}"
    );
    assert!(!folder.path().join("other").exists());
}

#[test]
fn runs_named_by_path_need_no_project() {
    let (stored, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let paths = ["20260101T000000-aaaa", "20260102T000000-bbbb"].map(|id| {
        store(stored.path(), id, 1_000.0);
        stored.path().join("wsgibench/runs").join(id)
    });
    let file = paths[0].join("run.json");
    let here = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wsgibench"));
        command.current_dir(outside.path()).env_remove("CARGO_TARGET_DIR");
        command
    };
    let (status, text, error) = output(here().arg("compare").args(&paths));
    assert!(status == 0 && text.contains("before: 20260101T000000-aaaa"), "{error}");
    let (status, _, error) = output(here().arg("report").arg(&file).args(["--output", "page.html"]));
    assert!(status == 0 && outside.path().join("page.html").is_file(), "{error}");
    let (status, text, error) = output(here().args(["export", "csv"]).arg(&file).arg("-"));
    assert!(status == 0 && text.starts_with("run,"), "{text}{error}");
    // Where the report has no path of its own, the project's folder is needed.
    let (status, _, error) = output(here().arg("report").arg(&file));
    assert!(status == 2 && error.contains("--target-dir"), "{error}");
}

#[test]
fn stored_runs_are_listed_and_compared() {
    let folder = tempfile::tempdir().unwrap();
    let (status, text, _) = output(wsgibench(folder.path()).arg("list"));
    assert!(status == 0 && text.contains("run `cargo bench` first"), "{text}");
    store(folder.path(), "20260101T000000-aaaa", 1_000.0);
    store(folder.path(), "20260102T000000-bbbb", 1_300.0);
    let (status, text, _) = output(wsgibench(folder.path()).arg("list"));
    assert!(
        status == 0 && text.contains("20260101T000000-aaaa") && text.contains("20260102T000000-bbbb"),
        "{text}"
    );

    let (status, text, _) = output(wsgibench(folder.path()).args(["compare", "20260101T000000-aaaa", "latest"]));
    assert_eq!(status, 0, "{text}");
    let line = |start: &str| {
        text.lines()
            .find(|line| line.trim_start().starts_with(start))
            .unwrap_or_default()
    };
    assert!(
        line("throughput").contains("better") && line("throughput").contains("+30"),
        "{text}"
    );
    assert!(line("peak memory").contains("as expected"), "{text}");
    assert!(
        text.contains("ping/gunicorn/c64") && text.contains("--against"),
        "{text}"
    );
}

#[test]
fn run_is_exported_to_a_file_or_printed() {
    let folder = tempfile::tempdir().unwrap();
    store(folder.path(), "r1", 1_000.0);
    let (status, text, _) = output(wsgibench(folder.path()).args(["export", "csv", "latest", "-"]));
    assert!(status == 0 && text.contains("ping/gunicorn/c64"), "{text}");
    let (status, _, error) = output(wsgibench(folder.path()).args(["export", "markdown", "r1", "sub/summary.md"]));
    assert_eq!(status, 0, "{error}");
    assert!(
        fs::read_to_string(folder.path().join("sub/summary.md"))
            .unwrap()
            .contains("gunicorn")
    );
    let (status, _, error) = output(wsgibench(folder.path()).args(["export", "pdf", "r1", "x"]));
    assert!(status == 2 && error.contains("use one of csv"), "{error}");
    let (status, _, error) = output(wsgibench(folder.path()).args(["export", "csv", "r2", "x"]));
    assert!(status == 2 && error.contains("run `r2` not found"), "{error}");
}

#[test]
fn clean_lists_items_and_removes_selected_kinds() {
    let folder = tempfile::tempdir().unwrap();
    for number in 1..=3 {
        store(folder.path(), &format!("2026010{number}T000000-aaaa"), 1_000.0);
    }
    let environment = folder.path().join("wsgibench/venvs/gunicorn-1a2b");
    fs::create_dir_all(&environment).unwrap();

    let (status, text, _) = output(wsgibench(folder.path()).args(["clean", "--runs", "--keep", "1", "--dry-run"]));
    assert!(status == 0 && text.contains("Would remove"), "{text}");
    assert_eq!(Store::new(folder.path()).finished().len(), 3);

    let (status, text, _) = output(wsgibench(folder.path()).args(["clean", "--runs", "--keep", "1"]));
    assert!(status == 0 && text.contains("Removed 2 of 3"), "{text}");
    assert_eq!(Store::new(folder.path()).finished(), ["20260103T000000-aaaa"]);
    assert!(environment.is_dir(), "environments were not named");

    let (status, _, error) = output(wsgibench(folder.path()).args(["clean", "--environments"]));
    assert!(status == 0 && !environment.exists(), "{error}");
    let (status, _, error) = output(wsgibench(folder.path()).args(["clean", "--keep", "1"]));
    assert!(status == 2 && error.contains("--runs"), "{error}");
}

#[test]
fn doctor_reports_each_check() {
    let folder = tempfile::tempdir().unwrap();
    let (status, text, error) = output(wsgibench(folder.path()).arg("doctor"));
    // Whether this machine can measure does not matter here: each check has a line that matches the status.
    let fails = text.lines().any(|line| line.starts_with("fail"));
    assert_eq!(status, i32::from(fails), "{text}{error}");
    for about in ["container engine", "CPUs", "disk", "Python for local processes"] {
        assert!(
            text.lines().any(|line| line.contains(about)),
            "{about} is not in\n{text}"
        );
    }
}

#[cfg(feature = "html")]
#[test]
fn report_includes_stored_and_damaged_runs() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path();
    let (status, _, error) = output(wsgibench(target).arg("report"));
    assert!(status == 2 && error.contains("run `cargo bench` first"), "{error}");
    store(target, "r1", 1_000.0);
    store(target, "r2", 1_100.0);
    let index = target.join("wsgibench/report/index.html");
    let (status, text, _) = output(wsgibench(target).arg("report"));
    assert!(status == 0 && text.contains("index.html"), "{text}");
    assert!(fs::read_to_string(&index).unwrap().contains("run <code>r2</code>"));
    let (status, _, error) = output(wsgibench(target).args(["report", "r1", "r2", "--output", "both.html"]));
    assert_eq!(status, 0, "{error}");
    let page = fs::read_to_string(target.join("both.html")).unwrap();
    assert!(page.contains("2 runs side by side"));
    assert!(page.contains("said"), "the notice is missing");

    // Reads a damaged record from its journal, without one from its complete cases, without any from the other run.
    let record = target.join("wsgibench/runs/r1/run.json");
    let whole = fs::read(&record).unwrap();
    fs::write(&record, &whole[..whole.len() / 2]).unwrap();
    let (status, _, error) = output(wsgibench(target).args(["report", "r1"]));
    assert!(status == 0 && error.contains("journal"), "{error}");
    assert!(
        fs::read_to_string(&index)
            .unwrap()
            .contains("is damaged; recovered from its journal")
    );
    fs::remove_file(target.join("wsgibench/runs/r1/journal.jsonl")).unwrap();
    let (status, _, error) = output(wsgibench(target).args(["report", "r1"]));
    assert!(status == 0 && error.contains("0 complete cases"), "{error}");
    fs::write(&record, &whole[..40]).unwrap();
    let (status, _, error) = output(wsgibench(target).args(["report", "r1"]));
    assert!(status == 1 && error.contains("is not a run of wsgibench"), "{error}");
    let (status, _, error) = output(wsgibench(target).args(["report", "r1", "r2"]));
    assert!(status == 0 && error.contains("is not a run of wsgibench"), "{error}");
    let (status, _, error) = output(wsgibench(target).args(["report", "r2", "--baseline", "main"]));
    assert!(status == 2 && error.contains("baseline `main` not found"), "{error}");
}
