//! What the application under test says that it was given.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{dialogue::Transcript, reading::Answer};

/// The answer of `/conformance/see`. Text is as WSGI has it: each byte a character.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) body: String,
    /// Everything of `environ` that begins with `HTTP_`.
    pub(super) headers: BTreeMap<String, String>,
}

/// What it was given, if this is an answer of that route.
pub(super) fn seen(answer: &Answer) -> Option<Seen> {
    (answer.status == 200)
        .then(|| serde_json::from_slice(&answer.body).ok())
        .flatten()
}

/// What became of a request that a server should refuse, or may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectionOutcome {
    /// Refused with this status, 400 to 599.
    Said(u16),
    /// The connection ended without an answer.
    Dropped,
    /// Nothing came, and the connection is open still.
    Silent,
    /// Taken, with this status.
    Taken(u16),
    /// Something came that is no HTTP/1.x.
    Noise,
}

/// What became of the first request of a dialogue.
pub(super) fn fate(transcript: &Transcript) -> ConnectionOutcome {
    let reading = transcript.reading();
    match reading.answers.first() {
        Some(answer) if answer.status >= 400 => ConnectionOutcome::Said(answer.status),
        Some(answer) => ConnectionOutcome::Taken(answer.status),
        None if !reading.stray.is_empty() => ConnectionOutcome::Noise,
        None if transcript.ended() => ConnectionOutcome::Dropped,
        None => ConnectionOutcome::Silent,
    }
}
