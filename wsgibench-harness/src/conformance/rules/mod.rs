//! The rules, one file for each subject.

mod bodies;
mod connections;
mod fields;
mod limits;
mod smuggling;
mod targets;
mod wsgi;

use super::{
    dialogue::{Dialogue, Site, Transcript},
    rule::{Judgement, Rule, fail, pass, tolerated},
    seen::{ConnectionOutcome, Seen, connection_outcome, seen},
};

/// All rules in display order.
pub(super) const ALL: &[&[Rule]] = &[
    connections::RULES,
    bodies::RULES,
    limits::RULES,
    fields::RULES,
    targets::RULES,
    smuggling::RULES,
    wsgi::RULES,
];

/// The route that reports the request as the application received it.
const SEE: &str = "/conformance/see";

/// Returns whether the application has the suite's conformance routes.
pub(super) fn has_routes(site: &Site) -> bool {
    let transcript = Dialogue::ask(&["GET"], site.get(SEE)).hold(site);
    first_seen(&transcript).is_some()
}

/// Returns the first request as the application received it.
fn first_seen(transcript: &Transcript) -> Option<Seen> {
    seen(transcript.reading().answers.first()?)
}

/// Judges a request that must be rejected; `taken` judges an accepted one.
fn must_be_refused(transcript: &Transcript, taken: fn(u16) -> Judgement) -> Judgement {
    match connection_outcome(transcript) {
        ConnectionOutcome::Rejected(status @ (400..=499 | 501 | 505)) => pass(format!("{status}")),
        ConnectionOutcome::Rejected(status) => tolerated(format!("{status}, although the client caused the error")),
        ConnectionOutcome::Dropped => tolerated("closes without a response"),
        ConnectionOutcome::NotHttp => tolerated("rejects with a response that is not HTTP/1.1"),
        ConnectionOutcome::Silent => fail("neither responds nor closes"),
        ConnectionOutcome::Accepted(status) => taken(status),
    }
}

/// Judges a request that must be accepted but was not.
fn not_taken(transcript: &Transcript) -> Judgement {
    match connection_outcome(transcript) {
        ConnectionOutcome::Rejected(status) | ConnectionOutcome::Accepted(status) => {
            fail(format!("responds with {status}"))
        }
        ConnectionOutcome::Dropped => fail("closes without a response"),
        ConnectionOutcome::Silent => fail("does not respond"),
        ConnectionOutcome::NotHttp => fail("responds with bytes that are not HTTP/1.1"),
    }
}

/// Truncates text to 100 characters and replaces control characters.
fn short(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if clean.chars().count() <= 100 {
        return clean;
    }
    clean.chars().take(99).chain(['…']).collect()
}
