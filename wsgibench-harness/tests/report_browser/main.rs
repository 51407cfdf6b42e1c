//! The report in a real browser: what it shows, what a person can do with it, and that it keeps to itself.
//!
//! Needs Chromium (`CHROME` names another than the one on the path). Without one the tests say so and pass; under
//! `WSGIBENCH_REQUIRE_BROWSER=1` they fail.
#![cfg(feature = "html")]

mod browser;
mod history;
mod real;
#[path = "../report_fixture/mod.rs"]
mod report_fixture;
mod robust;
mod shown;
mod trouble;
