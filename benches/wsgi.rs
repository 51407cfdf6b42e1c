//! The main job.
use wsgibench_suites as _;

wsgibench_harness::main!();
