//! Minimal records for tests.

use serde_json::{Value, json};

use super::record::{CaseOutcome, Environment, RoundRecord, RunRecord, SCHEMA_VERSION, Validity};
use crate::{declare::Profile, load};

/// Returns a run of these cases, as made by [`case`].
pub(crate) fn run(id: &str, cases: &[Value]) -> RunRecord {
    serde_json::from_value(json!({
        "schema_version": SCHEMA_VERSION, "harness_version": "0", "id": id, "started": "2026-01-01T00:00:00Z", "finished": null,
        "interrupted": false, "seed": 1, "profile": Profile::default(), "arguments": [], "environment": Environment::default(),
        "notices": [], "servers": [], "cases": cases, "ceiling": null
    }))
    .expect("a run as an older version may have written it")
}

/// Returns a case with one connection.
pub(crate) fn case(server: &str, outcome: &CaseOutcome, launches: &[Value]) -> Value {
    json!({"id": format!("ping/{server}/c1"), "scenario": "ping", "server": server, "param": "c1", "values": [], "description": "",
        "load": load::Load::closed(1).for_script(), "outcome": outcome, "launches": launches, "validity": Validity::default()})
}

/// Returns a launch without rounds.
pub(crate) fn launch(block: u32, arm: &str, start_up_seconds: f64, reference: [f64; 2]) -> Value {
    json!({"index": block, "block": block, "arm": arm, "started": "2026-01-01T00:00:00Z", "start_up_seconds": start_up_seconds,
        "address": "127.0.0.1:1", "memory_at_rest_bytes": 1, "rounds": [], "reference": reference, "error": null, "log": null})
}

/// Returns a round without requests.
pub(crate) fn round() -> RoundRecord {
    serde_json::from_value(json!({
        "index": 0, "load": load::RoundResult::default(), "server_cpu_user_seconds": 0.0, "server_cpu_system_seconds": 0.0,
        "server_cpu_seconds": 0.0, "throttled_seconds": 0.0, "memory_mean_bytes": 0, "memory_peak_bytes": 0, "server_series": [],
        "metrics": {}, "validity": Validity::default(),
    }))
    .expect("a round")
}
