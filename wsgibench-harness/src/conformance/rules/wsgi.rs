//! PEP 3333: `wsgiref.validate`, and requirements that the validator cannot check.

use std::time::Duration;

use super::{
    super::{
        dialogue::Step,
        reading::Framing,
        rule::{Feature, Needs},
    },
    ConnectionOutcome, Dialogue, Judgement, Rule, Site, Transcript, connection_outcome, fail, not_taken, pass, short,
    tolerated,
};

/// The application's pause between two chunks; at least half of it must separate their arrivals.
const BETWEEN_PIECES: Duration = Duration::from_millis(150);

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "wsgi-get",
        title: "wsgiref.validate accepts a GET request",
        source: "PEP 3333",
        required_for: None,
        needs: Needs::Routes,
        dialogues: |site| vec![Dialogue::ask(&["GET"], site.get("/conformance/validated?a=b"))],
        judge: validated,
    },
    Rule {
        id: "wsgi-post",
        title: "wsgiref.validate accepts a POST request with Content-Length",
        source: "PEP 3333",
        required_for: None,
        needs: Needs::Routes,
        dialogues: |site| {
            let lines = "Content-Length: 5\r\nContent-Type: text/plain\r\n";
            vec![Dialogue::ask(
                &["POST"],
                site.post("/conformance/validated", lines, "hello"),
            )]
        },
        judge: validated,
    },
    Rule {
        id: "wsgi-chunked",
        title: "wsgiref.validate accepts a chunked POST request",
        source: "PEP 3333",
        required_for: None,
        needs: Needs::Routes,
        dialogues: |site| {
            let post = site.post(
                "/conformance/validated",
                "Transfer-Encoding: chunked\r\n",
                "5\r\nhello\r\n0\r\n\r\n",
            );
            vec![Dialogue::ask(&["POST"], post)]
        },
        judge: |t| match connection_outcome(&t[0]) {
            ConnectionOutcome::Rejected(status @ (411 | 501)) => tolerated(format!("rejects with {status}")),
            _ => validated(t),
        },
    },
    Rule {
        id: "wsgi-close",
        title: "close() of the application's iterable is called after the response",
        source: "PEP 3333, close()",
        required_for: None,
        needs: Needs::Routes,
        dialogues: |site| {
            let token = std::process::id();
            ["closing", "closed"]
                .map(|route| Dialogue::ask(&["GET"], site.get(&format!("/conformance/{route}?token={token}"))))
                .to_vec()
        },
        judge: |t| match t
            .get(1)
            .and_then(|t| t.reading().answers.first().map(super::super::reading::Answer::text))
        {
            Some(text) if text == "closed" => pass("yes"),
            Some(text) if text == "open" => fail("close() is not called"),
            _ => not_taken(&t[t.len() - 1]),
        },
    },
    Rule {
        id: "wsgi-exc-info",
        title: "a status replaced before the first body byte is the one sent",
        source: "PEP 3333, start_response()",
        required_for: None,
        needs: Needs::Routes,
        dialogues: |site| plain(site, "replaced"),
        judge: |t| match t[0].reading().answers.first() {
            Some(answer) if answer.status == 503 => pass("the second status"),
            Some(answer) if answer.status == 200 => {
                fail("the first status: the client receives a success for an error")
            }
            _ => not_taken(&t[0]),
        },
    },
    Rule {
        id: "wsgi-write",
        title: "data passed to write() precedes the returned iterable",
        source: "PEP 3333, write()",
        required_for: None,
        needs: Needs::Routes,
        dialogues: |site| plain(site, "written"),
        judge: |t| match t[0].reading().answers.first() {
            Some(answer) if answer.status == 200 && answer.body == b"written, returned" => pass("in order"),
            Some(answer) if answer.status == 200 => fail(format!("the body is `{}`", short(&answer.text()))),
            _ => not_taken(&t[0]),
        },
    },
    Rule {
        id: "wsgi-no-delay",
        title: "a chunk is sent when the application yields it",
        source: "PEP 3333, buffering and streaming",
        required_for: Some(Feature::StreamedAnswers),
        needs: Needs::Routes,
        dialogues: |site| plain(site, "streamed"),
        judge: |t| {
            let reading = t[0].reading();
            match reading.answers.first() {
                Some(answer) if answer.status == 200 && answer.text().ends_with("last") => {
                    streamed(&t[0], answer.framing)
                }
                _ => not_taken(&t[0]),
            }
        },
    },
    Rule {
        id: "wsgi-too-long",
        title: "no bytes beyond the application's Content-Length are sent",
        source: "PEP 3333, Content-Length",
        required_for: None,
        needs: Needs::Routes,
        dialogues: |site| plain(site, "long"),
        judge: |t| {
            let reading = t[0].reading();
            match reading.answers.first() {
                Some(_) if !reading.stray.is_empty() => fail(format!(
                    "sends {} extra bytes, which precede the next response",
                    reading.stray.len()
                )),
                Some(answer) if answer.status >= 500 => pass(format!("an error: {}", answer.status)),
                Some(_) => pass("cut"),
                None if t[0].ended() => tolerated("closes without a response"),
                None => not_taken(&t[0]),
            }
        },
    },
    Rule {
        id: "wsgi-too-short",
        title: "a body shorter than its Content-Length closes the connection",
        source: "RFC 9112 8",
        required_for: None,
        needs: Needs::Routes,
        dialogues: |site| plain(site, "short"),
        judge: |t| match t[0].reading().answers.first() {
            Some(answer) if answer.status >= 500 => pass(format!("an error: {}", answer.status)),
            Some(answer) if answer.whole => fail("the response looks complete"),
            Some(_) if t[0].ended() => pass("closes"),
            Some(_) => fail("the client waits until its timeout"),
            None if t[0].ended() => tolerated("closes without a response"),
            None => not_taken(&t[0]),
        },
    },
    Rule {
        id: "wsgi-wrong-type",
        title: "a str body instead of bytes is an error",
        source: "PEP 3333, unicode issues",
        required_for: None,
        needs: Needs::Routes,
        dialogues: |site| vec![Dialogue::ask(&["GET"], site.get("/wrong-type"))],
        judge: error_answered,
    },
    Rule {
        id: "wsgi-raise",
        title: "an exception in the application results in an error response",
        source: "PEP 3333, error handling",
        required_for: None,
        needs: Needs::Routes,
        dialogues: |site| vec![Dialogue::ask(&["GET"], site.get("/raise"))],
        judge: error_answered,
    },
];

fn plain(site: &Site, route: &str) -> Vec<Dialogue> {
    let get = site.get(&format!("/conformance/{route}"));
    vec![Dialogue::of(&["GET"], vec![Step::Send(get.into()), Step::Answers(1)])]
}

/// Judges the response of the validated route: `valid`, or the validator's error.
fn validated(t: &[Transcript]) -> Judgement {
    match t[0].reading().answers.first() {
        Some(answer) if answer.status == 200 && answer.text() == "valid" => pass("accepted"),
        Some(answer) if answer.text().starts_with("PEP 3333: ") => fail(short(&answer.text())),
        _ => not_taken(&t[0]),
    }
}

/// Judges whether the first chunk was sent before the last was produced.
fn streamed(transcript: &Transcript, framing: Framing) -> Judgement {
    let moment = |word: &[u8]| {
        let mut so_far = Vec::new();
        transcript.pieces.iter().find_map(|(at, piece)| {
            so_far.extend_from_slice(piece);
            memchr::memmem::find(&so_far, word).map(|_| *at)
        })
    };
    match (moment(b"first"), moment(b"last")) {
        (Some(first), Some(last)) if last.saturating_sub(first) >= BETWEEN_PIECES => pass(format!(
            "the first chunk arrives {} ms before the last",
            last.saturating_sub(first).as_millis()
        )),
        _ if framing == Framing::Length => fail("the whole response is buffered and sent with a Content-Length"),
        _ => fail("chunks are buffered"),
    }
}

fn error_answered(t: &[Transcript]) -> Judgement {
    if let Some(answer) = t[0]
        .reading()
        .answers
        .first()
        .filter(|answer| answer.status < 400 && !answer.whole)
    {
        return if t[0].ended() {
            tolerated(format!("sends {} and closes before the body", answer.status))
        } else {
            fail(format!(
                "sends {} without its body, and the client waits until its timeout",
                answer.status
            ))
        };
    }
    match connection_outcome(&t[0]) {
        ConnectionOutcome::Rejected(status) => pass(format!("{status}")),
        ConnectionOutcome::Dropped => tolerated("closes without a response"),
        ConnectionOutcome::NotHttp => tolerated("responds with bytes that are not HTTP/1.1"),
        ConnectionOutcome::Silent => fail("never responds, and leaves the connection open"),
        ConnectionOutcome::Accepted(status) => fail(format!("responds with {status}")),
    }
}
