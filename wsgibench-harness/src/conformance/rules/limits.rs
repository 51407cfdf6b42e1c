//! Size limits and malformed request lines.

use super::{
    super::rule::Needs, ConnectionOutcome, Dialogue, Rule, Site, connection_outcome, fail, must_be_refused, pass,
    tolerated,
};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "head-12k",
        title: "a 12 KB request head is accepted, or rejected with a status",
        source: "RFC 9110 5.4, RFC 6585 5",
        required_for: None,
        needs: Needs::Nothing,
        dialogues: |site| padded(site, 12 << 10),
        judge: |t| match connection_outcome(&t[0]) {
            ConnectionOutcome::Accepted(_) => pass("taken"),
            ConnectionOutcome::Rejected(status) => tolerated(format!("rejected with {status}")),
            ConnectionOutcome::Dropped | ConnectionOutcome::NotHttp => fail("closes without a response"),
            ConnectionOutcome::Silent => fail("does not respond"),
        },
    },
    Rule {
        id: "head-1m",
        title: "a 1 MB request head is rejected",
        source: "RFC 9110 5.4, RFC 6585 5",
        required_for: None,
        needs: Needs::Nothing,
        dialogues: |site| padded(site, 1 << 20),
        judge: |t| match connection_outcome(&t[0]) {
            ConnectionOutcome::Accepted(_) => tolerated("accepted: each client can occupy a megabyte of memory"),
            ConnectionOutcome::Rejected(status) => pass(format!("{status}")),
            ConnectionOutcome::Dropped | ConnectionOutcome::NotHttp => tolerated("closes without a response"),
            ConnectionOutcome::Silent => fail("neither responds nor closes"),
        },
    },
    Rule {
        id: "target-16k",
        title: "a 16 KB request target is accepted, or rejected with a status",
        source: "RFC 9112 3",
        required_for: None,
        needs: Needs::Nothing,
        dialogues: |site| {
            let target = format!("{}?{}", site.path, "a".repeat(16 << 10));
            vec![Dialogue::ask(&["GET"], site.get(&target))]
        },
        judge: |t| match connection_outcome(&t[0]) {
            ConnectionOutcome::Accepted(_) => pass("taken"),
            ConnectionOutcome::Rejected(status) => pass(format!("rejected with {status}")),
            ConnectionOutcome::Dropped | ConnectionOutcome::NotHttp => fail("closes without a response"),
            ConnectionOutcome::Silent => fail("does not respond"),
        },
    },
    Rule {
        id: "bad-line",
        title: "a malformed request line is rejected",
        source: "RFC 9112 3",
        required_for: None,
        needs: Needs::Nothing,
        dialogues: |_| vec![Dialogue::ask(&["GET"], "NONSENSE\r\n\r\n")],
        judge: |t| must_be_refused(&t[0], |status| fail(format!("responds with {status}"))),
    },
    Rule {
        id: "bad-version",
        title: "an invalid HTTP version is rejected",
        source: "RFC 9112 2.3, RFC 9110 15.6.6",
        required_for: None,
        needs: Needs::Nothing,
        dialogues: |site| {
            let head = site.head(&format!("GET {} HTTP/one", site.path));
            vec![Dialogue::ask(&["GET"], head + "\r\n")]
        },
        judge: |t| must_be_refused(&t[0], |status| tolerated(format!("responds with {status}"))),
    },
    Rule {
        id: "four-words",
        title: "a request line with four parts is rejected",
        source: "RFC 9112 3",
        required_for: None,
        needs: Needs::Nothing,
        dialogues: |site| {
            let head = site.head(&format!("GET {} extra HTTP/1.1", site.path));
            vec![Dialogue::ask(&["GET"], head + "\r\n")]
        },
        judge: |t| must_be_refused(&t[0], |status| tolerated(format!("responds with {status}"))),
    },
    Rule {
        id: "control-in-target",
        title: "a control character in the target is rejected",
        source: "RFC 9112 3.2",
        required_for: None,
        needs: Needs::Nothing,
        dialogues: |site| {
            let get = site.get(&format!("{}?a=\x01b", site.path));
            vec![Dialogue::ask(&["GET"], get)]
        },
        judge: |t| must_be_refused(&t[0], |status| tolerated(format!("responds with {status}"))),
    },
];

/// Returns a GET with one header of about this many bytes.
fn padded(site: &Site, bytes: usize) -> Vec<Dialogue> {
    let head = site.head(&format!("GET {} HTTP/1.1", site.path));
    vec![Dialogue::ask(
        &["GET"],
        format!("{head}X-Padding: {}\r\n\r\n", "p".repeat(bytes)),
    )]
}
