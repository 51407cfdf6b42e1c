//! Both sandboxes, with real processes and a real container engine. One program, because its tests mostly wait, and because one check
//! of the package index is enough for all of them.

#[cfg(feature = "docker")]
mod docker;
#[path = "../needs/mod.rs"]
mod needs;
mod process;
mod support;
mod tls;

use std::process::ExitCode;

use needs::Need;

/// Requirements of the tests of this program.
struct Needs {
    python: Need,
    engine: Need,
    index: Need,
}

fn main() -> ExitCode {
    let needs = Needs {
        python: Need::python(),
        engine: Need::engine(),
        index: Need::index(),
    };
    // The longest begin first.
    let mut tests = tls::trials(&needs);
    tests.extend(process::trials(&needs));
    #[cfg(feature = "docker")]
    tests.extend(docker::trials(&needs));
    needs::run_waiting(tests)
}
