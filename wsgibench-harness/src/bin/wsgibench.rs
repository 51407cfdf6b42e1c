//! The `wsgibench` command.
fn main() {}
