//! Every message of what the attributes refuse: `ui/*.rs` give exactly `ui/*.stderr`. What they accept is in `ui/pass/`, each
//! a test of its own. After changing a message: `TRYBUILD=overwrite cargo test --test ui`.

#[test]
fn ui() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/*.rs");
}
