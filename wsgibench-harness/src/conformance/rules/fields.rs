//! Header fields: syntax, folding and repetition.

use super::{
    super::rule::Needs, ConnectionOutcome, Dialogue, Rule, SEE, Site, connection_outcome, fail, first_seen,
    must_be_refused, not_taken, pass, tolerated,
};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "no-host",
        title: "a request without Host is rejected",
        source: "RFC 9112 3.2",
        required_for: None,
        needs: Needs::Nothing,
        dialogues: |site| vec![Dialogue::ask(&["GET"], format!("GET {} HTTP/1.1\r\n\r\n", site.path))],
        judge: |t| must_be_refused(&t[0], |status| tolerated(format!("responds with {status}"))),
    },
    Rule {
        id: "two-hosts",
        title: "a request with two Host headers is rejected",
        source: "RFC 9112 3.2",
        required_for: None,
        needs: Needs::Nothing,
        dialogues: |site| vec![with(site, "Host: other.example\r\n")],
        judge: |t| {
            must_be_refused(&t[0], |status| {
                fail(format!("responds with {status}: proxies may choose the other host"))
            })
        },
    },
    Rule {
        id: "blank-before-colon",
        title: "whitespace between a header name and its colon is rejected",
        source: "RFC 9112 5.1",
        required_for: None,
        needs: Needs::Nothing,
        dialogues: |site| vec![with(site, "X-Odd : a\r\n")],
        judge: |t| {
            must_be_refused(&t[0], |status| {
                fail(format!(
                    "responds with {status}: a proxy may parse the header differently"
                ))
            })
        },
    },
    Rule {
        id: "folded",
        title: "a folded header is rejected, or unfolded with a space",
        source: "RFC 9112 5.2",
        required_for: None,
        needs: Needs::Routes,
        dialogues: |site| vec![see_with(site, "X-Folded: a\r\n b\r\n")],
        judge: |t| match (first_seen(&t[0]), connection_outcome(&t[0])) {
            (Some(seen), _) => {
                let value = seen
                    .headers
                    .get("HTTP_X_FOLDED")
                    .map(|value| value.split_whitespace().collect::<Vec<_>>());
                match value.as_deref() {
                    Some(["a", "b"]) => pass("unfolded"),
                    Some(_) => fail("the value is truncated"),
                    None => fail("the header is lost"),
                }
            }
            (None, ConnectionOutcome::Rejected(status @ 400..=499)) => pass(format!("{status}")),
            (None, ConnectionOutcome::Dropped) => tolerated("closes without a response"),
            _ => not_taken(&t[0]),
        },
    },
    Rule {
        id: "nul-in-field",
        title: "a NUL in a header value is rejected or replaced",
        source: "RFC 9110 5.5",
        required_for: None,
        needs: Needs::Routes,
        dialogues: |site| vec![see_with(site, "X-Nul: a\0b\r\n")],
        judge: |t| match first_seen(&t[0]) {
            Some(seen) if seen.headers.get("HTTP_X_NUL").is_none_or(|value| value == "a b") => {
                pass("replaced or removed")
            }
            _ => must_be_refused(&t[0], |_| fail("the application receives the NUL")),
        },
    },
    Rule {
        id: "underscore",
        title: "`X_Key` is not passed to the application as `X-Key`",
        source: "CGI names, RFC 3875 4.1.18",
        required_for: None,
        needs: Needs::Routes,
        dialogues: |site| vec![see_with(site, "X_Key: forged\r\n")],
        judge: |t| match first_seen(&t[0]) {
            Some(seen) if seen.headers.contains_key("HTTP_X_KEY") => {
                tolerated("the application cannot distinguish them")
            }
            Some(_) => pass("removed"),
            None => must_be_refused(&t[0], |status| tolerated(format!("responds with {status}"))),
        },
    },
    Rule {
        id: "fields-joined",
        title: "a repeated header reaches the application with both values",
        source: "RFC 9110 5.3, RFC 3875 4.1.18",
        required_for: None,
        needs: Needs::Routes,
        dialogues: |site| vec![see_with(site, "X-Twice: a\r\nX-Other: c\r\nX-Twice: b\r\n")],
        judge: |t| match first_seen(&t[0]) {
            Some(seen) => {
                let value = seen.headers.get("HTTP_X_TWICE").cloned().unwrap_or_default();
                let parts: Vec<&str> = value.split(',').map(str::trim).collect();
                if parts == ["a", "b"] {
                    pass("both, in order")
                } else {
                    fail(format!("the application receives `{}`", super::short(&value)))
                }
            }
            None => not_taken(&t[0]),
        },
    },
    Rule {
        id: "cookies-apart",
        title: "two Set-Cookie headers are sent separately",
        source: "RFC 9110 5.3, RFC 6265 3",
        required_for: None,
        needs: Needs::Routes,
        dialogues: |site| vec![Dialogue::ask(&["GET"], site.get("/conformance/cookies"))],
        judge: |t| match t[0].reading().answers.first() {
            Some(answer) if answer.status == 200 => {
                let cookies = answer.headers.iter().filter(|(name, _)| name == "set-cookie");
                match cookies.map(|(_, value)| value.as_str()).collect::<Vec<_>>().as_slice() {
                    ["a=1", "b=2"] => pass("two"),
                    cookies => fail(format!("{}", cookies.len())),
                }
            }
            _ => not_taken(&t[0]),
        },
    },
    Rule {
        id: "date",
        title: "responses have a Date header",
        source: "RFC 9110 6.6.1",
        required_for: None,
        needs: Needs::Nothing,
        dialogues: |site| vec![Dialogue::ask(&["GET"], site.get(&site.path))],
        judge: |t| match t[0].reading().answers.first() {
            Some(answer) if answer.header("date").is_some() => pass("yes"),
            Some(_) => tolerated("no Date"),
            None => not_taken(&t[0]),
        },
    },
];

fn with(site: &Site, lines: &str) -> Dialogue {
    let head = site.head(&format!("GET {} HTTP/1.1", site.path));
    Dialogue::ask(&["GET"], format!("{head}{lines}\r\n"))
}

fn see_with(site: &Site, lines: &str) -> Dialogue {
    let head = site.head(&format!("GET {SEE} HTTP/1.1"));
    Dialogue::ask(&["GET"], format!("{head}{lines}\r\n"))
}
