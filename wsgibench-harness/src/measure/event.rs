//! Events of a run. Reports subscribe to them and never call the runner.

use std::time::Duration;

use crate::store::{
    record::{CaseRecord, LaunchRecord, Notice, RoundRecord, RunRecord},
    tuning::TuneProgress,
};

/// Comparison of one case with a baseline.
#[derive(Clone, Debug)]
pub struct Advised {
    /// Case id.
    pub case: String,
    /// One entry per metric.
    pub advice: Vec<crate::stats::Advice>,
}

/// An event of a run.
#[derive(Clone, Debug)]
pub enum Event {
    /// The plan is complete.
    Planned {
        /// Run id.
        run: String,
        /// Number of cases.
        cases: usize,
        /// Number of launches.
        launches: usize,
        /// Expected time without image builds.
        expected: Duration,
    },
    /// A notice.
    Noticed(Notice),
    /// A step of preparation, in one line (base image, building an image, a virtual environment).
    Preparing {
        /// Subject, e.g. `gunicorn` or `base image`.
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
        /// 1-based number of the launch.
        number: usize,
        /// Number of launches in the plan.
        of: usize,
        /// Expected time left.
        left: Duration,
    },
    /// Warm-up begins.
    WarmingUp {
        /// Case id.
        case: String,
    },
    /// Live figures, about five times a second during a round.
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
    /// A round has ended and is in the journal.
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
    /// A case is complete or failed.
    CaseDone {
        /// The case.
        case: Box<CaseRecord>,
    },
    /// The run was compared with a saved baseline.
    Advised {
        /// Name of the baseline.
        baseline: String,
        /// One entry per case.
        advised: Vec<Advised>,
    },
    /// The self-check with identical arms is complete.
    SelfChecked {
        /// Its result.
        check: Box<crate::stats::SelfCheck>,
    },
    /// The HTML report was written.
    Reported {
        /// Its path.
        path: std::path::PathBuf,
    },
    /// A comparison has its verdict.
    Compared {
        /// Content of `verdict.json`.
        verdict: Box<serde_json::Value>,
        /// One entry per case and metric.
        outcomes: Vec<crate::stats::Outcome>,
    },
    /// A tuning has completed a block; the first has 0 blocks and precedes the measurement.
    Tuning(Box<TuneProgress>),
    /// The run is complete and stored.
    Finished {
        /// The run.
        run: Box<RunRecord>,
    },
}
