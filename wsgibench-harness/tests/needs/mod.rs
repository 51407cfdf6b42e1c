//! Tests that need a program which a machine may lack: where it is missing they are reported as ignored, and fail where an environment
//! variable requires it.
#![allow(dead_code, unused_macros, unused_imports, reason = "each test program uses a part")]

use std::process::{Command, ExitCode, Stdio};

use libtest_mimic::{Arguments, Failed, Trial};

/// What a machine may lack.
#[derive(Clone, Debug)]
pub(crate) struct Need {
    /// Why it cannot be used; `None` where it can.
    missing: Option<String>,
    required: bool,
}

impl Need {
    /// `missing` is why it cannot be used; the switch `variable` in the environment requires it.
    pub(crate) fn new(missing: Option<&str>, variable: &str) -> Self {
        Self {
            missing: missing.map(str::to_owned),
            required: wsgibench_harness::__private::switch(variable).unwrap(),
        }
    }

    /// A container engine; `WSGIBENCH_REQUIRE_DOCKER=1` requires it.
    pub(crate) fn engine() -> Self {
        let missing = (!succeeds("docker", "info")).then_some("no container engine answers");
        Self::new(missing, "WSGIBENCH_REQUIRE_DOCKER")
    }

    /// Python 3; nothing requires it.
    pub(crate) fn python() -> Self {
        let missing = (!succeeds("python3", "--version")).then_some("python3 is not installed");
        Self::new(missing, "WSGIBENCH_REQUIRE_PYTHON")
    }

    /// A test of that name.
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
    command.arg(argument).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Runs the tests as libtest does, with its arguments.
pub(crate) fn run(trials: Vec<Trial>) -> ExitCode {
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// The same, one test at a time.
pub(crate) fn run_serially(trials: Vec<Trial>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Runs an async test on a runtime of its own.
pub(crate) fn block_on(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(test);
}

/// Tests by the names of their functions: `trials!(need; a, module::b)`, `trials!(need, async; c)`.
macro_rules! trials {
    ($need:expr, async; $($($test:ident)::+),* $(,)?) => {
        [$($need.trial($crate::needs::last(stringify!($($test)::+)), || $crate::needs::block_on($($test)::+()))),*]
    };
    ($need:expr; $($($test:ident)::+),* $(,)?) => {
        [$($need.trial($crate::needs::last(stringify!($($test)::+)), $($test)::+)),*]
    };
}
pub(crate) use trials;

/// The last name of a path.
pub(crate) fn last(path: &'static str) -> &'static str {
    path.rsplit("::").next().unwrap_or(path).trim()
}
