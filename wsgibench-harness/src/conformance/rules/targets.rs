//! Request targets: absolute form, percent escapes and `*`.

use super::{
    super::rule::Needs, ConnectionOutcome, Dialogue, Rule, SEE, connection_outcome, fail, first_seen, not_taken, pass,
    short, tolerated,
};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "absolute-uri",
        title: "an absolute-form target is accepted, and its path is used",
        source: "RFC 9112 3.2.2",
        required_for: None,
        needs: Needs::Routes,
        dialogues: |site| {
            let target = format!("http://{}{SEE}?n=1", site.host);
            vec![Dialogue::ask(&["GET"], site.get(&target))]
        },
        judge: |t| match first_seen(&t[0]) {
            Some(seen) if seen.path == SEE && seen.query == "n=1" => pass("path and query reach the application"),
            Some(seen) => fail(format!("the application receives the path `{}`", short(&seen.path))),
            None => not_taken(&t[0]),
        },
    },
    Rule {
        id: "escaped-path",
        title: "percent escapes in the path are decoded to bytes",
        source: "PEP 3333, RFC 3875 4.1.5",
        required_for: None,
        needs: Needs::Routes,
        dialogues: |site| vec![Dialogue::ask(&["GET"], site.get("/conformance/see/caf%C3%A9%20x%25"))],
        judge: |t| match first_seen(&t[0]) {
            // UTF-8 bytes, each as a character.
            Some(seen) if seen.path == "/conformance/see/caf\u{c3}\u{a9} x%" => pass("as PEP 3333 requires"),
            Some(seen) => fail(format!("the application receives the path `{}`", short(&seen.path))),
            None => not_taken(&t[0]),
        },
    },
    Rule {
        id: "raw-query",
        title: "the query string reaches the application undecoded",
        source: "PEP 3333, RFC 3875 4.1.7",
        required_for: None,
        needs: Needs::Routes,
        dialogues: |site| vec![Dialogue::ask(&["GET"], site.get(&format!("{SEE}?a=%20b&c=%26%3D+d?e")))],
        judge: |t| match first_seen(&t[0]) {
            Some(seen) if seen.query == "a=%20b&c=%26%3D+d?e" => pass("unchanged"),
            Some(seen) => fail(format!("the application receives the query `{}`", short(&seen.query))),
            None => not_taken(&t[0]),
        },
    },
    Rule {
        id: "options-star",
        title: "`OPTIONS *` is answered",
        source: "RFC 9110 9.3.7",
        required_for: None,
        needs: Needs::Nothing,
        dialogues: |site| vec![Dialogue::ask(&["OPTIONS"], site.head("OPTIONS * HTTP/1.1") + "\r\n")],
        judge: |t| match connection_outcome(&t[0]) {
            ConnectionOutcome::Accepted(status) | ConnectionOutcome::Rejected(status) if status < 500 => {
                pass(format!("{status}"))
            }
            ConnectionOutcome::Accepted(status) | ConnectionOutcome::Rejected(status) => tolerated(format!("{status}")),
            ConnectionOutcome::Dropped | ConnectionOutcome::NotHttp => tolerated("closes without a response"),
            ConnectionOutcome::Silent => fail("does not respond"),
        },
    },
];
