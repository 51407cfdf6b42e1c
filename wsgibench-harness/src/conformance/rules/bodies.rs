//! Request and response bodies.

use std::time::Duration;

use super::{
    super::{
        dialogue::Step,
        reading::Framing,
        rule::{Feature, Needs, refused},
    },
    ConnectionOutcome, Dialogue, Judgement, Rule, SEE, Transcript, connection_outcome, fail, first_seen, not_taken,
    pass, tolerated,
};

/// Three chunks, 11 bytes in total.
const CHUNKS: &str = "5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n";
const WORDS: &str = "hello world";

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "length-body",
        title: "a body with Content-Length reaches the application complete",
        source: "RFC 9112 6.2",
        required_for: None,
        needs: Needs::Routes,
        dialogues: |site| {
            let body = "wsgi".repeat(5_000);
            vec![Dialogue::ask(
                &["POST"],
                site.post(SEE, "Content-Length: 20000\r\n", &body),
            )]
        },
        judge: |t| match first_seen(&t[0]) {
            Some(seen) if seen.body == "wsgi".repeat(5_000) => pass("20,000 of 20,000 bytes"),
            Some(seen) => fail(format!("the application receives {} of 20,000 bytes", seen.body.len())),
            None => not_taken(&t[0]),
        },
    },
    Rule {
        id: "chunked-body",
        title: "a chunked body reaches the application complete, or is rejected",
        source: "RFC 9112 7.1",
        required_for: Some(Feature::ChunkedRequests),
        needs: Needs::Routes,
        dialogues: |site| {
            vec![Dialogue::ask(
                &["POST"],
                site.post(SEE, "Transfer-Encoding: chunked\r\n", CHUNKS),
            )]
        },
        judge: chunked_body,
    },
    Rule {
        id: "chunk-extras",
        title: "chunk extensions and trailers are ignored",
        source: "RFC 9112 7.1.1, 7.1.2",
        required_for: None,
        needs: Needs::Routes,
        dialogues: |site| {
            let body = "5;name=\"va;lue\"\r\nhello\r\n6\r\n world\r\n0\r\nX-Trailer: t\r\n\r\n";
            vec![Dialogue::ask(
                &["POST"],
                site.post(SEE, "Transfer-Encoding: chunked\r\n", body),
            )]
        },
        judge: |t| match (first_seen(&t[0]), connection_outcome(&t[0])) {
            (Some(seen), _) if seen.body == WORDS => pass("the application receives the body without them"),
            (Some(seen), _) => fail(format!("the application receives {} of 11 bytes", seen.body.len())),
            (None, ConnectionOutcome::Rejected(status @ 400..=501)) => tolerated(format!("rejects with {status}")),
            _ => not_taken(&t[0]),
        },
    },
    Rule {
        id: "expect-continue",
        title: "a client that sends `Expect: 100-continue` receives 100 (Continue)",
        source: "RFC 9110 10.1.1",
        required_for: Some(Feature::ExpectContinue),
        needs: Needs::Routes,
        dialogues: |site| {
            let head = site.post(SEE, "Content-Length: 11\r\nExpect: 100-continue\r\n", "");
            vec![Dialogue::of(
                &["POST"],
                vec![
                    Step::Send(head.into()),
                    Step::Interim(Duration::from_millis(1_500)),
                    Step::Send(WORDS.into()),
                    Step::Answers(1),
                ],
            )]
        },
        judge: expect_continue,
    },
    Rule {
        id: "unread-body",
        title: "an unread body is not parsed as the next request",
        source: "RFC 9112 9.3, 11.2",
        required_for: None,
        needs: Needs::Routes,
        dialogues: |site| {
            let hidden = site.get(&format!("{SEE}?hidden=1"));
            let lines = format!("Content-Length: {}\r\n", hidden.len());
            let both = site.post("/conformance/unread", &lines, &hidden) + &site.get(&format!("{SEE}?next=1"));
            vec![Dialogue::ask(&["POST", "GET"], both)]
        },
        judge: |t| {
            let reading = t[0].reading();
            let queries: Vec<String> = reading
                .answers
                .iter()
                .filter_map(super::seen)
                .map(|seen| seen.query)
                .collect();
            match queries.first().map(String::as_str) {
                Some("hidden=1") => fail("the body is parsed as a request"),
                Some(_) => pass("skips the body"),
                None if t[0].ended() && !reading.answers.is_empty() => pass("responds and closes"),
                None if reading.answers.len() == 1 => tolerated("responds, but does not accept another request"),
                None => not_taken(&t[0]),
            }
        },
    },
    Rule {
        id: "unknown-length",
        title: "the end of a response without Content-Length is detectable",
        source: "RFC 9112 6.3",
        required_for: None,
        needs: Needs::Routes,
        dialogues: |site| vec![Dialogue::ask(&["GET"], site.get("/conformance/streamed"))],
        judge: |t| match t[0].reading().answers.first() {
            Some(answer) if !answer.whole => fail("the response has no end: clients wait forever"),
            Some(answer) if answer.framing == Framing::Chunked => pass("chunked"),
            Some(answer) if answer.framing == Framing::Close => tolerated("ends with the close of the connection"),
            Some(_) => pass("with a Content-Length: buffered until the length was known"),
            None => not_taken(&t[0]),
        },
    },
];

fn chunked_body(t: &[Transcript]) -> Judgement {
    match (first_seen(&t[0]), connection_outcome(&t[0])) {
        (Some(seen), _) if seen.body == WORDS => pass("11 of 11 bytes"),
        (Some(seen), _) => fail(format!(
            "responds with 200, but the application receives {} of 11 bytes",
            seen.body.len()
        )),
        (None, ConnectionOutcome::Rejected(status @ (411 | 501))) => refused(format!("rejects with {status}")),
        _ => not_taken(&t[0]),
    }
}

fn expect_continue(t: &[Transcript]) -> Judgement {
    let reading = t[0].reading();
    match (reading.interim.first(), first_seen(&t[0])) {
        (Some(100), Some(seen)) if seen.body == WORDS => pass("sends 100 and accepts the body"),
        (Some(status), _) => fail(format!("sends {status} and then loses the body")),
        (None, Some(_)) => fail("never sends 100: clients wait until their timeout"),
        (None, None) => match connection_outcome(&t[0]) {
            ConnectionOutcome::Rejected(417) => refused("rejects with 417"),
            _ => not_taken(&t[0]),
        },
    }
}
