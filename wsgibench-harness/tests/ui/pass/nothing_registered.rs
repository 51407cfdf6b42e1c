//! Without registrations the error names the remedy.

fn main() {
    let error = wsgibench_harness::declare::Declarations::collect()
        .unwrap_err()
        .to_string();
    assert!(error.contains("no server is registered"), "{error}");
    assert!(error.contains("no scenario is registered"), "{error}");
    assert!(error.contains("`use my_suite as _;`"), "{error}");
}
