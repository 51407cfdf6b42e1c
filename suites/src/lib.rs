//! The reference servers, scenarios and profiles of wsgibench.
