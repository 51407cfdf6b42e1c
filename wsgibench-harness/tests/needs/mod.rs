//! Tests that need a program that may be missing on the machine. They are then reported as ignored, or fail if an environment
//! variable requires the program.
#![allow(dead_code, unused_macros, unused_imports, reason = "each test program uses a part")]

use std::process::{Command, ExitCode, Stdio};

use libtest_mimic::{Arguments, Failed, Trial};

/// A requirement of tests.
#[derive(Clone, Debug)]
pub(crate) struct Need {
    /// Why it is not available; `None` if it is.
    missing: Option<String>,
    required: bool,
}

impl Need {
    /// Creates a requirement. `missing` is the reason why it is not available; the switch `variable` in the environment requires it.
    pub(crate) fn new(missing: Option<&str>, variable: &str) -> Self {
        Self {
            missing: missing.map(str::to_owned),
            required: wsgibench_harness::__private::switch(variable).unwrap(),
        }
    }

    /// No requirement.
    pub(crate) fn nothing() -> Self {
        Self {
            missing: None,
            required: false,
        }
    }

    /// A container engine; `WSGIBENCH_REQUIRE_DOCKER=1` requires it.
    pub(crate) fn engine() -> Self {
        let missing = (!succeeds("docker", "info")).then_some("no container engine answers");
        Self::new(missing, "WSGIBENCH_REQUIRE_DOCKER")
    }

    /// Python 3, which is never required.
    pub(crate) fn python() -> Self {
        let missing = (!succeeds("python3", "--version")).then_some("python3 is not installed");
        Self::new(missing, "WSGIBENCH_REQUIRE_PYTHON")
    }

    /// Valgrind; `WSGIBENCH_REQUIRE_VALGRIND=1` requires it.
    pub(crate) fn valgrind() -> Self {
        let missing = (!succeeds("valgrind", "--version")).then_some("valgrind is not installed");
        Self::new(missing, "WSGIBENCH_REQUIRE_VALGRIND")
    }

    /// A package index that pip reaches; `WSGIBENCH_REQUIRE_INDEX=1` requires it. The check takes seconds, so it is left out with
    /// `--list` and with `--ignored`, which tests pass when they run this program as a helper.
    pub(crate) fn index() -> Self {
        let tries = !std::env::args().any(|argument| argument == "--ignored" || argument == "--list");
        let missing = (tries && !pip_reaches_its_index()).then_some("pip reaches no package index");
        Self::new(missing, "WSGIBENCH_REQUIRE_INDEX")
    }

    /// Whether nothing is missing.
    pub(crate) fn is_met(&self) -> bool {
        self.missing.is_none()
    }

    /// Needs both.
    pub(crate) fn and(self, other: Self) -> Self {
        if self.missing.is_some() { self } else { other }
    }

    /// Returns a test of that name.
    pub(crate) fn trial(&self, name: &str, test: impl FnOnce() + Send + 'static) -> Trial {
        let missing = self.missing.clone();
        let ignored = missing.is_some() && !self.required;
        if let (true, Some(why)) = (ignored, &missing) {
            eprintln!("ignored, {why}: {name}");
        }
        let run = move || {
            if let Some(why) = missing {
                return Err(Failed::from(why));
            }
            test();
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(ignored)
    }
}

fn succeeds(program: &str, argument: &str) -> bool {
    let mut command = Command::new(program);
    exits_successfully(command.arg(argument))
}

fn exits_successfully(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Whether pip in a virtual environment can download a small package.
fn pip_reaches_its_index() -> bool {
    let folder = tempfile::tempdir().unwrap();
    let script = "python3 -m venv venv && venv/bin/pip download --quiet --no-deps --dest . packaging==26.3";
    let mut command = Command::new("sh");
    command.args(["-c", script]).current_dir(folder.path());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Whether this program's arguments select the test. A requirement that takes minutes to check is checked only then.
pub(crate) fn selects(name: &str) -> bool {
    let arguments = Arguments::from_args();
    let matches = |filter: &String| {
        if arguments.exact {
            filter == name
        } else {
            name.contains(filter.as_str())
        }
    };
    !arguments.list
        && !arguments.ignored
        && arguments.filter.as_ref().is_none_or(matches)
        && !arguments.skip.iter().any(matches)
}

/// Runs the tests as libtest does, with libtest's arguments.
pub(crate) fn run(trials: Vec<Trial>) -> ExitCode {
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Runs tests that mostly wait for other processes: twice as many at a time as there are CPUs, unless an argument tells a number.
pub(crate) fn run_waiting(trials: Vec<Trial>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    arguments.test_threads.get_or_insert(2 * cpus);
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Runs tests that mostly wait for other processes, then one at a time those that need the CPUs for themselves.
pub(crate) fn run_waiting_then_alone(waiting: Vec<Trial>, alone: Vec<Trial>) -> ExitCode {
    let arguments = Arguments::from_args();
    if arguments.list {
        return run_waiting(waiting.into_iter().chain(alone).collect());
    }
    let first = run_waiting(waiting);
    let one_at_a_time = Arguments {
        test_threads: Some(1),
        ..arguments
    };
    let second = libtest_mimic::run(&one_at_a_time, alone).exit_code();
    if first == ExitCode::SUCCESS { second } else { first }
}

/// Runs an async test on a runtime of its own.
pub(crate) fn block_on(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(test);
}

/// Returns tests named by the paths of their functions, as libtest names them: `trials!(need; a, module::b)`,
/// `trials!(need, async; c)`.
macro_rules! trials {
    ($need:expr, async; $($($test:ident)::+),* $(,)?) => {
        [$($need.trial(
            &$crate::needs::name(module_path!(), stringify!($($test)::+)),
            || $crate::needs::block_on($($test)::+()),
        )),*]
    };
    ($need:expr; $($($test:ident)::+),* $(,)?) => {
        [$($need.trial(&$crate::needs::name(module_path!(), stringify!($($test)::+)), $($test)::+)),*]
    };
}
pub(crate) use trials;

/// Returns the path of a function below the crate.
pub(crate) fn name(module: &str, function: &str) -> String {
    let function = function.replace(' ', "");
    match module.split_once("::") {
        Some((_, below)) => format!("{below}::{function}"),
        None => function,
    }
}
