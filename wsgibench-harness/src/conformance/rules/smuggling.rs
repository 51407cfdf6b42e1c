//! Request smuggling: requests with ambiguous framing, which a server and a proxy in front of it may split differently.

use super::{
    super::rule::Needs, ConnectionOutcome, Dialogue, Judgement, Rule, SEE, Site, Transcript, connection_outcome, fail,
    first_seen, must_be_refused, not_taken, pass, tolerated,
};

/// `hello` as a chunked body.
const HELLO: &str = "5\r\nhello\r\n0\r\n\r\n";

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "lengths-differ",
        title: "two different Content-Length values are rejected",
        source: "RFC 9112 6.3",
        required_for: None,
        needs: Needs::Routes,
        dialogues: |site| post(site, "Content-Length: 5\r\nContent-Length: 6\r\n", "hello!"),
        judge: |t| must_be_refused(&t[0], taken),
    },
    Rule {
        id: "lengths-same",
        title: "a repeated identical Content-Length is rejected, or merged",
        source: "RFC 9110 8.6",
        required_for: None,
        needs: Needs::Routes,
        dialogues: |site| post(site, "Content-Length: 5\r\nContent-Length: 5\r\n", "hello"),
        judge: |t| match first_seen(&t[0]) {
            Some(seen) if seen.body == "hello" => pass("treated as one"),
            Some(seen) => fail(format!("the application receives {} of 5 bytes", seen.body.len())),
            None => must_be_refused(&t[0], taken),
        },
    },
    Rule {
        id: "length-and-chunks",
        title: "Content-Length with chunked coding is rejected, or ignored and the connection closed",
        source: "RFC 9112 6.1, 6.3",
        required_for: None,
        needs: Needs::Routes,
        dialogues: |site| post(site, "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", HELLO),
        judge: |t| match first_seen(&t[0]) {
            Some(seen) if seen.body == "hello" && t[0].ended() => pass("uses the chunks, and closes the connection"),
            Some(seen) if seen.body == "hello" => {
                tolerated("uses the chunks, but keeps the connection open, which is not allowed")
            }
            Some(seen) => fail(format!(
                "uses the length: the application receives {} bytes, the rest stays on the connection",
                seen.body.len()
            )),
            None => must_be_refused(&t[0], taken),
        },
    },
    Rule {
        id: "coding-unknown",
        title: "an unknown transfer coding is rejected",
        source: "RFC 9112 6.1",
        required_for: None,
        needs: Needs::Routes,
        dialogues: |site| post(site, "Transfer-Encoding: xchunked\r\n", HELLO),
        judge: |t| must_be_refused(&t[0], taken),
    },
    Rule {
        id: "chunked-not-last",
        title: "a request whose final transfer coding is not chunked is rejected",
        source: "RFC 9112 6.3",
        required_for: None,
        needs: Needs::Routes,
        dialogues: |site| post(site, "Transfer-Encoding: chunked, identity\r\n", HELLO),
        judge: |t| must_be_refused(&t[0], taken),
    },
    Rule {
        id: "length-signed",
        title: "a Content-Length with a plus sign is rejected",
        source: "RFC 9110 8.6",
        required_for: None,
        needs: Needs::Routes,
        dialogues: |site| post(site, "Content-Length: +5\r\n", "hello"),
        judge: |t| must_be_refused(&t[0], taken),
    },
    Rule {
        id: "length-negative",
        title: "a negative Content-Length is rejected",
        source: "RFC 9110 8.6",
        required_for: None,
        needs: Needs::Routes,
        dialogues: |site| post(site, "Content-Length: -5\r\n", "hello"),
        judge: |t| must_be_refused(&t[0], taken),
    },
    Rule {
        id: "chunk-size-prefixed",
        title: "a chunk size with a `0x` prefix is rejected",
        source: "RFC 9112 7.1",
        required_for: None,
        needs: Needs::Routes,
        dialogues: |site| chunked(site, "0x5\r\nhello\r\n0\r\n\r\n"),
        judge: bad_chunk,
    },
    Rule {
        id: "chunk-size-huge",
        title: "a chunk size larger than 64 bits is rejected",
        source: "RFC 9112 7.1",
        required_for: None,
        needs: Needs::Routes,
        dialogues: |site| chunked(site, "10000000000000005\r\nhello\r\n0\r\n\r\n"),
        judge: bad_chunk,
    },
    Rule {
        id: "chunk-end-missing",
        title: "a chunk without its terminating CRLF is rejected",
        source: "RFC 9112 7.1",
        required_for: None,
        needs: Needs::Routes,
        dialogues: |site| chunked(site, "5\r\nhelloXX0\r\n\r\n"),
        judge: bad_chunk,
    },
];

fn post(site: &Site, lines: &str, body: &str) -> Vec<Dialogue> {
    vec![Dialogue::ask(&["POST"], site.post(SEE, lines, body))]
}

fn chunked(site: &Site, body: &str) -> Vec<Dialogue> {
    post(site, "Transfer-Encoding: chunked\r\n", body)
}

fn taken(status: u16) -> Judgement {
    fail(format!("responds with {status}"))
}

/// Judges a malformed body, which must not be accepted as complete. An application may block reading it until the client disconnects.
fn bad_chunk(t: &[Transcript]) -> Judgement {
    match (first_seen(&t[0]), connection_outcome(&t[0])) {
        (Some(seen), _) if seen.body.is_empty() => fail("responds with 200, but the application receives nothing"),
        (Some(seen), _) => fail(format!(
            "responds with 200, but the application receives {} bytes",
            seen.body.len()
        )),
        (None, ConnectionOutcome::Silent) => tolerated("waits for more"),
        (None, ConnectionOutcome::Accepted(_) | ConnectionOutcome::NotHttp) => not_taken(&t[0]),
        (None, _) => must_be_refused(&t[0], taken),
    }
}
