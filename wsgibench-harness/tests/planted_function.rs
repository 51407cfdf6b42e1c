//! Real interpreters whose program differs in one function: the samples of a few launches name it.

use std::{
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use wsgibench_harness::profile::{LaunchProfile, Options, explain::explain, launch, sample};

const PROGRAM: &str = "
import sys
def parse(n):
    return sum(i * i for i in range(n))
def render(n):
    return ''.join(str(i) for i in range(n))
def planted(n):
    value = 1
    for _ in range(n):
        value = (value * 31 + 7) % 65521
    return value
for _ in range(int(sys.argv[2])):
    parse(3000)
    render(2000)
    if sys.argv[1] == 'slow':
        planted(1200)
";

/// Iterations of the program's loop, which stand for requests. They take about a second. A call of each function takes tens of
/// microseconds: a stack is read in some microseconds, and shorter calls are seen too seldom.
const ITERATIONS: u64 = 3_000;

/// Returns the interpreter itself: `python3` may be a script that starts one.
fn interpreter() -> String {
    let shown = Command::new("python3")
        .args(["-c", "import sys; print(sys.executable)"])
        .output()
        .expect("python3 is a requirement of the harness");
    String::from_utf8(shown.stdout).expect("a path").trim_end().to_owned()
}

fn profiled(python: &str, how: &str, seed: u64) -> LaunchProfile {
    let mut program = Command::new(python)
        .args(["-c", PROGRAM, how, &ITERATIONS.to_string()])
        .spawn()
        .expect("the interpreter starts");
    let options = Options {
        per_second: 500,
        cpu: None,
        seed,
    };
    let (stop, pid) = (AtomicBool::new(false), program.id());
    let sampled = thread::scope(|scope| {
        let sampling = scope.spawn(|| sample(options, || vec![pid], &stop));
        let status = program.wait();
        stop.store(true, Ordering::Relaxed);
        assert!(status.is_ok_and(|status| status.success()));
        sampling.join().expect("the sampler does not panic")
    });
    launch::profile(sampled, ITERATIONS, None)
}

#[test]
fn samples_of_real_interpreters_name_the_function_that_was_added() {
    let python = interpreter();
    // One arm after the other, as in a comparison: the machine is as busy in both.
    let pairs = (0..6).map(|seed| (profiled(&python, "fast", seed), profiled(&python, "slow", seed)));
    let (fast, slow): (Vec<_>, Vec<_>) = pairs.unzip();
    let found = explain("planted", &fast, &slow);
    let first = &found.functions[0];
    assert_eq!(
        (first.function.as_str(), first.rank),
        ("planted", Some(1)),
        "{:#?}",
        found.functions
    );
    assert!((8..=12).contains(&first.line), "{first:?}");
    assert!(
        first.own.base_us == Some(0.0) && first.own.low.is_some_and(|low| low > 0.0),
        "{first:?}"
    );
    assert!(found.notes.is_empty(), "{:?}", found.notes);
}
