//! The bench as a separate process, and its output files.

use std::{
    path::PathBuf,
    process::{Command, Output},
};

use wsgibench_harness::store::record::{CaseOutcome, CaseRecord, RunRecord};

use crate::ROLE;

/// A separate target folder for each test.
pub(crate) struct Bench(pub(crate) tempfile::TempDir);

pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("whole-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .unwrap();
        Self(folder)
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        self.run_in("process", arguments)
    }

    pub(crate) fn command(&self, sandbox: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(arguments)
            .env(ROLE, "1")
            .env("CARGO_TARGET_DIR", self.0.path())
            // Tests do not wait for each other: none of them judges a figure.
            .env("WSGIBENCH_LOCK_DIR", self.0.path())
            // Backtraces are disabled, whatever the user's environment.
            .env("RUST_BACKTRACE", "1")
            .env("WSGIBENCH_SANDBOX", sandbox);
        command
    }

    pub(crate) fn journal(&self) -> Option<String> {
        let mut folders = std::fs::read_dir(self.0.path().join("wsgibench/runs")).ok()?;
        std::fs::read_to_string(folders.next()?.ok()?.path().join("journal.jsonl")).ok()
    }

    pub(crate) fn run_in(&self, sandbox: &str, arguments: &[&str]) -> Ended {
        let Output { status, stdout, stderr } = self.command(sandbox, arguments).output().unwrap();
        let ended = Ended {
            status: status.code(),
            out: String::from_utf8_lossy(&stdout).into_owned(),
            err: String::from_utf8_lossy(&stderr).into_owned(),
        };
        println!("--- {arguments:?}: {:?}\n{}\n{}", ended.status, ended.out, ended.err);
        ended
    }

    /// Runs one short launch of the scenarios with a tag.
    pub(crate) fn quick(&self, tag: &str) -> Ended {
        self.quick_in("process", tag)
    }

    pub(crate) fn quick_in(&self, sandbox: &str, tag: &str) -> Ended {
        self.run_in(sandbox, &quick(tag))
    }

    pub(crate) fn quick_with(&self, tag: &str, more: &[&str]) -> Ended {
        // Without a sandbox, because nothing is started.
        self.run_in("auto", &[&quick(tag)[..], more].concat())
    }

    pub(crate) fn record(&self) -> RunRecord {
        let runs = self.0.path().join("wsgibench/runs");
        let mut folders: Vec<PathBuf> = std::fs::read_dir(runs).unwrap().map(|e| e.unwrap().path()).collect();
        folders.sort();
        let text = std::fs::read_to_string(folders.last().unwrap().join("run.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

pub(crate) fn quick(tag: &str) -> Vec<&str> {
    let times = ["--warm-up-time", "200ms", "--measurement-time", "800ms"];
    let effort = [
        "--bench",
        "--launches",
        "1",
        "--rounds",
        "1",
        "--seed",
        "7",
        "--tag",
        tag,
    ];
    [&effort[..], &times[..]].concat()
}

pub(crate) fn case<'a>(run: &'a RunRecord, scenario: &str) -> &'a CaseRecord {
    run.cases.iter().find(|case| case.scenario == scenario).unwrap()
}

pub(crate) fn failure(run: &RunRecord, scenario: &str) -> String {
    match &case(run, scenario).outcome {
        CaseOutcome::Failed(why) => why.clone(),
        other => panic!("{scenario}: {other:?}"),
    }
}
