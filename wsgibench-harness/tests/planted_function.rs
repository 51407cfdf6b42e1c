//! Real interpreters whose program differs in one function: the samples of a few launches name it.

use std::{
    process::{Child, Command},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
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
while True:
    parse(300)
    render(200)
    if sys.argv[1] == 'slow':
        planted(120)
";

struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn profiled(how: &str, seed: u64) -> LaunchProfile {
    let child = Command::new("python3").args(["-c", PROGRAM, how]).spawn();
    let program = Program(child.expect("python3 is a requirement of the harness"));
    let options = Options {
        per_second: 500,
        cpu: None,
        seed,
    };
    let (stop, pid) = (AtomicBool::new(false), program.0.id());
    let sampled = thread::scope(|scope| {
        let sampling = scope.spawn(|| sample(options, || vec![pid], &stop));
        // The machine may be busy: a launch counts by its samples, not by its time.
        thread::sleep(Duration::from_millis(1_500));
        stop.store(true, Ordering::Relaxed);
        sampling.join().expect("the sampler does not panic")
    });
    launch::profile(sampled, 1_000, None)
}

#[test]
fn samples_of_real_interpreters_name_the_function_that_was_added() {
    let arms = ["fast", "slow"].map(|how| (0..6).map(|seed| profiled(how, seed)).collect::<Vec<_>>());
    let found = explain("planted", &arms[0], &arms[1]);
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
