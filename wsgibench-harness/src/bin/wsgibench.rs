//! The `wsgibench` command: a project of one's own, a look at the machine, and work on stored runs.
//!
//! Measuring itself is `cargo bench`.

fn main() -> std::process::ExitCode {
    wsgibench_harness::tool::main()
}
