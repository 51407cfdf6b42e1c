#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wsgibench_harness::fuzzing::recovery(data));
