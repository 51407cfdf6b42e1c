//! A run with profiles of two arms, in which one function became slower.

use wsgibench_harness::{
    profile::{Explanation, Frame, LaunchProfile, explain::explain, launch::Stack, launch::ThreadShare},
    store::record::RunRecord,
};

use super::{SCRIPT, case, run, shape, wobble};

/// A function of 4,000 characters, as cut by the sampler.
fn long_name() -> String {
    format!("{}…{}", "Very".repeat(25), "Long".repeat(25))
}

fn frame(function: &str, file: &str, line: i32) -> Frame {
    Frame {
        function: function.to_owned(),
        file: file.to_owned(),
        line,
        first_line: line - 2,
    }
}

/// A launch in which `serialise` takes so many microseconds.
fn launch(index: u64, serialise: f64) -> LaunchProfile {
    let frames = vec![
        frame("run", "gunicorn/workers/sync.py", 135),
        frame("application", "./application.py", 58),
        frame("serialise", "./views.py", 21),
        frame("JSONEncoder.encode", "python/json/encoder.py", 200),
        frame(SCRIPT, "./views|*.py", 30),
        frame(&long_name(), "flask/app.py", 1_488),
        Frame::other("epoll_wait"),
    ];
    let stack = |frames: &[u32], running: f64, waiting: f64, salt: u64| Stack {
        frames: frames.to_vec(),
        running: running * (1.0 + 0.02 * wobble(index, salt)),
        waiting,
    };
    let stacks = vec![
        stack(&[0], 18.0, 0.0, 1),
        stack(&[0, 1], 6.0, 0.0, 2),
        stack(&[0, 1, 2], serialise, 0.0, 3),
        stack(&[0, 1, 2, 3], 22.0, 0.0, 4),
        stack(&[0, 1, 4], 9.0, 0.0, 5),
        stack(&[0, 1, 5], 14.0, 0.0, 6),
        stack(&[0, 6], 0.0, 310.0, 7),
    ];
    LaunchProfile {
        requests: 12_000,
        cpu_us: stacks.iter().map(|stack| stack.running).sum(),
        frames,
        stacks,
        threads: vec![ThreadShare {
            process: "gunicorn".to_owned(),
            thread: SCRIPT.to_owned(),
            threads: 2,
            running: 69.0 + serialise,
        }],
        ready_us: 80.0,
        running_samples: 1_250,
        waiting_samples: 300,
        discarded: 3,
        per_second: 250.0,
        processes: 3,
        pythons: vec!["3.11".to_owned()],
        problems: Vec::new(),
    }
}

fn launches(arm: u64, serialise: f64) -> Vec<LaunchProfile> {
    (0..8).map(|index| launch(arm * 100 + index, serialise)).collect()
}

/// Returns a run whose first case was profiled in both arms, and the second one in one arm.
pub(crate) fn explained() -> RunRecord {
    let mut run = run(vec![
        case("shop", "gunicorn_gthread", 64, shape(6_400.0)),
        case("shop", "waitress", 64, shape(6_350.0)),
    ]);
    let both = explain(&run.cases[0].id, &launches(1, 4.0), &launches(2, 11.0));
    let mut one = explain(&run.cases[1].id, &[], &launches(3, 4.0)[..3]);
    one.notes.push(format!("a note with {SCRIPT}"));
    run.explanation = Some(Box::new(Explanation {
        version: Explanation::VERSION,
        run: run.id.clone(),
        against: Some("main".to_owned()),
        cases: vec![both, one],
        notes: Vec::new(),
    }));
    run
}
