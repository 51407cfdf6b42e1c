//! What the runner says while it works; reports listen and never ask.

use std::time::Duration;

use crate::store::record::{CaseRecord, LaunchRecord, Notice, RoundRecord, RunRecord};

/// What a baseline says of one case.
#[derive(Clone, Debug)]
pub struct Advised {
    /// Case id.
    pub case: String,
    /// Metric by metric.
    pub advice: Vec<crate::stats::Advice>,
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The plan is known: cases, launches in all, and the time it should take.
    Planned {
        /// Run id.
        run: String,
        /// Cases.
        cases: usize,
        /// Launches in all.
        launches: usize,
        /// Expected time without building.
        expected: Duration,
    },
    /// Something a reader must know.
    Noticed(Notice),
    /// A step of preparation, in one line (base image, building an image, a virtual environment).
    Preparing {
        /// What about, e.g. `gunicorn` or `base image`.
        what: String,
        /// The step.
        text: String,
    },
    /// A launch begins.
    Launching {
        /// Case id.
        case: String,
        /// Arm.
        arm: String,
        /// 1-based number among all launches of the run.
        number: usize,
        /// Launches in all.
        of: usize,
        /// Time left by the plan.
        left: Duration,
    },
    /// Warm-up begins.
    WarmingUp {
        /// Case id.
        case: String,
    },
    /// About five times a second during a round.
    Live {
        /// Case id.
        case: String,
        /// Time into the round.
        elapsed: Duration,
        /// Length of the round.
        of: Duration,
        /// Requests per second over the last tick.
        requests_per_second: f64,
        /// 99th percentile so far, ns.
        p99_ns: u64,
        /// Errors so far.
        errors: u64,
        /// Server cores in use over the last tick.
        server_cores: f64,
    },
    /// A round has ended; it is in the journal.
    RoundDone {
        /// Case id.
        case: String,
        /// The round.
        round: Box<RoundRecord>,
    },
    /// A launch has ended.
    LaunchDone {
        /// Case id.
        case: String,
        /// The launch.
        launch: Box<LaunchRecord>,
    },
    /// All launches of a case are done, or it failed.
    CaseDone {
        /// The case.
        case: Box<CaseRecord>,
    },
    /// The figures were held against a baseline of another day.
    Advised {
        /// Its name.
        baseline: String,
        /// Case by case.
        advised: Vec<Advised>,
    },
    /// The machine was checked by identical arms.
    SelfChecked {
        /// What it gave.
        check: Box<crate::stats::SelfCheck>,
    },
    /// The report for people is written.
    Reported {
        /// Where.
        path: std::path::PathBuf,
    },
    /// A comparison has been decided.
    Compared {
        /// The whole of `verdict.json`.
        verdict: Box<serde_json::Value>,
        /// Per case and metric.
        outcomes: Vec<crate::stats::Outcome>,
    },
    /// The run has ended and is on disk.
    Finished {
        /// The run.
        run: Box<RunRecord>,
    },
}
