//! The request as reported by the application under test.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{dialogue::Transcript, reading::Answer};

/// The response of `/conformance/see`. Text is in WSGI form: one character for each byte.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) body: String,
    /// All `environ` entries whose key begins with `HTTP_`.
    pub(super) headers: BTreeMap<String, String>,
}

/// Parses a response of the `see` route; returns `None` for any other response.
pub(super) fn seen(answer: &Answer) -> Option<Seen> {
    (answer.status == 200)
        .then(|| serde_json::from_slice(&answer.body).ok())
        .flatten()
}

/// The server's reaction to a request that it may or must reject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectionOutcome {
    /// Rejected with this status, 400 to 599.
    Rejected(u16),
    /// Closed without a response.
    Dropped,
    /// No response, and the connection is still open.
    Silent,
    /// Accepted, with this status.
    Accepted(u16),
    /// Responded with something other than HTTP/1.x.
    NotHttp,
}

/// Returns the reaction to the first request of a dialogue.
pub(super) fn connection_outcome(transcript: &Transcript) -> ConnectionOutcome {
    let reading = transcript.reading();
    match reading.answers.first() {
        Some(answer) if answer.status >= 400 => ConnectionOutcome::Rejected(answer.status),
        Some(answer) => ConnectionOutcome::Accepted(answer.status),
        None if !reading.stray.is_empty() => ConnectionOutcome::NotHttp,
        None if transcript.ended() => ConnectionOutcome::Dropped,
        None => ConnectionOutcome::Silent,
    }
}
