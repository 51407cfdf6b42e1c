//! The default bench: runs the reference suite.
use wsgibench_suites as _;

wsgibench_harness::main!();
