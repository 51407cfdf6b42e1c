//! The attributes `#[server]` and `#[scenario]` of wsgibench.
